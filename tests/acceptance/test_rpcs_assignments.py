"""Assignment: which process goes to whom, in which order, how long a call waits, and pauses."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from datetime import datetime, timedelta
from typing import Any

import pytest
from answers import refusal
from clocked import ClockedServer, eventually
from colonies import Answer, Colony, RunningServer, create_colony, create_database

from kolony.crypto import PrivateKey

DAY = 86_400
NOTHING = (404, "No process available for assignment")
PAUSED_NOW = (503, "No processes available: colony assignments are paused")
PAUSED_TOO_LONG = (408, "Assignment timeout: colony assignments are paused")


@pytest.fixture(scope="module")
def clocked(postgres_dsn: str) -> Iterator[ClockedServer]:
    with ClockedServer(create_database(postgres_dsn)) as server:
        yield server


@pytest.fixture
def threads() -> Iterator[ThreadPoolExecutor]:
    with ThreadPoolExecutor() as pool:
        yield pool


def assign(colony: Colony, key: PrivateKey, timeout: int = -1, **offer: str) -> Answer:
    return colony.rpc.call("assignprocessmsg", key, colonyname=colony.name, timeout=timeout, **offer)


def assign_all(colony: Colony, key: PrivateKey) -> list[str]:
    """Take processes until there are none; their names."""
    taken = []
    while (answer := assign(colony, key)).status == 200:
        taken.append(answer.payload["spec"]["funcname"])
    assert refusal(answer) == NOTHING
    return taken


# The call


@pytest.mark.parametrize(
    "fields, expected",
    [
        ({}, (400, "Invalid timeout value, timeout cannot be zero")),
        ({"timeout": 0, "availablecpu": "m"}, (400, "Invalid timeout value, timeout cannot be zero")),
        ({"timeout": -1, "availablecpu": "m", "availablemem": "1"}, (400, "Error converting CPU to int")),
        ({"timeout": -1, "availablecpu": "1.5m"}, (400, "Error converting CPU to int")),
    ],
    ids=str,
)
def test_calls_that_are_refused(colony: Colony, fields: dict[str, Any], expected: tuple[int, str]) -> None:
    key = colony.add_executor("e1")
    assert refusal(colony.rpc.call("assignprocessmsg", key, colonyname=colony.name, **fields)) == expected


@pytest.mark.parametrize("memory", ["1024", "1.5Gi", "lots"])
def test_memory_that_is_none(colony: Colony, memory: str) -> None:
    status, text = refusal(assign(colony, colony.add_executor("e1"), availablemem=memory))
    assert status == 400
    assert text.startswith("error converting memory to int: ")


def test_a_user_is_told_before_its_offer_is_read(colony: Colony) -> None:
    answer = assign(colony, colony.user_key, availablecpu="m")
    assert refusal(answer) == (500, "Failed to assign process, executor not found")


def test_an_assigned_process(clocked: ClockedServer) -> None:
    colony = clocked.colony()
    key = colony.add_executor("e1")
    submitted = colony.submit(maxexectime=50, maxwaittime=100, env={"A": "1"})
    clocked.clock.advance(5)
    assigned = colony.assign(key)
    now = clocked.clock.now()
    assert datetime.fromisoformat(assigned["starttime"]) == now
    assert datetime.fromisoformat(assigned["execdeadline"]) == now + timedelta(seconds=50)
    changed = {"starttime": None, "execdeadline": None, "attributes": None, "attempt": None}
    assert {**assigned, **changed} == {
        **submitted,
        **changed,
        "state": 1,
        "isassigned": True,
        "assignedexecutorid": key.identity,
    }
    assert assigned == colony.rpc.ok("getprocessmsg", colony.user_key, processid=assigned["processid"])


@pytest.mark.parametrize("maxexectime", [0, -1, -7])
def test_no_limit_of_running_is_no_deadline(clocked: ClockedServer, maxexectime: int) -> None:
    colony = clocked.colony()
    key = colony.add_executor("e1")
    colony.submit(maxexectime=maxexectime)
    assigned = colony.assign(key)
    assert assigned["execdeadline"] == "0001-01-01T00:00:00Z"
    clocked.apply_limits(after=10 * DAY)
    assert colony.rpc.ok("getprocessmsg", colony.user_key, processid=assigned["processid"]) == assigned


def test_nobody_gets_what_another_has(colony: Colony) -> None:
    first, second = colony.add_executor("e1"), colony.add_executor("e2")
    colony.submit()
    colony.assign(first)
    assert refusal(assign(colony, second)) == NOTHING
    assert refusal(assign(colony, first)) == NOTHING


# Matching


@pytest.mark.parametrize(
    "conditions, executor, offer, matches",
    [
        ({}, {}, {}, True),
        # the type, to the letter
        ({"executortype": "other"}, {}, {}, False),
        ({"executortype": "CLI"}, {}, {}, False),
        ({"executortype": ""}, {}, {}, False),
        ({"executortype": ""}, {"executortype": ""}, {}, True),
        ({}, {"executortype": ""}, {}, False),
        # names
        ({"executornames": []}, {}, {}, True),
        ({"executornames": None}, {}, {}, True),
        ({"executornames": ["*"]}, {}, {}, True),
        ({"executornames": ["e1"]}, {}, {}, True),
        ({"executornames": ["e0", "e1", "e1"]}, {}, {}, True),
        ({"executornames": ["E1"]}, {}, {}, False),
        ({"executornames": ["e0"]}, {}, {}, False),
        ({"executornames": ["e0", "*"]}, {}, {}, False),
        ({"executornames": ["e1"], "executortype": "other"}, {}, {}, False),
        # places, in any case
        ({}, {"locationname": "Stockholm"}, {}, True),
        ({"locationname": ""}, {"locationname": "Stockholm"}, {}, True),
        ({"locationname": "Stockholm"}, {"locationname": "Stockholm"}, {}, True),
        ({"locationname": "sTOCKHOLM"}, {"locationname": "Stockholm"}, {}, True),
        ({"locationname": "ÅRE"}, {"locationname": "åre"}, {}, True),
        ({"locationname": "Stockholm"}, {"locationname": "Kiruna"}, {}, False),
        ({"locationname": "Stockholm"}, {}, {}, False),
        ({"locationname": "here", "executornames": ["e1"]}, {"locationname": "HERE"}, {}, True),
        ({"locationname": "here", "executornames": ["e1"]}, {"locationname": "there"}, {}, False),
        # amounts
        ({"cpu": "1000m"}, {}, {}, True),
        ({"cpu": "1000m"}, {}, {"availablecpu": "1000m"}, True),
        ({"cpu": "1000m"}, {}, {"availablecpu": "999m"}, False),
        ({"cpu": "2"}, {}, {"availablecpu": "0m"}, True),
        ({"cpu": "1m"}, {}, {"availablecpu": "2"}, False),
        ({}, {}, {"availablecpu": "2"}, True),
        ({"mem": "1Gi"}, {}, {}, True),
        ({"mem": "1Gi"}, {}, {"availablemem": "1024Mi"}, True),
        ({"mem": "1Gi"}, {}, {"availablemem": "1023Mi"}, False),
        ({"mem": "1G"}, {}, {"availablemem": "954Mi"}, True),
        ({"cpu": "2m", "mem": "1Gi"}, {}, {"availablecpu": "2m", "availablemem": "1Mi"}, False),
        ({"cpu": "2m", "mem": "1Gi"}, {}, {"availablecpu": "1m", "availablemem": "2Gi"}, False),
        ({"cpu": "2m", "mem": "1Gi"}, {}, {"availablecpu": "2m", "availablemem": "2Gi"}, True),
        # what does not count
        ({"storage": "10Gi"}, {}, {"availablemem": "1Mi"}, True),
        ({"gpu": {"name": "none", "mem": "80Gi", "count": 8}}, {}, {}, True),
        ({"nodes": 1000, "processes": 1000, "processespernode": 1000, "walltime": 1}, {}, {}, True),
        ({"dependencies": ["nobody"]}, {"requirefuncreg": True}, {}, True),
    ],
    ids=str,
)
def test_which_process_an_executor_may_get(
    colony: Colony, conditions: dict[str, Any], executor: dict[str, Any], offer: dict[str, str], matches: bool
) -> None:
    key = colony.add_executor("e1", **executor)
    submitted = colony.submit(conditions=conditions)
    answer = assign(colony, key, **offer)
    if matches:
        assert answer.payload["processid"] == submitted["processid"]
    else:
        assert refusal(answer) == NOTHING
        unchanged = colony.rpc.ok("getprocessmsg", colony.user_key, processid=submitted["processid"])
        assert unchanged == submitted


def test_processes_of_other_colonies_are_not_handed_out(server: RunningServer, colony: Colony) -> None:
    create_colony(server).submit()
    assert refusal(assign(colony, colony.add_executor("e1"))) == NOTHING


@pytest.mark.parametrize("change", ["cancelprocessmsg", "removeprocessmsg"])
def test_processes_that_wait_no_more_are_not_handed_out(colony: Colony, change: str) -> None:
    key = colony.add_executor("e1")
    first, second = (colony.submit()["processid"] for _ in range(2))
    colony.rpc.ok(change, colony.user_key, processid=first)
    assert colony.assign(key)["processid"] == second
    assert refusal(assign(colony, key)) == NOTHING


# Order


def test_priority_is_a_head_start_of_a_day(clocked: ClockedServer) -> None:
    colony = clocked.colony()
    key = colony.add_executor("e1")
    for name, priority, then in (
        ("first day", 0, DAY - 1),
        ("a day later, urgent", 1, 2),
        ("later than that, urgent", 1, 0),
        ("late", 0, 0),
        ("late, not urgent", -1, 0),
        ("late, very urgent", 5, 0),
    ):
        colony.submit(funcname=name, priority=priority)
        clocked.clock.advance(then)
    assert assign_all(colony, key) == [
        "late, very urgent",
        "a day later, urgent",
        "first day",
        "later than that, urgent",
        "late",
        "late, not urgent",
    ]


def test_one_order_for_all_that_an_executor_may_get(clocked: ClockedServer) -> None:
    colony = clocked.colony()
    key = colony.add_executor("e1", locationname="here")
    for number, conditions in enumerate(
        (
            {},
            {"executornames": ["e1"]},
            {"locationname": "HERE"},
            {"executornames": ["e2"]},
            {"cpu": "5m", "mem": "1Gi"},
            {"executornames": ["e2", "e1"], "locationname": "here"},
            {"executortype": "other"},
            {},
        )
    ):
        colony.submit(funcname=str(number), conditions=conditions)
        clocked.clock.advance(1)
    assert assign_all(colony, key) == ["0", "1", "2", "4", "5", "7"]


@pytest.mark.parametrize("why", ["removed", "out of time"])
def test_a_process_returns_to_its_old_place(clocked: ClockedServer, why: str) -> None:
    colony = clocked.colony()
    lost, key = colony.add_executor("e1"), colony.add_executor("e2")
    colony.submit(funcname="old", maxexectime=10, maxretries=1)
    place = colony.assign(lost)["prioritytime"]
    clocked.clock.advance(1)
    colony.submit(funcname="new")
    if why == "removed":
        colony.rpc.ok("removeexecutormsg", colony.colony_key, colonyname=colony.name, executorname="e1")
    else:
        clocked.apply_limits(after=11)
    again = colony.assign(key)
    assert (again["spec"]["funcname"], again["prioritytime"]) == ("old", place)
    assert assign_all(colony, key) == ["new"]


# Waiting


def parked(server: ClockedServer, calls: int) -> None:
    eventually(lambda: server.parked() == calls)


def test_a_call_waits_for_a_process(clocked: ClockedServer, threads: ThreadPoolExecutor) -> None:
    colony = clocked.colony()
    waiting = threads.submit(colony.assign, colony.add_executor("e1"), 60)
    parked(clocked, 1)
    submitted = colony.submit()
    assert waiting.result(10)["processid"] == submitted["processid"]


def test_a_call_ends_when_its_time_is_over(colony: Colony) -> None:
    assert refusal(assign(colony, colony.add_executor("e1"), timeout=1)) == NOTHING


def test_only_who_can_take_a_process_is_woken_by_it(clocked: ClockedServer, threads: ThreadPoolExecutor) -> None:
    colony, elsewhere = clocked.colony(), clocked.colony()
    keys = {name: colony.add_executor(name) for name in ("e1", "e2", "e3")}
    calls = {name: threads.submit(assign, colony, key, 60) for name, key in keys.items()}
    foreign = threads.submit(assign, elsewhere, elsewhere.add_executor("e2"), 60)
    parked(clocked, 4)
    for name in ("e2", "e3", "e1"):
        submitted = colony.submit(conditions={"executornames": [name]})
        assert calls.pop(name).result(10).payload["processid"] == submitted["processid"]
        assert not any(call.done() for call in calls.values())
    assert elsewhere.submit()["processid"] == foreign.result(10).payload["processid"]


def test_each_of_several_processes_goes_to_one_of_those_who_wait(
    clocked: ClockedServer, threads: ThreadPoolExecutor
) -> None:
    colony = clocked.colony()
    calls = [threads.submit(assign, colony, colony.add_executor(f"e{number}"), 60) for number in range(4)]
    parked(clocked, 4)
    submitted = {colony.submit()["processid"] for _ in range(4)}
    assert {call.result(10).payload["processid"] for call in calls} == submitted


# Pauses


def change(colony: Colony, msgtype: str) -> None:
    assert colony.rpc.ok(msgtype, colony.colony_key, colonyname=colony.name) == {}


def status(colony: Colony) -> Answer:
    return colony.rpc.call("getpausestatusmsg", colony.user_key, colonyname=colony.name)


def test_the_status_says_whether_a_colony_is_paused(colony: Colony) -> None:
    for msgtype, paused in (
        ("resumeassignmentsmsg", False),
        ("pauseassignmentsmsg", True),
        ("pauseassignmentsmsg", True),
        ("resumeassignmentsmsg", False),
        ("resumeassignmentsmsg", False),
    ):
        change(colony, msgtype)
        answer = status(colony)
        assert (answer.status, answer.payloadtype) == (200, "pausestatusreplymsg")
        assert list(answer.payload.items()) == [
            ("msgtype", "pausestatusreplymsg"),
            ("colonyname", colony.name),
            ("ispaused", paused),
        ]


def test_nothing_is_assigned_while_paused(colony: Colony) -> None:
    key = colony.add_executor("e1")
    submitted = colony.submit()
    change(colony, "pauseassignmentsmsg")
    assert refusal(assign(colony, key, timeout=-1)) == PAUSED_NOW
    assert refusal(assign(colony, key, timeout=1)) == PAUSED_TOO_LONG
    assert refusal(assign(colony, key, timeout=0))[0] == 400
    change(colony, "resumeassignmentsmsg")
    assert colony.assign(key)["processid"] == submitted["processid"]


def test_everything_else_goes_on_while_paused(server: RunningServer, colony: Colony) -> None:
    key = colony.add_executor("e1")
    colony.submit()
    running = colony.assign(key)["processid"]
    change(colony, "pauseassignmentsmsg")
    colony.rpc.ok("addlogmsg", key, processid=running, message="still here")
    colony.rpc.ok("closesuccessfulmsg", key, processid=running)
    colony.rpc.ok("cancelprocessmsg", colony.user_key, processid=colony.submit()["processid"])
    other = create_colony(server)
    submitted = other.submit()
    assert other.assign(other.add_executor("e1"))["processid"] == submitted["processid"]


def test_limits_go_on_while_paused(clocked: ClockedServer) -> None:
    colony = clocked.colony()
    process = colony.submit(maxwaittime=10)
    change(colony, "pauseassignmentsmsg")
    clocked.apply_limits(after=11)
    assert colony.rpc.ok("getprocessmsg", colony.user_key, processid=process["processid"])["state"] == 3


@pytest.mark.parametrize("first", ["the call", "the pause"])
def test_a_call_waits_for_the_end_of_a_pause(clocked: ClockedServer, threads: ThreadPoolExecutor, first: str) -> None:
    colony = clocked.colony()
    key = colony.add_executor("e1")

    def call() -> Future[Answer]:
        waiting = threads.submit(assign, colony, key, 60)
        parked(clocked, 1)
        return waiting

    if first == "the call":
        waiting = call()
        change(colony, "pauseassignmentsmsg")
    else:
        change(colony, "pauseassignmentsmsg")
        waiting = call()
    submitted = colony.submit()
    assert refusal(assign(colony, colony.add_executor("e2"))) == PAUSED_NOW
    assert not waiting.done()
    change(colony, "resumeassignmentsmsg")
    assert waiting.result(10).payload["processid"] == submitted["processid"]
