"""The messages about crons, row by row of the protocol's tables, and when crons run."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from answers import refusal
from clocked import ClockedServer
from colonies import Answer, Colony, RunningServer, create_colony

from kolony.crypto import PrivateKey
from kolony_apiserver.scans import counts, crons

UNSET = "0001-01-01T00:00:00Z"
ALL = 1000


def node(name: str = "a", **fields: Any) -> dict[str, Any]:
    conditions = {"executortype": "cli", **fields.pop("conditions", {})}
    return {"nodename": name, "funcname": "echo", "conditions": conditions, **fields}


def workflow(*nodes: dict[str, Any], colonyname: str = "") -> str:
    return json.dumps({"colonyname": colonyname, "functionspecs": list(nodes) or [node()]})


def cron_of(colony: Colony, **fields: Any) -> dict[str, Any]:
    return {"colonyname": colony.name, "name": "c", "interval": 10, "workflowspec": workflow(), **fields}


def try_to_add(colony: Colony, **fields: Any) -> Answer:
    return colony.rpc.call("addcronmsg", colony.user_key, cron=cron_of(colony, **fields))


def add(colony: Colony, **fields: Any) -> str:
    """Add a cron; its id."""
    answer = try_to_add(colony, **fields)
    assert answer.status == 200, answer
    return str(answer.payload["cronid"])


def get(colony: Colony, cronid: str) -> dict[str, Any]:
    cron: dict[str, Any] = colony.rpc.ok("getcronmsg", colony.user_key, cronid=cronid)
    return cron


def run(colony: Colony, cronid: str) -> dict[str, Any]:
    cron: dict[str, Any] = colony.rpc.ok("runcronmsg", colony.user_key, cronid=cronid)
    return cron


def started(colony: Colony) -> list[dict[str, Any]]:
    """The processes that wait, in the order of the queue."""
    found = colony.rpc.ok("getprocessesmsg", colony.user_key, colonyname=colony.name, count=100, state=0)
    return list(found or [])


def finish(colony: Colony, executor: PrivateKey, out: list[Any] | None = None) -> dict[str, Any]:
    """Run the next process to its end."""
    process = colony.assign(executor)
    colony.rpc.ok("closesuccessfulmsg", executor, processid=process["processid"], out=out or [])
    return process


def moment(text: str) -> datetime:
    return datetime.fromisoformat(text)


@pytest.fixture
def clocked(database_dsn: str) -> Iterator[ClockedServer]:
    with ClockedServer(database_dsn, cron_checker_period=250) as server:
        yield server


@pytest.fixture
def set_colony(clocked: ClockedServer) -> Colony:
    """A colony in a server whose time is the test's."""
    return clocked.colony()


def pass_time(server: ClockedServer, seconds: float) -> None:
    """Let time pass, then let the server look for crons that are due."""
    server.clock.advance(seconds)
    server.scan(crons.tick)


# Adding


def test_a_new_cron(colony: Colony) -> None:
    text = workflow(node(args=["€", 1.0]), colonyname=colony.name) + " \n"
    fields = {"name": "nightly", "cronexpression": "0 0 2 * * *", "interval": -1, "waitforprevprocessgraph": True}
    added = try_to_add(colony, workflowspec=text, **fields).payload
    assert re.fullmatch("[0-9a-f]{64}", added["cronid"])
    assert added == {
        "cronid": added["cronid"],
        "initiatorid": colony.user_key.identity,
        "initiatorname": "alice",
        "colonyname": colony.name,
        "name": "nightly",
        "cronexpression": "0 0 2 * * *",
        "interval": -1,
        "random": False,
        "nextrun": UNSET,
        "lastrun": UNSET,
        "workflowspec": text,
        "prevprocessgraphid": "",
        "waitforprevprocessgraph": True,
        "checkerperiod": 0,
    }
    # The server may have planned it by now.
    got = get(colony, added["cronid"])
    assert {**got, "nextrun": UNSET} == {**added, "checkerperiod": 1000}


def test_what_only_the_server_knows_is_ignored(colony: Colony) -> None:
    given = {
        "cronid": "x" * 64,
        "initiatorid": "x",
        "initiatorname": "mallory",
        "nextrun": "2026-11-22T17:01:15Z",
        "lastrun": "2026-11-22T17:01:15Z",
        "prevprocessgraphid": "x",
        "checkerperiod": 5,
    }
    added = try_to_add(colony, **given).payload
    assert added["cronid"] != given["cronid"]
    assert (added["initiatorid"], added["initiatorname"]) == (colony.user_key.identity, "alice")
    assert (added["nextrun"], added["lastrun"], added["prevprocessgraphid"]) == (UNSET, UNSET, "")
    assert added["checkerperiod"] == 0


@pytest.mark.parametrize("text", ["", "null", "5", "[]", '{"functionspecs":5}', '{"functionspecs":[}', "{} {}"])
def test_a_workflow_that_cannot_be_read(colony: Colony, text: str) -> None:
    status, says = refusal(try_to_add(colony, workflowspec=text))
    assert status == 400
    assert says.startswith("the workflow specification cannot be read: ")


@pytest.mark.parametrize(
    "nodes, says",
    [
        (
            [node("b", conditions={"dependencies": ["nobody"]})],
            "Failed to submit workflow, invalid dependencies, are you depending on a nodename that does not exits?",
        ),
        ([node("")], "Nodename is missing, check function spec for errors"),
        ([node("a"), node("a")], "Duplicate nodename: a"),
        ([node("a", conditions={"dependencies": ["a"]})], "Failed to submit workflow, node <a> depends on itself"),
    ],
)
def test_a_workflow_that_could_never_start(colony: Colony, nodes: list[dict[str, Any]], says: str) -> None:
    status, text = refusal(try_to_add(colony, workflowspec=workflow(*nodes)))
    assert status == 400
    assert text.startswith(says)


def test_a_workflow_for_another_colony(server: RunningServer, colony: Colony) -> None:
    other = create_colony(server).name
    status, text = refusal(try_to_add(colony, workflowspec=workflow(colonyname=other)))
    assert (status, other in text, colony.name in text) == (400, True, True)


INTERVAL = "Cron interval must be -1 (disabled) or larger than 0"


@pytest.mark.parametrize(
    "fields, says",
    [
        ({"interval": 0}, INTERVAL),
        ({"interval": None}, INTERVAL),
        ({"interval": -2, "cronexpression": "* * * * * *"}, INTERVAL),
        ({"interval": -2, "cronexpression": "TZ=UTC"}, INTERVAL),
        ({"interval": 2**62}, "Cron interval must be at most 3153600000 seconds"),
        ({"interval": -1, "cronexpression": ""}, "empty cron expression string"),
        (
            {"interval": -1, "cronexpression": "* * * * *"},
            "expected exactly 6 fields, found 5: [* * * * *]",
        ),
        ({"interval": -1, "cronexpression": "TZ=UTC"}, "nothing follows the time zone UTC"),
        (
            {"interval": -1, "cronexpression": "* * * * * *", "random": True},
            "Random cron is only supported when specifying intervals",
        ),
        ({"timezone": "Nope/Zone"}, "unknown time zone Nope/Zone"),
        ({"missed": "sometimes"}, "missed must be one of once, skip, all"),
        ({"missedlimit": 1001}, "missedlimit must be between 1 and 1000, or 0 for 100"),
    ],
)
def test_times_that_are_none(colony: Colony, fields: dict[str, Any], says: str) -> None:
    assert refusal(try_to_add(colony, **fields)) == (400, says)
    assert colony.rpc.ok("getcronsmsg", colony.user_key, colonyname=colony.name, count=ALL) == []


def test_an_expression_beside_an_interval_is_not_read(colony: Colony) -> None:
    assert get(colony, add(colony, cronexpression="anything"))["cronexpression"] == "anything"


def test_a_name_is_used_once_in_a_colony(server: RunningServer, colony: Colony) -> None:
    for name in ("c", ""):
        add(colony, name=name)
        again = try_to_add(colony, name=name)
        assert refusal(again) == (400, f"Cron with name <{name}> in Colony <{colony.name}> already exists")
    add(create_colony(server))


# Looking, removing


def test_crons_are_listed_in_the_order_they_were_added(colony: Colony) -> None:
    def listed(count: int) -> list[str]:
        found = colony.rpc.ok("getcronsmsg", colony.user_key, colonyname=colony.name, count=count)
        return [cron["name"] for cron in found]

    assert colony.rpc.ok("getcronsmsg", colony.user_key, colonyname=colony.name, count=ALL) == []
    for name in "cab":
        add(colony, name=name)
    assert (listed(ALL), listed(2), listed(0)) == (["c", "a", "b"], ["c", "a"], [])
    negative = colony.rpc.call("getcronsmsg", colony.user_key, colonyname=colony.name, count=-1)
    assert refusal(negative) == (400, "pq: LIMIT must not be negative")


def test_a_removed_cron_leaves_its_workflows(colony: Colony) -> None:
    cronid = add(colony)
    run(colony, cronid)
    assert colony.rpc.ok("removecronmsg", colony.user_key, cronid=cronid) == {}
    gone = colony.rpc.call("getcronmsg", colony.user_key, cronid=cronid)
    assert refusal(gone) == (500, "Failed to get cron, cron is nil")
    assert len(started(colony)) == 1
    add(colony)


# Running now


def test_a_run_by_hand_answers_with_what_it_did(set_colony: Colony, clocked: ClockedServer) -> None:
    cronid = add(set_colony, name="c1")
    ran = run(set_colony, cronid)
    assert moment(ran["lastrun"]) == clocked.clock.now()
    assert moment(ran["nextrun"]) == clocked.clock.now() + timedelta(seconds=10)
    graph = set_colony.rpc.ok("getprocessgraphmsg", set_colony.user_key, processgraphid=ran["prevprocessgraphid"])
    assert (graph["initiatorname"], graph["colonyname"]) == ("alice", set_colony.name)
    assert [each["processid"] for each in started(set_colony)] == graph["processids"]
    assert get(set_colony, cronid) == {**ran, "checkerperiod": 250}


def test_a_run_by_hand_leaves_the_interval_where_it_is(set_colony: Colony, clocked: ClockedServer) -> None:
    cronid = add(set_colony)
    pass_time(clocked, 0)
    planned = get(set_colony, cronid)["nextrun"]
    clocked.clock.advance(4)
    assert run(set_colony, cronid)["nextrun"] == planned


def test_a_run_by_hand_waits_for_the_previous_workflow(set_colony: Colony) -> None:
    cronid = add(set_colony, waitforprevprocessgraph=True)
    first = run(set_colony, cronid)
    assert run(set_colony, cronid) == first
    assert len(started(set_colony)) == 1


def test_a_run_by_hand_that_fails_changes_nothing(set_colony: Colony, clocked: ClockedServer) -> None:
    cronid = add(set_colony, workflowspec=workflow(node(conditions={"mem": "lots"})))
    before = get(set_colony, cronid)
    assert run(set_colony, cronid) == {**before, "checkerperiod": 0}
    assert started(set_colony) == []
    assert clocked.parts.metrics.cron_runs.labels("failed")._value.get() == 1


# Running by time


def test_an_interval_runs_first_after_one_interval_and_then_in_phase(
    set_colony: Colony, clocked: ClockedServer
) -> None:
    cronid = add(set_colony)
    begin = clocked.clock.now()
    pass_time(clocked, 0)
    cron = get(set_colony, cronid)
    assert (moment(cron["nextrun"]), cron["lastrun"]) == (begin + timedelta(seconds=10), UNSET)
    pass_time(clocked, 9.9)
    assert started(set_colony) == []
    pass_time(clocked, 0.8)
    assert len(started(set_colony)) == 1
    cron = get(set_colony, cronid)
    assert moment(cron["lastrun"]) == clocked.clock.now()
    assert moment(cron["nextrun"]) == begin + timedelta(seconds=20)
    pass_time(clocked, 0)
    assert len(started(set_colony)) == 1


def test_an_expression_runs_on_whole_seconds(set_colony: Colony, clocked: ClockedServer) -> None:
    cronid = add(set_colony, interval=-1, cronexpression="0/5 * * * * *")
    pass_time(clocked, 0)
    slots = []
    for _ in range(3):
        slots.append(moment(get(set_colony, cronid)["nextrun"]))
        pass_time(clocked, (slots[-1] - clocked.clock.now()).total_seconds())
    assert all(slot.second % 5 == slot.microsecond == 0 for slot in slots)
    assert slots[2] - slots[0] == timedelta(seconds=10)
    assert len(started(set_colony)) == 3


def test_a_random_cron_runs_once_within_its_interval(set_colony: Colony, clocked: ClockedServer) -> None:
    cronid = add(set_colony, random=True, interval=100)
    pass_time(clocked, 0)
    nextrun = moment(get(set_colony, cronid)["nextrun"])
    assert clocked.clock.now() <= nextrun <= clocked.clock.now() + timedelta(seconds=100)
    pass_time(clocked, 100)
    assert len(started(set_colony)) == 1


def test_an_expression_that_never_comes(set_colony: Colony, clocked: ClockedServer) -> None:
    cronid = add(set_colony, interval=-1, cronexpression="0 0 0 30 2 *")
    for _ in range(3):
        pass_time(clocked, 86_400)
    assert get(set_colony, cronid)["nextrun"] == UNSET
    assert started(set_colony) == []


def test_outputs_of_the_last_run_become_the_input_of_the_next(set_colony: Colony) -> None:
    executor = set_colony.add_executor("e1")
    last = node("b", conditions={"dependencies": ["a"]}, kwargs={"k": "v"})
    cronid = add(set_colony, workflowspec=workflow(node(args=["x"]), last))
    run(set_colony, cronid)
    first = finish(set_colony, executor, ["A"])
    assert first["in"] in ([], None)
    finish(set_colony, executor, ["B1", "B2"])
    run(set_colony, cronid)
    root = set_colony.assign(executor)
    assert (root["in"], root["spec"]["args"], root["spec"]["nodename"]) == (["B1", "B2"], ["x"], "a")


ENDS = {
    "success": lambda colony, executor, graph: finish(colony, executor),
    "failure": lambda colony, executor, graph: colony.rpc.ok(
        "closefailedmsg", executor, processid=colony.assign(executor)["processid"], errors=["e"]
    ),
    "cancel": lambda colony, executor, graph: colony.rpc.ok(
        "cancelprocessgraphmsg", colony.user_key, processgraphid=graph
    ),
    "removal": lambda colony, executor, graph: colony.rpc.ok(
        "removeprocessgraphmsg", colony.user_key, processgraphid=graph
    ),
}


@pytest.mark.parametrize("end", ENDS)
def test_waiting_for_the_previous_workflow_ends_with_it(set_colony: Colony, clocked: ClockedServer, end: str) -> None:
    executor = set_colony.add_executor("e1")
    cronid = add(set_colony, waitforprevprocessgraph=True)
    pass_time(clocked, 0)
    pass_time(clocked, 10)
    first = get(set_colony, cronid)
    pass_time(clocked, 35)
    assert get(set_colony, cronid) == first
    ENDS[end](set_colony, executor, first["prevprocessgraphid"])
    pass_time(clocked, 1)
    second = get(set_colony, cronid)
    assert second["prevprocessgraphid"] != first["prevprocessgraphid"]
    # One run for all the times that passed, and the next one in phase.
    assert moment(second["nextrun"]) == moment(first["nextrun"]) + timedelta(seconds=30)


def test_a_run_that_fails_is_over(set_colony: Colony, clocked: ClockedServer) -> None:
    cronid = add(set_colony, workflowspec=workflow(node(conditions={"mem": "lots"})))
    good = add(set_colony, name="good")
    pass_time(clocked, 0)
    first = get(set_colony, cronid)
    pass_time(clocked, 10)
    after = get(set_colony, cronid)
    assert moment(after["nextrun"]) == moment(first["nextrun"]) + timedelta(seconds=10)
    assert (after["lastrun"], after["prevprocessgraphid"]) == (UNSET, "")
    pass_time(clocked, 0)
    assert clocked.parts.metrics.cron_runs.labels("failed")._value.get() == 1
    # It leaves nothing behind, and does not keep others from their turn.
    assert get(set_colony, good)["lastrun"] != UNSET
    graphs = set_colony.rpc.ok(
        "getprocessgraphsmsg", set_colony.user_key, colonyname=set_colony.name, count=10, state=0
    )
    assert len(graphs) == 1


def test_nothing_is_started_for_who_was_put_out(set_colony: Colony, clocked: ClockedServer) -> None:
    bob = PrivateKey.generate()
    user = {"colonyname": set_colony.name, "userid": bob.identity, "name": "bob"}
    set_colony.rpc.ok("addusermsg", set_colony.colony_key, user=user)
    cronid = set_colony.rpc.ok("addcronmsg", bob, cron=cron_of(set_colony))["cronid"]
    set_colony.rpc.ok("removeusermsg", set_colony.colony_key, colonyname=set_colony.name, name="bob")
    pass_time(clocked, 0)
    pass_time(clocked, 10)
    assert started(set_colony) == []
    assert get(set_colony, cronid)["lastrun"] == UNSET


def test_a_cron_goes_on_under_the_new_key_of_its_initiator(set_colony: Colony, clocked: ClockedServer) -> None:
    cronid = add(set_colony)
    new = PrivateKey.generate()
    of = {"colonyname": set_colony.name, "userid": new.identity}
    set_colony.rpc.ok("changeuseridmsg", set_colony.user_key, **of)
    set_colony.user_key = new
    pass_time(clocked, 0)
    pass_time(clocked, 10)
    [process] = started(set_colony)
    assert (process["initiatorid"], process["initiatorname"]) == (new.identity, "alice")
    assert get(set_colony, cronid)["initiatorid"] == new.identity


# Time zones


@pytest.mark.parametrize(
    "begin, expected",
    [
        # 02:30 does not exist on 29 March
        ("2026-03-28T12:00:00+00:00", ["2026-03-30T00:30:00+00:00", "2026-03-31T00:30:00+00:00"]),
        # and comes twice on 25 October
        ("2026-10-24T12:00:00+00:00", ["2026-10-25T00:30:00+00:00", "2026-10-25T01:30:00+00:00"]),
    ],
)
@pytest.mark.parametrize("where", ["server", "cron", "expression"])
def test_daylight_saving(
    set_colony: Colony, clocked: ClockedServer, begin: str, expected: list[str], where: str
) -> None:
    fields = {"interval": -1, "cronexpression": "0 30 2 * * *"}
    if where == "server":
        clocked.clock.zone = ZoneInfo("Europe/Stockholm")
    elif where == "cron":
        fields["timezone"] = "Europe/Stockholm"
    else:
        fields["cronexpression"] = "CRON_TZ=Europe/Stockholm 0 30 2 * * *"
    clocked.clock.set(moment(begin))
    cronid = add(set_colony, **fields)
    pass_time(clocked, 0)
    slots = []
    for number in range(2):
        slots.append(moment(get(set_colony, cronid)["nextrun"]))
        pass_time(clocked, (slots[-1] - clocked.clock.now()).total_seconds() - 1)
        assert len(started(set_colony)) == number
        pass_time(clocked, 1)
        assert len(started(set_colony)) == number + 1
    assert [slot.astimezone(UTC).isoformat() for slot in slots] == expected


# Missed slots


@pytest.mark.parametrize(
    "policy, runs",
    [
        ({}, 1),
        ({"missed": "once"}, 1),
        ({"missed": "skip"}, 0),
        ({"missed": "all"}, 5),
        ({"missed": "all", "missedlimit": 2}, 2),
    ],
)
def test_what_becomes_of_times_that_passed_during_an_outage(
    set_colony: Colony, clocked: ClockedServer, policy: dict[str, Any], runs: int
) -> None:
    cronid = add(set_colony, interval=3600, **policy)
    begin = clocked.clock.now()
    pass_time(clocked, 0)
    pass_time(clocked, 5.5 * 3600)
    assert len(started(set_colony)) == runs
    cron = get(set_colony, cronid)
    assert moment(cron["nextrun"]) == begin + timedelta(hours=6)
    assert {name: cron[name] for name in ("missed", "missedlimit") if name in cron} == policy
    pass_time(clocked, 0)
    assert len(started(set_colony)) == runs
    pass_time(clocked, 1800)
    assert len(started(set_colony)) == runs + 1


def test_runs_that_make_up_for_others_wait_for_each_other(set_colony: Colony, clocked: ClockedServer) -> None:
    executor = set_colony.add_executor("e1")
    add(set_colony, interval=3600, missed="all", waitforprevprocessgraph=True)
    pass_time(clocked, 0)
    pass_time(clocked, 3.5 * 3600)
    for _ in range(3):
        pass_time(clocked, 1)
        assert len(started(set_colony)) == 1
        finish(set_colony, executor)
    pass_time(clocked, 1)
    assert started(set_colony) == []


# Additions: pause, update


def test_a_paused_cron_rests_until_it_is_resumed(set_colony: Colony, clocked: ClockedServer) -> None:
    cronid = add(set_colony, missed="all")
    pass_time(clocked, 0)
    for _ in range(2):
        paused = set_colony.rpc.ok("kolonypausecronmsg", set_colony.user_key, cronid=cronid)
        assert (paused["paused"], paused["nextrun"]) == (True, UNSET)
    pass_time(clocked, 1000)
    assert started(set_colony) == []
    run(set_colony, cronid)
    assert len(started(set_colony)) == 1
    assert get(set_colony, cronid)["nextrun"] == UNSET

    for _ in range(2):
        resumed = set_colony.rpc.ok("kolonyresumecronmsg", set_colony.user_key, cronid=cronid)
        assert "paused" not in resumed
    pass_time(clocked, 0)
    assert moment(get(set_colony, cronid)["nextrun"]) == clocked.clock.now() + timedelta(seconds=10)
    # To resume what goes on changes nothing.
    clocked.clock.advance(4)
    planned = get(set_colony, cronid)["nextrun"]
    assert set_colony.rpc.ok("kolonyresumecronmsg", set_colony.user_key, cronid=cronid)["nextrun"] == planned


def update(colony: Colony, cronid: str, **fields: Any) -> Answer:
    return colony.rpc.call("kolonyupdatecronmsg", colony.user_key, cron=cron_of(colony, cronid=cronid, **fields))


def test_an_update_replaces_what_was_said(set_colony: Colony, clocked: ClockedServer) -> None:
    cronid = add(set_colony, waitforprevprocessgraph=True, missed="skip")
    pass_time(clocked, 0)
    ran = run(set_colony, cronid)
    executor = set_colony.add_executor("e1")
    text = workflow(node("new"))
    fields = {"cronid": cronid, "name": "renamed", "interval": 10, "workflowspec": text}
    updated = set_colony.rpc.ok("kolonyupdatecronmsg", executor, cron=fields)
    assert updated == {
        **{name: value for name, value in ran.items() if name != "missed"},
        "name": "renamed",
        "workflowspec": text,
        "waitforprevprocessgraph": False,
        "initiatorid": executor.identity,
        "initiatorname": "e1",
    }
    pass_time(clocked, 10)
    assert [each["spec"]["nodename"] for each in started(set_colony)] == ["a", "new"]
    # Other times are planned anew.
    assert update(set_colony, cronid, interval=20).payload["nextrun"] == UNSET
    pass_time(clocked, 0)
    assert moment(get(set_colony, cronid)["nextrun"]) == clocked.clock.now() + timedelta(seconds=20)


def test_an_update_is_checked_like_a_new_cron(server: RunningServer, colony: Colony) -> None:
    cronid = add(colony)
    add(colony, name="taken")
    before = get(colony, cronid)
    other = create_colony(server)
    taken = f"Cron with name <taken> in Colony <{colony.name}> already exists"
    assert refusal(update(colony, cronid, name="taken")) == (400, taken)
    assert refusal(update(colony, cronid, interval=0)) == (400, INTERVAL)
    assert refusal(update(colony, cronid, workflowspec="null"))[0] == 400
    moved = update(colony, cronid, colonyname=other.name, workflowspec=workflow())
    assert refusal(moved) == (400, "Failed to update cron, a cron stays in its colony")
    after = get(colony, cronid)
    assert {**after, "nextrun": ""} == {**before, "nextrun": ""}


# Metrics


def test_metrics(set_colony: Colony, clocked: ClockedServer) -> None:
    def lag() -> float:
        clocked.run(counts.measure)
        [family] = [
            each for each in clocked.parts.metrics.measured.collect() if each.name == "colonies_cron_lag_seconds"
        ]
        return float(family.samples[0].value)

    assert lag() == 0
    add(set_colony)
    assert lag() == 0
    pass_time(clocked, 0)
    clocked.clock.advance(25)
    assert lag() == pytest.approx(15, abs=0.01)
    pass_time(clocked, 0)
    assert lag() == 0
    assert clocked.parts.metrics.cron_runs.labels("started")._value.get() == 1
