"""Workflows: submitting, adding children, looking up, cancelling and removing, row by row of the protocol's tables."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from typing import Any, NamedTuple

import psycopg
import pytest
from answers import refusal
from clocked import ClockedServer
from colonies import Answer, create_database
from psycopg import sql
from sockets import open_socket
from workflows import CANCELLED, DIAMOND, FAILED, RUNNING, SUCCESSFUL, UNSET, WAITING, Flow, Workplace, rows_by_table

from kolony.crypto import PrivateKey

INVALID_DEPENDENCIES = (
    "Failed to submit workflow, invalid dependencies, are you depending on a nodename that does not exits?"
)
PRIORITY = "Failed to submit function spec, priority outside range [-50000, 50000]"


@pytest.fixture(scope="module")
def clocked(postgres_dsn: str) -> Iterator[ClockedServer]:
    with ClockedServer(create_database(postgres_dsn)) as server:
        yield server


@pytest.fixture
def place(clocked: ClockedServer) -> Workplace:
    return Workplace(clocked.colony())


# Submitting


def test_the_reply_to_a_submit(clocked: ClockedServer, place: Workplace) -> None:
    reply = place.submit(DIAMOND).reply
    ids = reply["processids"]
    assert list(reply) == [
        "processgraphid", "initiatorid", "initiatorname", "colonyname", "rootprocessids", "state",
        "submissiontime", "starttime", "endtime", "processids", "nodes", "edges",
    ]  # fmt: skip
    assert datetime.fromisoformat(reply["submissiontime"]) == clocked.clock.now()
    assert len(set(ids)) == 4
    assert all(len(each) == 64 and set(each) <= set("0123456789abcdef") for each in (*ids, reply["processgraphid"]))
    assert reply == {
        **reply,
        "initiatorid": place.colony.user_key.identity,
        "initiatorname": "alice",
        "colonyname": place.colony.name,
        "rootprocessids": [ids[0]],
        "state": WAITING,
        "starttime": UNSET,
        "endtime": UNSET,
        "nodes": [],
        "edges": [],
    }


def test_the_reply_keeps_the_order_of_the_specification(place: Workplace) -> None:
    flow = place.submit("d:c,a c:b b:a a z")
    assert flow.names(flow.reply["rootprocessids"]) == ["a", "z"]
    assert [place.process(each)["spec"]["nodename"] for each in flow.reply["processids"]] == ["d", "c", "b", "a", "z"]
    assert flow.names(flow.get()["processids"]) == ["a", "d", "b", "c", "z"]


def test_an_executor_submits_in_its_own_name(place: Workplace) -> None:
    key = place.key("a")
    reply = place.ok("submitworkflowspecmsg", key, spec=place.spec("a"))
    assert (reply["initiatorid"], reply["initiatorname"]) == (key.identity, "runs-a")
    process = place.process(reply["processids"][0])
    assert (process["initiatorid"], process["initiatorname"]) == (key.identity, "runs-a")


def test_the_processes_of_a_workflow(place: Workplace) -> None:
    flow = place.submit("a b:a c:a d:c,b", b={"env": {"KEY": "VALUE"}})
    shown = {name: flow.process(name) for name in flow.ids}
    assert {name: process["waitforparents"] for name, process in shown.items()} == {
        "a": False,
        "b": True,
        "c": True,
        "d": True,
    }
    parents = {name: flow.names(process["parents"]) for name, process in shown.items()}
    children = {name: flow.names(process["children"]) for name, process in shown.items()}
    assert parents == {"a": [], "b": ["a"], "c": ["a"], "d": ["c", "b"]}
    assert children == {"a": ["b", "c"], "b": ["d"], "c": ["d"], "d": []}
    assert shown["d"]["spec"]["conditions"]["dependencies"] == ["c", "b"]
    for process in shown.values():
        assert (process["processgraphid"], process["state"], process["in"]) == (flow.id, WAITING, [])
        assert process["initiatorname"] == "alice"
    assert shown["b"]["spec"]["env"] == {"KEY": "VALUE"}
    (attribute,) = shown["b"]["attributes"]
    assert (attribute["targetprocessgraphid"], attribute["attributetype"]) == (flow.id, 3)


def test_an_attribute_added_to_a_node_names_the_workflow(place: Workplace) -> None:
    flow = place.submit("a")
    flow.start("a")
    attribute = {"targetid": flow.ids["a"], "attributetype": 1, "key": "k", "value": "v"}
    added = place.ok("addattributemsg", place.key("a"), attribute=attribute)
    assert added["targetprocessgraphid"] == flow.id
    assert place.ok("getattributemsg", attributeid=added["attributeid"])["targetprocessgraphid"] == flow.id


@pytest.mark.parametrize("limit, stored", [(None, -1), (0, -1), (-1, -1), (60, 60)])
def test_no_limit_of_execution_in_a_workflow(place: Workplace, limit: int | None, stored: int) -> None:
    flow = place.submit("a", a={} if limit is None else {"maxexectime": limit})
    spec = flow.process("a")["spec"]
    assert (spec["maxexectime"], spec["maxwaittime"], spec["maxretries"]) == (stored, 0, 0)
    assert (flow.start("a")["execdeadline"] == UNSET) == (stored == -1)


def test_all_nodes_are_of_the_colony_of_the_workflow(place: Workplace) -> None:
    flow = place.submit("a b:a", a={"conditions": {"colonyname": place.colony.name}}, b={"conditions": {}})
    for name in flow.ids:
        assert flow.process(name)["spec"]["conditions"]["colonyname"] == place.colony.name
    flow.run("a")
    flow.run("b")
    assert flow.state == SUCCESSFUL


def test_a_dependency_that_is_named_twice_counts_twice(place: Workplace) -> None:
    flow = place.submit("a b:a,a")
    assert flow.names(flow.process("b")["parents"]) == ["a", "a"]
    flow.run("a", 1, 2)
    assert flow.run("b")["in"] == [1, 2, 1, 2]
    assert flow.state == SUCCESSFUL


def test_an_empty_specification_is_an_empty_workflow(place: Workplace) -> None:
    flow = place.submit("")
    assert not flow.reply["processids"]
    assert not flow.reply["rootprocessids"]
    found = flow.get()
    assert (found["state"], found["processids"], found["nodes"], found["edges"]) == (WAITING, [], [], [])
    assert place.statistics() == {"waitingworkflows": 1}
    assert flow.cancel().status == 200
    assert flow.remove().status == 200
    assert place.statistics() == {}


@pytest.mark.parametrize("priority", [-50_000, 50_000])
def test_the_bounds_of_priority_are_allowed(place: Workplace, priority: int) -> None:
    assert place.submit("a", a={"priority": priority}).process("a")["spec"]["priority"] == priority


def refused_submit(place: Workplace, spec: Any, key: PrivateKey | None = None) -> tuple[int, str]:
    return refusal(place.call("submitworkflowspecmsg", key, spec=spec))


NO_NAME = "Nodename is missing, check function spec for errors"
NOT_STORED = "Failed to submit workflow, failed to add process"


class Invalid(NamedTuple):
    """A workflow that is refused: the status, how the text begins, and the nodes of which it has to name one."""

    drawing: str
    fields: dict[str, Any]
    statuses: set[int]
    text: str = ""
    named: tuple[str, ...] = ()


def of(**conditions: Any) -> dict[str, Any]:
    return {"conditions": conditions}


INVALID = {
    "no name": Invalid(DIAMOND, {"c": {"nodename": ""}}, {500}, NO_NAME),
    "null as name": Invalid(DIAMOND, {"d": {"nodename": None}}, {500}, NO_NAME),
    "a name twice": Invalid("a b c:a b:c", {}, {500}, "Duplicate nodename: b"),
    "a name thrice": Invalid("n n n", {}, {500}, "Duplicate nodename: n"),
    "an unknown name": Invalid("a b:a,nobody", {}, {500}, INVALID_DEPENDENCIES, ("nobody",)),
    "other letters": Invalid("a b:A", {}, {500}, INVALID_DEPENDENCIES, ("A",)),
    "an empty name": Invalid("a b:a", {"b": of(dependencies=["a", ""])}, {500}, INVALID_DEPENDENCIES),
    "a parent of itself": Invalid("a rec:a,rec", {}, {500}, "", ("rec",)),
    "nothing but a cycle": Invalid("first:second second:first", {}, {500}, "", ("first", "second")),
    "a cycle behind a root": Invalid("a looped:a,loops loops:looped z:loops", {}, {500}, "", ("looped", "loops")),
    "a cycle beside": Invalid("a b:a one:three two:one three:two", {}, {500}, "", ("one", "two", "three")),
    "two colonies": Invalid("a b:a", {"b": of(colonyname="elsewhere")}, {500}, "", ("<b>",)),
    "cpu that is no number": Invalid("a b:a", {"b": of(cpu="1.5m")}, {500}, NOT_STORED),
    "memory without a unit": Invalid("a b:a", {"a": of(mem="1024")}, {500}, NOT_STORED),
    "storage without a unit": Invalid("a b:a", {"b": of(storage="x")}, {500}, NOT_STORED),
    "memory of a GPU without a unit": Invalid("a b:a", {"b": of(gpu={"mem": "1"})}, {500}, NOT_STORED),
    "too high a priority": Invalid("a b:a", {"b": {"priority": 50_001}}, {400}, PRIORITY),
    "too low a priority": Invalid("a b:a", {"a": {"priority": -60_000}}, {400}, PRIORITY),
    "too large a number": Invalid("a b:a", {"b": {"maxwaittime": 3_000_000_000}}, {400, 500}),
    # of several reasons the first of the protocol's table is told
    "no name, then a name twice": Invalid("a b b:a", {"a": {"nodename": ""}}, {500}, NO_NAME),
    "a name twice, then an unknown one": Invalid("a b:nobody b:a", {}, {500}, "Duplicate nodename: b"),
    "an unknown name, then resources": Invalid("a b:nobody", {"a": of(cpu="m")}, {500}, INVALID_DEPENDENCIES),
}


@pytest.mark.parametrize("name", INVALID)
def test_an_invalid_workflow_is_refused_whole(clocked: ClockedServer, place: Workplace, name: str) -> None:
    case = INVALID[name]
    # the same queues are in use, so that a refused node leaves no row even there
    place.submit(" ".join(dict.fromkeys(word.partition(":")[0] for word in case.drawing.split())))
    before = rows_by_table(clocked.dsn)
    status, text = refused_submit(place, place.spec(case.drawing, **case.fields))
    assert status in case.statuses
    assert text.startswith(case.text)
    assert not case.named or any(each in text.removeprefix(case.text) for each in case.named)
    assert rows_by_table(clocked.dsn) == before
    # and what remains can be listed
    assert len(place.ok("getprocessgraphsmsg", colonyname=place.colony.name, count=100)) == 1


def test_whether_the_specification_is_valid_is_told_to_members_only(clocked: ClockedServer, place: Workplace) -> None:
    invalid = place.spec("a:a b:nobody b")
    for key in (place.colony.colony_key, clocked.colony().user_key):
        assert refused_submit(place, invalid, key) == (
            403,
            f"Access denied, not a member of Colony with name <{place.colony.name}>",
        )


@pytest.mark.parametrize("message", [{}, {"spec": None}], ids=str)
def test_a_submit_without_a_specification(place: Workplace, message: dict[str, Any]) -> None:
    answer = place.call("submitworkflowspecmsg", None, **message)
    assert refusal(answer) == (400, "Failed to submit workflow, msg.WorkflowSpec is nil")


# Idempotency keys


def submit_with(place: Workplace, key: str, drawing: str, caller: PrivateKey | None = None) -> Answer:
    return place.call("submitworkflowspecmsg", caller, spec=place.spec(drawing), idempotencykey=key)


def test_a_repeated_submit_answers_with_the_first_workflow(place: Workplace) -> None:
    first = submit_with(place, "order-1", "a b:a").payload
    again = submit_with(place, "order-1", "a b:a c:b")
    assert (again.status, again.payload["processgraphid"]) == (200, first["processgraphid"])
    assert again.payload["processids"] == first["processids"]
    assert place.statistics() == {"waitingprocesses": 2, "waitingworkflows": 1}


def test_a_key_belongs_to_its_caller(place: Workplace) -> None:
    submit_with(place, "order-1", "a")
    submit_with(place, "order-1", "a", place.key("a"))
    submit_with(place, "order-2", "a")
    submit_with(place, "", "a")
    submit_with(place, "", "a")
    assert place.statistics() == {"waitingprocesses": 5, "waitingworkflows": 5}


def test_a_repeated_submit_shows_what_became_of_the_workflow(place: Workplace) -> None:
    flow = Flow(place, submit_with(place, "order-1", "a").payload, "a")
    flow.run("a")
    again = submit_with(place, "order-1", "a").payload
    assert (again["processgraphid"], again["state"]) == (flow.id, SUCCESSFUL)


def test_a_refused_workflow_does_not_use_up_its_key(place: Workplace) -> None:
    assert submit_with(place, "order-1", "a b:nobody").status == 500
    assert submit_with(place, "order-1", "a b:a").status == 200


def test_the_key_of_a_removed_workflow_is_refused(place: Workplace) -> None:
    flow = Flow(place, submit_with(place, "order-1", "a").payload, "a")
    assert flow.remove().status == 200
    assert submit_with(place, "order-1", "a").status == 400
    assert place.statistics() == {}


# Adding children


def picture(flow: Flow) -> dict[str, tuple[list[str], list[str]]]:
    """The parents and the children of each node."""
    shown = {name: flow.process(name) for name in flow.ids}
    return {name: (flow.names(each["parents"]), flow.names(each["children"])) for name, each in shown.items()}


def test_a_child_hangs_below_its_parent(place: Workplace) -> None:
    flow = place.submit("a b:a")
    flow.start("a")
    new = flow.add("n", "a")
    assert (new["state"], new["waitforparents"], new["processgraphid"]) == (WAITING, True, flow.id)
    assert (new["in"], new["out"], new["errors"]) == ([], [], [])
    assert (flow.names(new["parents"]), new["children"]) == (["a"], [])
    assert new == flow.process("n")
    assert picture(flow) == {"a": ([], ["b", "n"]), "b": (["a"], []), "n": (["a"], [])}
    assert flow.names(flow.get()["processids"]) == ["a", "b", "n"]


def test_a_child_comes_between_its_parent_and_a_child(place: Workplace) -> None:
    flow = place.submit("a b:a c:b")
    flow.start("a")
    new = flow.add("n", "a", child="b")
    assert (flow.names(new["parents"]), flow.names(new["children"])) == (["a"], ["b"])
    assert picture(flow) == {"a": ([], ["b", "n"]), "b": (["a", "n"], ["c"]), "c": (["b"], []), "n": (["a"], ["b"])}
    assert new == flow.process("n")


def test_a_child_may_come_above_a_node_further_down(place: Workplace) -> None:
    flow = place.submit("a b:a c:b")
    flow.start("a")
    flow.add("n", "a", child="c")
    assert picture(flow) == {"a": ([], ["b", "n"]), "b": (["a"], ["c"]), "c": (["b", "n"], []), "n": (["a"], ["c"])}
    flow.succeed("a")
    flow.run("b", "b")
    assert not flow.can_start("c")
    flow.run("n", "n")
    assert flow.run("c")["in"] == ["b", "n"]
    assert flow.state == SUCCESSFUL


def test_an_inserted_child_takes_over_all_children(place: Workplace) -> None:
    flow = place.submit("a x b:a,x c:a d:b")
    flow.start("a")
    # the child that is named does not count
    new = flow.add("n", "a", insert=True, child="d")
    assert (flow.names(new["parents"]), flow.names(new["children"])) == (["a"], ["b", "c"])
    assert picture(flow) == {
        "a": ([], ["n"]),
        "x": ([], ["b"]),
        "b": (["x", "n"], ["d"]),
        "c": (["n"], []),
        "d": (["b"], []),
        "n": (["a"], ["b", "c"]),
    }
    assert new == flow.process("n")


def test_a_child_inserted_below_a_leaf(place: Workplace) -> None:
    flow = place.submit("a")
    flow.start("a")
    flow.add("n", "a", insert=True)
    assert picture(flow) == {"a": ([], ["n"]), "n": (["a"], [])}


def test_a_child_that_is_named_does_not_count_when_all_are_taken_over(place: Workplace) -> None:
    flow = place.submit("a b:a")
    flow.start("a")
    assert flow.try_to_add("n", "a", child="0" * 64, insert=True).status == 200


def test_children_are_added_in_the_order_of_the_calls(place: Workplace) -> None:
    flow = place.submit("a b:a")
    flow.start("a")
    for name in ("w1", "w2", "w3"):
        flow.add(name, "a", child="b")
    assert picture(flow)["a"] == ([], ["b", "w1", "w2", "w3"])
    assert picture(flow)["b"] == (["a", "w1", "w2", "w3"], [])


def test_an_added_child_is_the_executors(place: Workplace) -> None:
    flow = place.submit("a")
    flow.start("a")
    new = flow.add("n", "a")
    assert (new["initiatorid"], new["initiatorname"]) == (place.key("a").identity, "runs-a")


def test_what_is_not_checked_of_a_child(place: Workplace) -> None:
    flow = place.submit("a b:a")
    flow.start("a")
    new = flow.add("n", "a", nodename="b", env={"A": "1"}, conditions={"dependencies": ["nobody"]})
    assert (new["spec"]["nodename"], new["spec"]["env"]) == ("b", {"A": "1"})
    assert new["spec"]["conditions"]["dependencies"] == ["nobody"]
    assert flow.names(new["parents"]) == ["a"]
    assert new["attributes"][0]["targetprocessgraphid"] == flow.id
    nameless = flow.add("m", "a", nodename="")
    assert nameless["spec"]["nodename"] == ""


@pytest.mark.parametrize("limit", [0, -1])
def test_no_limit_of_execution_of_a_child(clocked: ClockedServer, place: Workplace, limit: int) -> None:
    flow = place.submit("a")
    flow.start("a")
    flow.add("n", "a", maxexectime=limit)
    flow.succeed("a")
    assert flow.start("n")["execdeadline"] == UNSET
    clocked.apply_limits(after=1000)
    flow.succeed("n")
    assert flow.state == SUCCESSFUL


def test_a_child_below_a_process_that_does_not_run(place: Workplace) -> None:
    flow = place.submit("a b:a")
    place.key("a")
    for state in ("waiting", "successful"):
        if state == "successful":
            flow.run("a")
        text = f"Process with Id {flow.ids['a']} is not running"
        assert refusal(flow.try_to_add("n", "a")) == (400, text)


def try_to_add(flow: Flow, key: PrivateKey, **fields: Any) -> Answer:
    """Send a message that adds a child below ``a``, but for some fields."""
    spec = {"nodename": "n", "conditions": {"colonyname": flow.colonyname, "executortype": "n"}}
    message = {"processgraphid": flow.id, "parentprocessid": flow.ids.get("a"), "spec": spec, **fields}
    return flow.place.call("addchildmsg", key, **message)


def test_only_the_executor_that_runs_a_process_adds_children(place: Workplace) -> None:
    flow = place.submit("a")
    flow.start("a")
    for key in (place.key("b"), place.colony.user_key):
        text = f"Process with Id {flow.ids['a']} is not assigned to executor with Id {key.identity}"
        assert refusal(try_to_add(flow, key)) == (400, text)


def test_a_child_of_a_process_without_a_workflow(place: Workplace) -> None:
    single = place.colony.submit(conditions={"executortype": "a"})["processid"]
    place.colony.assign(place.key("a"))
    flow = place.submit("z")
    for graph in ("", flow.id):
        answer = try_to_add(flow, place.key("a"), parentprocessid=single, processgraphid=graph)
        assert refusal(answer) == (400, f"Process with Id {single} does not belong to a processgraph")


def test_children_that_are_refused_leave_nothing_behind(clocked: ClockedServer, place: Workplace) -> None:
    flow, other = place.submit("a b:a"), place.submit("z y:z")
    flow.start("a")
    key = place.key("a")
    place.submit("n")
    elsewhere = Workplace(clocked.colony())
    stranger = elsewhere.submit("a b:a")
    before, shown = rows_by_table(clocked.dsn), flow.get()
    conditions = {"colonyname": place.colony.name, "executortype": "n"}
    for expected, fields in (
        ("", {"parentprocessid": "0" * 64}),
        ("", {"parentprocessid": ""}),
        ("", {"childprocessid": "0" * 64}),
        ("", {"childprocessid": other.ids["y"]}),
        ("", {"childprocessid": stranger.ids["b"]}),
        ("", {"processgraphid": other.id}),
        ("", {"processgraphid": stranger.id}),
        ("", {"processgraphid": "0" * 64}),
        ("", {"processgraphid": ""}),
        (PRIORITY, {"spec": {"priority": 50_001, "conditions": conditions}}),
        ("Error converting CPU to int", {"spec": {"conditions": {**conditions, "cpu": "m"}}}),
        ("error converting memory to int: ", {"spec": {"conditions": {**conditions, "mem": "1024"}}}),
        ("Failed to add child to processgraph, msg.FunctionSpec is nil", {"spec": None}),
    ):
        status, text = refusal(try_to_add(flow, key, **fields))
        assert (status, text[: len(expected)]) == (400, expected), fields
    assert rows_by_table(clocked.dsn) == before
    assert flow.get() == shown
    flow.succeed("a")
    flow.run("b")
    assert flow.state == SUCCESSFUL


def test_a_child_of_another_colony_is_refused(clocked: ClockedServer, place: Workplace) -> None:
    elsewhere = clocked.colony()
    flow = place.submit("a")
    flow.start("a")
    for colonyname, text in (
        (elsewhere.name, f"Access denied, not a member of Colony with name <{elsewhere.name}>"),
        ("", "Colony with name <> does not exists"),
    ):
        answer = try_to_add(flow, place.key("a"), spec={"conditions": {"colonyname": colonyname}})
        assert refusal(answer) == (403, text)
    # a member of two colonies, and the parent is in the other
    user = {"colonyname": elsewhere.name, "userid": place.key("a").identity, "name": "both"}
    elsewhere.rpc.ok("addusermsg", elsewhere.colony_key, user=user)
    answer = try_to_add(flow, place.key("a"), spec={"conditions": {"colonyname": elsewhere.name}})
    assert refusal(answer)[0] == 400


def test_a_waiting_root_that_gets_a_parent_waits_or_the_child_is_refused(place: Workplace) -> None:
    flow = place.submit("a r")
    flow.start("a")
    answer = flow.try_to_add("n", "a", child="r")
    assert answer.status in (200, 400)
    if answer.status == 200:
        flow.ids["n"] = answer.payload["processid"]
        assert not flow.can_start("r")
        flow.succeed("a")
        flow.run("n")
    else:
        flow.succeed("a")
    flow.run("r")
    assert flow.state == SUCCESSFUL


@pytest.mark.parametrize("target", ["a", "b"])
def test_a_child_above_what_runs_or_ran_holds_nothing_up(place: Workplace, target: str) -> None:
    """Above the parent itself, and above what was successful; refused or not, the workflow comes to its end."""
    flow = place.submit("b a:b")
    flow.run("b")
    flow.start("a")
    answer = flow.try_to_add("n", "a", child=target)
    assert answer.status in (200, 400)
    assert flow.get()["state"] == RUNNING
    flow.succeed("a")
    if answer.status == 200:
        flow.ids["n"] = answer.payload["processid"]
        flow.run("n")
    assert flow.state == SUCCESSFUL


# Looking up


def drawing(flow: Flow) -> dict[str, tuple[int, int, str, str]]:
    """Where each node is drawn, its type and its colour."""
    names = {processid: name for name, processid in flow.ids.items()}
    shown = flow.get()["nodes"]
    for node in shown:
        assert node["data"]["label"] == names[node["id"]]
        assert node["style"]["color"] == ""
    assert len(shown) == len(flow.ids)
    return {
        names[node["id"]]: (node["position"]["x"], node["position"]["y"], node["type"], node["style"]["background"])
        for node in shown
    }


GREY, BLUE, GREEN, RED, ORANGE = "#eee8d8", "#4689cd", "#92d050", "#cb4239", "#f5a623"


def test_a_diamond_is_drawn(place: Workplace) -> None:
    flow = place.submit(DIAMOND)
    assert drawing(flow) == {
        "a": (100, 0, "input", GREY),
        "b": (0, 80, "", GREY),
        "c": (200, 80, "", GREY),
        "d": (100, 160, "output", GREY),
    }
    edges = flow.get()["edges"]
    assert [flow.names((edge["source"], edge["target"])) for edge in edges] == [
        ["a", "b"],
        ["a", "c"],
        ["b", "d"],
        ["c", "d"],
    ]
    assert all(edge["id"] == f"{edge['source']}-{edge['target']}" for edge in edges)
    assert not any(edge["animated"] for edge in edges)
    assert flow.names(flow.get()["processids"]) == ["a", "b", "d", "c"]


def test_levels_are_those_of_the_walk(place: Workplace) -> None:
    """The walk meets ``c`` first below ``b``, and ``y`` below the first root; three on the widest level."""
    flow = place.submit("a b:a c:a,b z y:z,c x:a w:a")
    assert drawing(flow) == {
        "a": (100, 0, "input", GREY),
        "z": (300, 0, "input", GREY),
        "b": (0, 80, "", GREY),
        "x": (200, 80, "output", GREY),
        "w": (400, 80, "output", GREY),
        "c": (200, 160, "", GREY),
        "y": (200, 240, "output", GREY),
    }


def test_a_lone_node_is_an_input(place: Workplace) -> None:
    assert drawing(place.submit("a")) == {"a": (0, 0, "input", GREY)}


def test_colours_are_the_states(place: Workplace) -> None:
    flow = place.submit("ok runs:ok bad:ok late:ok")
    flow.run("ok")
    flow.start("runs")
    flow.start("bad")
    flow.fail("bad")
    assert {name: node[3] for name, node in drawing(flow).items()} == {
        "ok": GREEN,
        "runs": BLUE,
        "bad": RED,
        "late": GREY,
    }
    flow.cancel()
    assert {name: node[3] for name, node in drawing(flow).items()}["late"] == ORANGE


def test_edges_of_what_runs_are_animated(place: Workplace) -> None:
    flow = place.submit(DIAMOND)
    flow.run("a")
    flow.start("b")
    edges = flow.get()["edges"]
    assert [flow.names([edge["source"]]) for edge in edges if edge["animated"]] == [["b"]]


def test_an_unknown_workflow(place: Workplace) -> None:
    for msgtype, text in (
        ("getprocessgraphmsg", "Failed to get processgraph, graph is nil"),
        ("cancelprocessgraphmsg", "Failed to cancel processgraph, graph is nil"),
        ("removeprocessgraphmsg", "Failed to remove processgraph, graph is nil"),
    ):
        for processgraphid in ("0" * 64, "", "no id"):
            assert refusal(place.call(msgtype, None, processgraphid=processgraphid)) == (500, text)


def listed(place: Workplace, **query: Any) -> list[str] | None:
    found = place.ok("getprocessgraphsmsg", colonyname=place.colony.name, **query)
    assert found is None or all(each["nodes"] == each["edges"] == [] for each in found)
    return found and [each["processgraphid"] for each in found]


def in_every_state(clocked: ClockedServer, place: Workplace) -> dict[int, list[Flow]]:
    """Two workflows in each state, the older one first; each has a node that is in another state than its workflow."""
    flows: dict[int, list[Flow]] = {}
    for state in (SUCCESSFUL, FAILED, CANCELLED, RUNNING, WAITING):
        for _ in range(2):
            clocked.clock.advance(1)
            flow = place.submit("a b:a")
            flows.setdefault(state, []).append(flow)
            if state != WAITING:
                flow.run("a")
            if state in (SUCCESSFUL, FAILED):
                flow.start("b")
            if state == SUCCESSFUL:
                flow.succeed("b")
            elif state == FAILED:
                flow.fail("b")
            elif state == CANCELLED:
                flow.cancel()
    return flows


def test_lists_are_by_state_and_newest_first(clocked: ClockedServer, place: Workplace) -> None:
    flows = in_every_state(clocked, place)
    Workplace(clocked.colony()).submit("a")
    for state, (older, newer) in flows.items():
        assert listed(place, state=state, count=100) == [newer.id, older.id]
        assert listed(place, state=state, count=1) == [newer.id]
        assert listed(place, state=state, count=0) is None
    assert listed(place, count=1) == [flows[WAITING][1].id]
    assert listed(place) is None


def test_a_list_shows_what_a_look_up_shows_but_for_the_drawing(clocked: ClockedServer, place: Workplace) -> None:
    for state, flows in in_every_state(clocked, place).items():
        found = place.ok("getprocessgraphsmsg", colonyname=place.colony.name, state=state, count=100)
        assert found == [{**flow.get(), "nodes": [], "edges": []} for flow in reversed(flows)]


@pytest.mark.parametrize(
    "query, text",
    [
        ({"state": 5}, "invalid msg.State"),
        ({"state": -1, "count": 101}, "invalid msg.State"),
        ({"count": 101}, "Count is larger than MaxCount limit <100>"),
        ({"count": -1}, "pq: LIMIT must not be negative"),
    ],
    ids=str,
)
def test_lists_that_are_refused(place: Workplace, query: dict[str, int], text: str) -> None:
    fields = {"colonyname": place.colony.name, "count": 1, **query}
    assert refusal(place.call("getprocessgraphsmsg", None, **fields)) == (400, text)


def test_statistics_count_workflows_by_state(clocked: ClockedServer, place: Workplace) -> None:
    in_every_state(clocked, place)
    expected = {
        "waitingworkflows": 2,
        "runningworkflows": 2,
        "successfulworkflows": 2,
        "failedworkflows": 2,
        "cancelledworkflows": 2,
        # a and b of those that wait, and b of those that run
        "waitingprocesses": 6,
        "successfulprocesses": 10,
        "failedprocesses": 2,
        "cancelledprocesses": 2,
    }
    assert place.statistics() == expected
    clocked.fold_counts()
    assert place.statistics() == expected


# Removing


@pytest.mark.parametrize("state", [WAITING, SUCCESSFUL, FAILED, CANCELLED])
def test_nothing_is_left_of_a_removed_workflow(clocked: ClockedServer, place: Workplace, state: int) -> None:
    kept = place.submit("k")
    flow = in_every_state(clocked, place)[state][0]
    shown = kept.get()
    assert flow.remove().payload == {}
    assert refusal(place.call("getprocessgraphmsg", None, processgraphid=flow.id))[0] == 500
    for processid in flow.ids.values():
        assert refusal(place.call("getprocessmsg", None, processid=processid))[0] == 404
    assert refusal(flow.remove()) == (500, "Failed to remove processgraph, graph is nil")
    assert kept.get() == shown


def test_attributes_go_with_a_removed_workflow(place: Workplace) -> None:
    flow = place.submit("a", a={"env": {"A": "1"}})
    attributeid = flow.process("a")["attributes"][0]["attributeid"]
    flow.remove()
    assert refusal(place.call("getattributemsg", None, attributeid=attributeid))[0] == 400
    assert place.statistics() == {}


def test_a_running_workflow_cannot_be_removed(place: Workplace) -> None:
    flow = place.submit("a b:a")
    flow.start("a")
    for _ in ("while it runs", "in a pause"):
        assert refusal(flow.remove()) == (400, "Failed to remove processgraph, cannot remove a running processgraph")
        if flow.process("a")["state"] == RUNNING:
            flow.succeed("a")
    flow.run("b")
    assert flow.remove().status == 200


def test_what_runs_in_a_failed_workflow_is_removed_with_it(clocked: ClockedServer, place: Workplace) -> None:
    flow = place.submit("leaf runs", runs={"maxexectime": 5, "maxretries": 1})
    flow.start("runs")
    flow.start("leaf")
    flow.fail("leaf")
    assert flow.remove().status == 200
    closed = flow.close("runs")
    assert refusal(closed) == (500, "Failed to close process as successful, process is nil")
    clocked.apply_limits(after=10)
    assert place.statistics() == {}


REMOVED = [
    ({}, [WAITING]),
    ({"state": WAITING}, [WAITING]),
    ({"state": SUCCESSFUL}, [SUCCESSFUL]),
    ({"state": FAILED}, [FAILED]),
    ({"state": CANCELLED}, [CANCELLED]),
    ({"state": -1}, [WAITING, RUNNING, SUCCESSFUL, FAILED, CANCELLED]),
]


@pytest.mark.parametrize("fields, removed", REMOVED, ids=str)
def test_many_are_removed_by_the_state_of_the_workflow(
    clocked: ClockedServer, place: Workplace, fields: dict[str, int], removed: list[int]
) -> None:
    flows = in_every_state(clocked, place)
    elsewhere = Workplace(clocked.colony())
    theirs = {state: [flow.get() for flow in flows] for state, flows in in_every_state(clocked, elsewhere).items()}
    single = place.colony.submit(conditions={"executortype": "nobody"})
    kept = [flow for state, flows in flows.items() if state not in removed for flow in flows]
    before = [[flow.get(), *map(flow.process, flow.ids)] for flow in kept]
    owner = place.colony.colony_key
    assert place.ok("removeallprocessgraphsmsg", owner, colonyname=place.colony.name, **fields) == {}

    assert [[flow.get(), *map(flow.process, flow.ids)] for flow in kept] == before
    gone = [flow for state in removed for flow in flows[state]]
    for flow in gone:
        assert refusal(place.call("getprocessgraphmsg", None, processgraphid=flow.id))[0] == 500
        for processid in flow.ids.values():
            assert refusal(place.call("getprocessmsg", None, processid=processid))[0] == 404
    assert place.process(single["processid"]) == single
    counts = place.statistics()
    assert sum(count for name, count in counts.items() if name.endswith("workflows")) == len(kept)
    assert sum(count for name, count in counts.items() if name.endswith("processes")) == 2 * len(kept) + 1
    for state, shown in theirs.items():
        found = elsewhere.ok("getprocessgraphsmsg", colonyname=elsewhere.colony.name, state=state, count=100)
        assert [each["processgraphid"] for each in found] == [each["processgraphid"] for each in reversed(shown)]


def test_what_is_left_of_running_workflows_still_runs(clocked: ClockedServer, place: Workplace) -> None:
    """Removing successful workflows does not take the successful nodes of others."""
    flow = in_every_state(clocked, place)[RUNNING][0]
    owner = place.colony.colony_key
    place.ok("removeallprocessgraphsmsg", owner, colonyname=place.colony.name, state=SUCCESSFUL)
    place.ok("removeallprocessgraphsmsg", owner, colonyname=place.colony.name, state=WAITING)
    flow.run("b")
    assert flow.state == SUCCESSFUL


@pytest.mark.parametrize(
    "state, text",
    [
        (RUNNING, "not possible to remove running processgraphs"),
        (5, "invalid state when deleting all processgraphs"),
        (-2, "invalid state when deleting all processgraphs"),
    ],
)
def test_states_that_cannot_be_removed(place: Workplace, state: int, text: str) -> None:
    owner = place.colony.colony_key
    fields = {"colonyname": place.colony.name, "state": state}
    assert refusal(place.call("removeallprocessgraphsmsg", owner, **fields)) == (400, text)


def test_the_executor_of_a_workflow_removed_under_it_is_told(clocked: ClockedServer, place: Workplace) -> None:
    flow = place.submit("a b:a", a={"maxexectime": 5})
    flow.start("a")
    place.ok("removeallprocessgraphsmsg", place.colony.colony_key, colonyname=place.colony.name, state=-1)
    text = "Failed to close process as successful, process is nil"
    assert refusal(flow.close("a")) == (500, text)
    assert flow.try_to_add("n", "a").status == 400
    clocked.apply_limits(after=10)
    assert place.statistics() == {}


def test_nothing_of_workflows_is_left_of_a_removed_colony(clocked: ClockedServer, place: Workplace) -> None:
    in_every_state(clocked, place)
    clocked.fold_counts()
    clocked.rpc.ok("removecolonymsg", clocked.server_key, colonyname=place.colony.name)
    clocked.fold_counts()
    with psycopg.connect(clocked.dsn) as connection:
        tables = connection.execute(
            "select table_name from information_schema.columns"
            " where table_schema = 'public' and column_name = 'colonyname'"
        ).fetchall()
        left = {
            table: connection.execute(
                sql.SQL("select count(*) from {} where colonyname = %s").format(sql.Identifier(table)),
                [place.colony.name],
            ).fetchone()
            for (table,) in tables
            if table not in ("membership_changes",)
        }
    assert set(left.values()) == {(0,)}, left


# Processes of a workflow


def test_a_process_of_a_workflow_is_not_cancelled_or_removed_alone(place: Workplace) -> None:
    flow = place.submit("a b:a")
    for name in ("a", "b"):
        before = flow.process(name)
        cancelled = place.call("cancelprocessmsg", None, processid=flow.ids[name])
        removed = place.call("removeprocessmsg", None, processid=flow.ids[name])
        assert refusal(cancelled) == (
            400,
            "Failed to cancel, cannot cancel a process part of a workflow, cancel the entire workflow instead",
        )
        assert refusal(removed) == (
            400,
            "Failed to remove, cannot remove a process part of a workflow, delete the entire workflow instead",
        )
        assert flow.process(name) == before
    flow.run("a")
    flow.run("b")
    # before the state is looked at
    assert "part of a workflow" in place.call("cancelprocessmsg", None, processid=flow.ids["a"]).message
    assert "part of a workflow" in place.call("removeprocessmsg", None, processid=flow.ids["a"]).message


@pytest.mark.parametrize("state", [WAITING, SUCCESSFUL, FAILED, CANCELLED, -1])
def test_removing_all_processes_leaves_those_of_workflows(clocked: ClockedServer, place: Workplace, state: int) -> None:
    flows = [flow for flows in in_every_state(clocked, place).values() for flow in flows]
    flows.append(place.submit("e", e={"env": {"KEY": "VALUE"}}))
    single = place.colony.submit(conditions={"executortype": "nobody"})["processid"]
    before = [[flow.get(), *map(flow.process, flow.ids)] for flow in flows]
    place.ok("removeallprocessesmsg", place.colony.colony_key, colonyname=place.colony.name, state=state)
    assert [[flow.get(), *map(flow.process, flow.ids)] for flow in flows] == before
    assert place.call("getprocessmsg", None, processid=single).status == (404 if state in (WAITING, -1) else 200)


def test_lists_of_processes_have_those_of_workflows(place: Workplace) -> None:
    single = place.colony.submit(conditions={"executortype": "nobody"})
    flow = place.submit("a b:a")
    flow.start("a")
    names = {"colonyname": place.colony.name}
    waiting = place.ok("getprocessesmsg", **names, count=100, state=WAITING)
    assert [each["processid"] for each in waiting] == [single["processid"], flow.ids["b"]]
    assert place.ok("getprocessesmsg", **names, count=100, state=RUNNING) == [flow.process("a")]
    assert place.ok("getprocessesmsg", **names, count=1, executortype="b") == [flow.process("b")]
    assert place.ok("getprocesshistmsg", **names, seconds=60, state=RUNNING) == [flow.process("a")]


def test_each_root_is_told_when_it_is_submitted(clocked: ClockedServer, place: Workplace) -> None:
    key = place.key("cli")
    with open_socket(clocked) as socket:
        names = {"colonyname": place.colony.name, "executortype": "cli"}
        socket.send("subscribeprocessesmsg", key, **names, state=WAITING, timeout=60)
        assert socket.answers_next(key).error
        flow = place.submit("a b:a c", every={"conditions": {"executortype": "cli"}})
        told = {socket.event()["processid"] for _ in range(2)}
        assert socket.answers_next(key).error
    assert told == {flow.ids["a"], flow.ids["c"]}
