"""What becomes of a workflow: data that flows, the states of the graph, failure, limits, cancelling, retention."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from datetime import datetime
from typing import Any

import pytest
from answers import refusal
from clocked import ClockedServer
from colonies import create_database
from sockets import Socket, open_socket
from workflows import CANCELLED, DIAMOND, FAILED, RUNNING, SUCCESSFUL, UNSET, WAITING, Flow, Workplace

DAY = 86_400
WAITED_TOO_LONG = ["Maximum waiting time limit exceeded"]
RAN_TOO_LONG = ["Maximum execution time limit exceeded"]


@pytest.fixture(scope="module")
def clocked(postgres_dsn: str) -> Iterator[ClockedServer]:
    with ClockedServer(create_database(postgres_dsn)) as server:
        yield server


@pytest.fixture
def place(clocked: ClockedServer) -> Workplace:
    return Workplace(clocked.colony())


def moment(text: str) -> datetime:
    return datetime.fromisoformat(text)


# Data


def test_outputs_become_inputs_in_the_order_of_the_parents(place: Workplace) -> None:
    flow = place.submit("a b:a c:a d:c,b")
    assert flow.run("a", "A")["in"] == []
    assert flow.run("c", "c1")["in"] == ["A"]
    assert flow.run("b", "b1", {"b": [2]})["in"] == ["A"]
    assert flow.run("d")["in"] == ["c1", "b1", {"b": [2]}]
    assert flow.process("d")["in"] == ["c1", "b1", {"b": [2]}]


def test_parents_without_output_contribute_nothing(place: Workplace) -> None:
    flow = place.submit(DIAMOND)
    flow.run("a", "A")
    flow.run("b", "b1", "b2")
    flow.run("c")
    assert flow.run("d")["in"] == ["b1", "b2"]


def test_no_output_at_all_is_an_empty_input(place: Workplace) -> None:
    flow = place.submit(DIAMOND)
    flow.run("a")
    assert flow.run("b")["in"] == []
    flow.run("c")
    assert flow.run("d")["in"] == []


def test_an_output_that_was_set_before_flows_as_well(place: Workplace) -> None:
    flow = place.submit("a b:a")
    flow.start("a")
    place.ok("setoutputmsg", place.key("a"), processid=flow.ids["a"], out=["kept"])
    flow.succeed("a")
    assert flow.run("b")["in"] == ["kept"]


def test_nothing_else_is_inherited(place: Workplace) -> None:
    given = {"args": [1], "kwargs": {"k": 1}, "env": {"A": "1"}, "label": "l"}
    flow = place.submit("a b:a", a=given)
    flow.run("a", "A")
    spec = flow.start("b")["spec"]
    assert (spec["args"], spec["kwargs"], spec["env"], spec["label"]) == ([], {}, {}, "")


def test_values_flow_as_they_were_sent(place: Workplace) -> None:
    out = [12345678901234567890, 1.0, -0.0, None, True, "\N{SNOWMAN}<>&", [[], {}], {"b": 1, "a": 2}]
    flow = place.submit("a b:a")
    flow.run("a", *out)
    assert repr(flow.start("b")["in"]) == repr(out)


def test_an_execution_that_is_tried_again_gets_the_same_input(clocked: ClockedServer, place: Workplace) -> None:
    flow = place.submit("a b:a", b={"maxexectime": 5, "maxretries": 1})
    flow.run("a", "A")
    assert flow.start("b")["in"] == ["A"]
    clocked.apply_limits(after=6)
    assert flow.start("b")["in"] == ["A"]


# The state of the graph


def test_a_workflow_waits_runs_and_succeeds(clocked: ClockedServer, place: Workplace) -> None:
    flow = place.submit("a b:a")
    submitted = flow.get()
    assert (submitted["state"], submitted["starttime"], submitted["endtime"]) == (WAITING, UNSET, UNSET)
    assert submitted["submissiontime"] == flow.reply["submissiontime"]
    clocked.clock.advance(1)
    flow.start("a")
    started = flow.get()
    assert (started["state"], moment(started["starttime"])) == (RUNNING, clocked.clock.now())
    clocked.clock.advance(1)
    flow.succeed("a")
    paused = flow.get()
    assert (paused["state"], paused["starttime"], paused["endtime"]) == (RUNNING, started["starttime"], UNSET)
    clocked.clock.advance(1)
    flow.start("b")
    clocked.clock.advance(1)
    flow.succeed("b")
    ended = flow.get()
    assert (ended["state"], ended["starttime"]) == (SUCCESSFUL, started["starttime"])
    assert moment(ended["endtime"]) == clocked.clock.now()
    # a close that is repeated changes nothing
    clocked.clock.advance(1)
    flow.succeed("b")
    assert flow.get() == ended


def test_children_wait_for_all_of_their_parents(place: Workplace) -> None:
    flow = place.submit(DIAMOND)
    assert not any(flow.can_start(name) for name in ("b", "c", "d"))
    flow.run("a")
    assert [flow.process(name)["waitforparents"] for name in ("b", "c", "d")] == [False, False, True]
    flow.run("b")
    assert not flow.can_start("d")
    assert flow.process("d")["waitforparents"]
    flow.run("c")
    assert not flow.process("d")["waitforparents"]
    flow.run("d")
    assert flow.state == SUCCESSFUL


def test_roots_run_beside_each_other(place: Workplace) -> None:
    flow = place.submit("a b c:a,b")
    flow.start("b")
    flow.start("a")
    flow.succeed("b")
    assert flow.state == RUNNING
    flow.succeed("a")
    flow.run("c")
    assert flow.state == SUCCESSFUL


def test_a_released_child_is_given_to_an_executor_that_waits(place: Workplace) -> None:
    flow = place.submit("a b:a")
    flow.start("a")
    key = place.key("b")
    with ThreadPoolExecutor(1) as threads:
        parked = threads.submit(place.colony.assign, key, 30)
        flow.succeed("a", "A")
        process = parked.result()
    assert (process["processid"], process["in"]) == (flow.ids["b"], ["A"])


def test_a_lost_executor_leaves_the_workflow_running(clocked: ClockedServer, place: Workplace) -> None:
    flow = place.submit("a b:a")
    flow.start("a")
    started = flow.get()
    clocked.clock.advance(1)
    names = {"colonyname": place.colony.name, "executorname": "runs-a"}
    for change in ("removeexecutormsg", "approveexecutormsg"):
        place.ok(change, place.colony.colony_key, **names)
    assert flow.process("a")["state"] == WAITING
    assert (flow.get()["state"], flow.get()["starttime"]) == (RUNNING, started["starttime"])
    clocked.clock.advance(1)
    flow.run("a")
    assert flow.get()["starttime"] == started["starttime"]
    flow.run("b")
    assert flow.state == SUCCESSFUL


def test_statistics_follow_the_states(place: Workplace) -> None:
    flow = place.submit("a b:a")
    assert place.statistics() == {"waitingprocesses": 2, "waitingworkflows": 1}
    flow.start("a")
    assert place.statistics() == {"waitingprocesses": 1, "runningprocesses": 1, "runningworkflows": 1}
    flow.succeed("a")
    assert place.statistics() == {"waitingprocesses": 1, "successfulprocesses": 1, "runningworkflows": 1}
    flow.run("b")
    assert place.statistics() == {"successfulprocesses": 2, "successfulworkflows": 1}


# Failure


def test_a_failed_inner_node_fails_everything(clocked: ClockedServer, place: Workplace) -> None:
    flow = place.submit("a b:a c:a d:b z", a={"env": {"A": "1"}}, d={"env": {"D": "1"}})
    flow.run("a", "A")
    flow.start("b")
    flow.start("c")
    before = {name: flow.process(name) for name in flow.ids}
    clocked.clock.advance(1)
    flow.fail("b", "broken")
    now = clocked.clock.now()
    assert flow.states() == dict.fromkeys("abcdz", FAILED)
    after = {name: flow.process(name) for name in flow.ids}
    assert after["b"]["errors"] == ["broken"]
    for name in "acdz":
        assert after[name]["errors"] == []
        unchanged = ("isassigned", "assignedexecutorid", "starttime", "out", "retries")
        assert [after[name][field] for field in unchanged] == [before[name][field] for field in unchanged]
    assert after["a"]["endtime"] == before["a"]["endtime"]
    assert {moment(after[name]["endtime"]) for name in "bcdz"} == {now}
    assert [after[name]["attributes"][0]["state"] for name in "ad"] == [FAILED, FAILED]
    found = flow.get()
    assert (found["state"], moment(found["endtime"])) == (FAILED, now)
    assert place.statistics() == {"failedprocesses": 5, "failedworkflows": 1}
    assert refusal(flow.close("c")) == (400, "Tried to set failed process as successful")
    assert refusal(flow.close("a")) == (400, "Tried to set failed process as successful")
    assert not any(flow.can_start(name) for name in "dz")


def test_what_a_failed_node_takes_with_it_is_told(clocked: ClockedServer, place: Workplace) -> None:
    flow = place.submit("a b:a c:b z")
    flow.run("a")
    flow.start("b")
    flow.start("z")
    with ExitStack() as stack:
        sockets = {name: stack.enter_context(open_socket(clocked)) for name in "abcz"}
        for name, socket in sockets.items():
            follow(socket, flow, name, FAILED)
        flow.fail("b", "broken")
        for name, socket in sockets.items():
            assert socket.event() == flow.process(name)


def follow(socket: Socket, flow: Flow, name: str, state: int) -> None:
    """Follow a node, from now on."""
    key = flow.place.colony.user_key
    socket.send("subscribeprocessmsg", key, processid=flow.ids[name], state=state, timeout=60)
    if flow.process(name)["state"] == state:
        socket.event()
    assert socket.answers_next(key).error


def test_a_failed_leaf_fails_the_workflow_only(clocked: ClockedServer, place: Workplace) -> None:
    flow = place.submit("a leaf:a b:a c:b")
    flow.run("a", "A")
    flow.start("b")
    flow.start("leaf")
    clocked.clock.advance(1)
    flow.fail("leaf", "broken")
    failed = flow.get()
    assert (failed["state"], moment(failed["endtime"])) == (FAILED, clocked.clock.now())
    assert flow.states() == {"a": SUCCESSFUL, "leaf": FAILED, "b": RUNNING, "c": WAITING}
    clocked.clock.advance(1)
    flow.succeed("b", "B")
    assert flow.run("c")["in"] == ["B"]
    assert flow.states() == {"a": SUCCESSFUL, "leaf": FAILED, "b": SUCCESSFUL, "c": SUCCESSFUL}
    assert {**flow.get(), "nodes": [], "edges": []} == {**failed, "nodes": [], "edges": []}
    assert place.statistics() == {"successfulprocesses": 3, "failedprocesses": 1, "failedworkflows": 1}


def test_an_inner_node_that_fails_after_a_leaf_fails_the_rest(place: Workplace) -> None:
    flow = place.submit("a leaf:a b:a c:b")
    flow.run("a")
    flow.start("leaf")
    flow.fail("leaf")
    flow.start("b")
    flow.fail("b")
    assert flow.states() == dict.fromkeys(("a", "leaf", "b", "c"), FAILED)


def test_the_last_node_fails(place: Workplace) -> None:
    flow = place.submit("a b:a")
    flow.run("a")
    flow.start("b")
    flow.fail("b", "broken")
    assert (flow.state, flow.states()) == (FAILED, {"a": SUCCESSFUL, "b": FAILED})


def test_a_leaf_that_got_a_child_is_none(place: Workplace) -> None:
    flow = place.submit("a b:a")
    flow.run("a")
    flow.start("b")
    flow.add("n", "b")
    flow.fail("b")
    assert (flow.state, flow.states()) == (FAILED, {"a": FAILED, "b": FAILED, "n": FAILED})


def test_a_failure_is_not_tried_again(clocked: ClockedServer, place: Workplace) -> None:
    flow = place.submit("a b:a", a={"maxexectime": 5, "maxretries": 3})
    flow.start("a")
    flow.fail("a")
    clocked.apply_limits(after=10)
    assert flow.states() == {"a": FAILED, "b": FAILED}


# Limits


def test_a_node_that_ran_out_of_time_is_tried_again(clocked: ClockedServer, place: Workplace) -> None:
    flow = place.submit("a b:a", a={"maxexectime": 5, "maxretries": 1})
    flow.start("a")
    started = flow.get()
    clocked.apply_limits(after=6)
    assert flow.states() == {"a": WAITING, "b": WAITING}
    assert (flow.get()["state"], flow.get()["endtime"]) == (RUNNING, UNSET)
    flow.run("a")
    assert flow.get()["starttime"] == started["starttime"]
    flow.run("b")
    assert flow.state == SUCCESSFUL


@pytest.mark.parametrize("name", ["a", "leaf"])
def test_a_node_without_retries_that_runs_out_of_time_fails(
    clocked: ClockedServer, place: Workplace, name: str
) -> None:
    flow = place.submit("a b:a leaf", **{name: {"maxexectime": 5}})
    flow.start("a")
    flow.start("leaf")
    clocked.apply_limits(after=6)
    assert flow.process(name)["errors"] == RAN_TOO_LONG
    if name == "a":
        assert flow.states() == {"a": FAILED, "b": FAILED, "leaf": FAILED}
    else:
        assert flow.states() == {"a": RUNNING, "b": WAITING, "leaf": FAILED}
        flow.succeed("a")
        flow.run("b")
    found = flow.get()
    assert found["state"] == FAILED
    assert refusal(flow.close("leaf"))[0] == 400


def test_an_inner_node_that_waits_too_long_for_its_parents(clocked: ClockedServer, place: Workplace) -> None:
    flow = place.submit("a b:a c:b", b={"maxwaittime": 5})
    flow.start("a")
    clocked.apply_limits(after=6)
    assert flow.process("b")["errors"] == WAITED_TOO_LONG
    assert (flow.state, flow.states()) == (FAILED, {"a": FAILED, "b": FAILED, "c": FAILED})
    assert refusal(flow.close("a")) == (400, "Tried to set failed process as successful")


def test_a_leaf_that_waits_too_long_for_its_parents(clocked: ClockedServer, place: Workplace) -> None:
    flow = place.submit("a b:a", b={"maxwaittime": 5})
    clocked.apply_limits(after=6)
    assert (flow.state, flow.states()) == (FAILED, {"a": WAITING, "b": FAILED})
    assert place.statistics() == {"waitingprocesses": 1, "failedprocesses": 1, "failedworkflows": 1}
    flow.run("a")
    assert (flow.state, flow.states()) == (FAILED, {"a": SUCCESSFUL, "b": FAILED})


def test_the_wait_begins_with_the_submit_of_the_workflow(clocked: ClockedServer, place: Workplace) -> None:
    flow = place.submit("a b:a", b={"maxwaittime": 10})
    clocked.clock.advance(8)
    flow.run("a")
    clocked.apply_limits(after=1)
    assert flow.process("b")["state"] == WAITING
    clocked.apply_limits(after=2)
    assert flow.process("b")["errors"] == WAITED_TOO_LONG


def test_one_look_ends_many_nodes_of_one_workflow(clocked: ClockedServer, place: Workplace) -> None:
    flow = place.submit("a b:a c d", a={"maxexectime": 5}, c={"maxexectime": 5, "maxretries": 3}, d={"maxwaittime": 5})
    flow.start("a")
    flow.start("c")
    clocked.apply_limits(after=6)
    assert flow.states() == dict.fromkeys("abcd", FAILED)
    assert place.statistics() == {"failedprocesses": 4, "failedworkflows": 1}


# Cancelling


def test_cancelling_ends_what_waits_and_what_runs(clocked: ClockedServer, place: Workplace) -> None:
    flow = place.submit(DIAMOND, d={"env": {"D": "1"}})
    flow.run("a")
    flow.start("b")
    clocked.clock.advance(1)
    assert flow.cancel().payload == {}
    now = clocked.clock.now()
    assert flow.states() == {"a": SUCCESSFUL, "b": CANCELLED, "c": CANCELLED, "d": CANCELLED}
    found = flow.get()
    assert (found["state"], moment(found["endtime"])) == (CANCELLED, now)
    assert {moment(flow.process(name)["endtime"]) for name in "bcd"} == {now}
    assert flow.process("b")["assignedexecutorid"] == place.key("b").identity
    assert flow.process("d")["attributes"][0]["state"] == CANCELLED
    assert refusal(flow.close("b")) == (400, "Tried to set cancelled process as successful")
    assert not any(flow.can_start(name) for name in "cd")
    assert place.statistics() == {"successfulprocesses": 1, "cancelledprocesses": 3, "cancelledworkflows": 1}
    assert flow.cancel().status == 200
    assert flow.get()["state"] == CANCELLED


def test_any_member_cancels(place: Workplace) -> None:
    flow = place.submit("a b:a")
    assert place.ok("cancelprocessgraphmsg", place.key("b"), processgraphid=flow.id) == {}
    assert (flow.state, flow.states()) == (CANCELLED, {"a": CANCELLED, "b": CANCELLED})
    assert flow.get()["starttime"] == UNSET


def test_what_is_cancelled_is_told(clocked: ClockedServer, place: Workplace) -> None:
    flow = place.submit("a b:a c:b")
    flow.run("a")
    flow.start("b")
    with ExitStack() as stack:
        sockets = {name: stack.enter_context(open_socket(clocked)) for name in "bc"}
        for name, socket in sockets.items():
            follow(socket, flow, name, CANCELLED)
        flow.cancel()
        for name, socket in sockets.items():
            assert socket.event() == flow.process(name)


@pytest.mark.parametrize("end", ["successful", "failed"])
def test_a_finished_workflow_stays_as_it_is(clocked: ClockedServer, place: Workplace, end: str) -> None:
    flow = place.submit("a b:a")
    flow.start("a")
    if end == "successful":
        flow.succeed("a")
        flow.run("b")
    else:
        flow.fail("a")
    before = [flow.get(), *map(flow.process, flow.ids)]
    clocked.clock.advance(1)
    assert flow.cancel().payload == {}
    assert [flow.get(), *map(flow.process, flow.ids)] == before
    assert flow.state == (SUCCESSFUL if end == "successful" else FAILED)


def test_what_goes_on_in_a_failed_workflow_is_cancelled(place: Workplace) -> None:
    flow = place.submit("leaf a b:a")
    flow.start("leaf")
    flow.fail("leaf")
    flow.start("a")
    assert flow.cancel().status == 200
    assert (flow.state, flow.states()) == (CANCELLED, {"leaf": FAILED, "a": CANCELLED, "b": CANCELLED})
    assert place.statistics() == {"failedprocesses": 1, "cancelledprocesses": 2, "cancelledworkflows": 1}


def test_added_children_are_cancelled_too(place: Workplace) -> None:
    flow = place.submit("a")
    flow.start("a")
    flow.add("n", "a")
    flow.cancel()
    assert flow.states() == {"a": CANCELLED, "n": CANCELLED}


# Events


def test_a_released_child_is_told(clocked: ClockedServer, place: Workplace) -> None:
    flow = place.submit("a b:a")
    flow.start("a")
    with open_socket(clocked) as socket:
        follow(socket, flow, "b", WAITING)
        flow.succeed("a")
        event = socket.event()
    assert (event["processid"], event["state"], event["waitforparents"]) == (flow.ids["b"], WAITING, False)


def test_an_assignment_in_a_workflow_is_told_with_its_input(clocked: ClockedServer, place: Workplace) -> None:
    flow = place.submit("a b:a")
    flow.run("a", "A")
    with open_socket(clocked) as socket:
        follow(socket, flow, "b", RUNNING)
        assigned = flow.start("b")
        assert socket.event() == assigned
    assert assigned["in"] == ["A"]


# Growing


def test_map_and_reduce(place: Workplace) -> None:
    flow = place.submit("map reduce:map")
    mapping = flow.start("map")
    assert (mapping["processgraphid"], mapping["children"]) == (flow.id, [flow.ids["reduce"]])
    workers = [f"w{number}" for number in range(3)]
    for number, name in enumerate(workers):
        flow.add(name, "map", child="reduce", args=[number], maxexectime=60)
    assert not any(flow.can_start(name) for name in (*workers, "reduce"))
    flow.succeed("map", "plan")
    for name in reversed(workers):
        assert not flow.can_start("reduce")
        worker = flow.start(name)
        assert worker["in"] == ["plan"]
        flow.succeed(name, f"{name} did {worker['spec']['args'][0]}")
    assert flow.run("reduce")["in"] == ["plan", "w0 did 0", "w1 did 1", "w2 did 2"]
    assert flow.state == SUCCESSFUL


def test_workers_add_workers(place: Workplace) -> None:
    flow = place.submit("map reduce:map")
    flow.start("map")
    flow.add("w", "map", child="reduce")
    flow.succeed("map")
    flow.start("w")
    flow.add("v", "w", child="reduce")
    flow.succeed("w", "w")
    assert not flow.can_start("reduce")
    assert flow.run("v", "v")["in"] == ["w"]
    assert flow.run("reduce")["in"] == ["w", "v"]
    assert flow.state == SUCCESSFUL


def test_an_inserted_stage_runs_between(place: Workplace) -> None:
    flow = place.submit("a x b:a,x")
    flow.start("a")
    flow.add("n", "a", insert=True)
    flow.succeed("a", "A")
    flow.run("x", "X")
    assert not flow.can_start("b")
    assert flow.run("n", "N")["in"] == ["A"]
    assert flow.run("b")["in"] == ["X", "N"]
    assert flow.state == SUCCESSFUL


def test_a_successful_end_is_none_when_a_child_was_added(place: Workplace) -> None:
    flow = place.submit("a")
    flow.start("a")
    flow.add("n", "a")
    flow.succeed("a")
    assert flow.state == RUNNING
    flow.run("n")
    assert flow.state == SUCCESSFUL


def test_a_failed_worker_fails_everything(place: Workplace) -> None:
    flow = place.submit("map reduce:map")
    flow.start("map")
    for name in ("w0", "w1"):
        flow.add(name, "map", child="reduce")
    flow.succeed("map")
    flow.run("w0")
    flow.start("w1")
    flow.fail("w1")
    assert set(flow.states().values()) == {FAILED}
    assert flow.state == FAILED


# Retention


def test_successful_workflows_go_whole_and_others_stay_whole(postgres_dsn: str) -> None:
    with ClockedServer(create_database(postgres_dsn), retention=True, retention_age=DAY) as clocked:
        place = Workplace(clocked.colony())
        done, running, failed, cancelled = (place.submit("a b:a") for _ in range(4))
        for flow in (done, running, failed, cancelled):
            flow.run("a", "A")
        done.run("b")
        running.start("b")
        failed.start("b")
        failed.fail("b")
        cancelled.cancel()
        clocked.clock.advance(DAY - 1)
        young = place.submit("c")
        young.run("c")
        kept = [running, failed, cancelled, young]
        before = [[flow.get(), *map(flow.process, flow.ids)] for flow in kept]
        clocked.apply_retention()
        assert done.state == SUCCESSFUL

        clocked.apply_retention(after=2)
        assert place.call("getprocessgraphmsg", None, processgraphid=done.id).status == 500
        assert {place.call("getprocessmsg", None, processid=each).status for each in done.ids.values()} == {404}
        assert [[flow.get(), *map(flow.process, flow.ids)] for flow in kept] == before
        counts: dict[str, Any] = {
            "runningworkflows": 1,
            "failedworkflows": 1,
            "cancelledworkflows": 1,
            "successfulworkflows": 1,
            "successfulprocesses": 4,
            "runningprocesses": 1,
            "failedprocesses": 1,
            "cancelledprocesses": 1,
        }
        assert place.statistics() == counts
        clocked.fold_counts()
        assert place.statistics() == counts
        running.succeed("b")
        assert running.state == SUCCESSFUL
        clocked.apply_retention()
        assert place.call("getprocessgraphmsg", None, processgraphid=running.id).status == 500
