"""Functions: what executors offer, and the statistics of what they ran."""

from __future__ import annotations

import re
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from answers import refusal
from clocked import ClockedServer
from colonies import Answer, Colony, create_database

from kolony.crypto import PrivateKey

NONE = {f"{which}{what}time": 0 for what in ("wait", "exec") for which in ("min", "max", "avg")}


def add(colony: Colony, key: PrivateKey, funcname: str = "echo", **fields: Any) -> Answer:
    function = {"colonyname": colony.name, "executorname": "e1", "funcname": funcname, **fields}
    return colony.rpc.call("addfunctionmsg", key, fun=function)


def listed(colony: Colony, executorname: str = "") -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = colony.rpc.ok(
        "getfunctionsmsg", colony.user_key, colonyname=colony.name, executorname=executorname
    )
    return found


def test_a_function_is_stored_as_sent_but_for_its_place(colony: Colony) -> None:
    key = colony.add_executor("e1", "cli", locationname="here")
    args = [
        {"name": "a", "type": "int"},
        {"name": "b", "type": "s", "description": "x", "required": True, "enum": ["1", "2"]},
    ]
    sent = {
        "functionid": f"id of {colony.name}",
        "executorname": "e1",
        "executortype": "anything",
        "colonyname": colony.name,
        "funcname": "f",
        "description": "d",
        "args": args,
        "counter": 6,
        "minwaittime": 0.5,
        "maxwaittime": 1.5,
        "minexectime": 2.5,
        "maxexectime": 3.5,
        "avgwaittime": 4.5,
        "avgexectime": 5.5,
        "locationname": "elsewhere",
    }
    added = colony.rpc.ok("addfunctionmsg", key, fun=sent)
    assert added == {**sent, "locationname": "here"}
    assert listed(colony) == [added]


def test_what_is_not_sent_is_zero_or_left_out(colony: Colony) -> None:
    key = colony.add_executor("e1")
    added = add(colony, key, description="", args=[{"name": "a", "required": False, "enum": []}]).payload
    assert re.fullmatch("[0-9a-f]{64}", added["functionid"])
    assert added == {
        "functionid": added["functionid"],
        "executorname": "e1",
        "executortype": "",
        "colonyname": colony.name,
        "funcname": "echo",
        "args": [{"name": "a", "type": ""}],
        "counter": 0,
        **NONE,
    }
    assert "args" not in add(colony, key, args=[]).payload


def test_a_name_may_be_offered_again_but_an_id_only_once(colony: Colony) -> None:
    key = colony.add_executor("e1")
    first, second = add(colony, key).payload, add(colony, key).payload
    assert [each["functionid"] for each in listed(colony)] == [first["functionid"], second["functionid"]]
    status, text = refusal(add(colony, key, functionid=first["functionid"]))
    assert status == 500
    assert text.startswith("pq: duplicate key value violates unique constraint")


def test_functions_are_listed_by_executor_or_all(colony: Colony) -> None:
    assert listed(colony) is None
    for name in ("e1", "e2"):
        add(colony, colony.add_executor(name), f"f of {name}", executorname=name)
    assert [each["funcname"] for each in listed(colony)] == ["f of e1", "f of e2"]
    assert [each["funcname"] for each in listed(colony, "e2")] == ["f of e2"]
    assert listed(colony, "nobody") is None


def test_a_function_is_removed_once(colony: Colony) -> None:
    key = colony.add_executor("e1")
    added, kept = add(colony, key).payload, add(colony, key).payload
    assert colony.rpc.ok("removefunctionmsg", key, functionid=added["functionid"]) == {}
    again = colony.rpc.call("removefunctionmsg", key, functionid=added["functionid"])
    assert refusal(again) == (404, "Failed to remove function, function does not exist")
    assert listed(colony) == [kept]


# Statistics


@pytest.fixture(scope="module")
def clocked(postgres_dsn: str) -> Iterator[ClockedServer]:
    with ClockedServer(create_database(postgres_dsn)) as server:
        yield server


def run(server: ClockedServer, colony: Colony, key: PrivateKey, wait: float, exec: float, **fields: Any) -> str:
    """Submit a process, let it wait, take it, let it run; its id."""
    colony.submit(**fields)
    server.clock.advance(wait)
    processid: str = colony.assign(key)["processid"]
    server.clock.advance(exec)
    return processid


def close(colony: Colony, key: PrivateKey, processid: str) -> None:
    colony.rpc.ok("closesuccessfulmsg", key, processid=processid)


def statistics_after(runs: list[tuple[float, float]]) -> dict[str, float]:
    """What the protocol says about these times of waiting and running, one after the other."""
    now: dict[str, float] = dict(NONE)
    for run in runs:
        for what, new in zip(("wait", "exec"), run, strict=True):
            low, high, mean = (now[f"{which}{what}time"] for which in ("min", "max", "avg"))
            now |= {
                f"min{what}time": min(low, new) if low > 0 else new,
                f"max{what}time": max(high, new) if high > 0 else new,
                f"avg{what}time": (mean + new) / 2 if mean > 0 else new,
            }
    return {"counter": len(runs), **now}


@pytest.mark.parametrize(
    "runs",
    [
        [(1.5, 2.25)],
        [(4, 8), (2, 16)],
        [(1, 1), (9, 9), (5, 5), (3, 7)],
        [(0, 2), (3, 0), (1, 4)],
    ],
    ids=["one", "two", "several", "with zeros"],
)
def test_statistics_of_runs_one_after_the_other(clocked: ClockedServer, runs: list[tuple[float, float]]) -> None:
    colony = clocked.colony()
    key = colony.add_executor("e1")
    for _ in range(2):  # under one name twice: both records count
        add(colony, key)
    add(colony, key, "another")
    for wait, exec in runs:
        close(colony, key, run(clocked, colony, key, wait, exec))
    *counted, other = ({name: each[name] for name in statistics_after([])} for each in listed(colony))
    assert counted == [pytest.approx(statistics_after(runs))] * 2
    assert other == statistics_after([])


def test_closes_at_once_all_count(clocked: ClockedServer) -> None:
    colony = clocked.colony()
    key = colony.add_executor("e1")
    add(colony, key)
    for _ in range(16):
        colony.submit()
    clocked.clock.advance(2)
    processes = [colony.assign(key)["processid"] for _ in range(16)]
    clocked.clock.advance(6)
    with ThreadPoolExecutor(16) as threads:
        list(threads.map(lambda processid: close(colony, key, processid), processes))
    times = {"minwaittime": 2, "maxwaittime": 2, "avgwaittime": 2, "minexectime": 6, "maxexectime": 6, "avgexectime": 6}
    function = listed(colony)[0]
    assert {name: function[name] for name in ("counter", *times)} == pytest.approx({"counter": 16, **times})


def test_only_successes_of_the_executor_itself_count(clocked: ClockedServer) -> None:
    colony = clocked.colony()
    key, other = colony.add_executor("e1"), colony.add_executor("e2")
    add(colony, key)
    close(colony, other, run(clocked, colony, other, 1, 1))
    close(colony, key, run(clocked, colony, key, 1, 1, funcname="unknown"))
    colony.rpc.ok("closefailedmsg", key, processid=run(clocked, colony, key, 1, 1))
    colony.rpc.ok("cancelprocessmsg", key, processid=run(clocked, colony, key, 1, 1))
    assert listed(colony)[0]["counter"] == 0


def test_closing_once_more_does_not_count(clocked: ClockedServer) -> None:
    colony = clocked.colony()
    key = colony.add_executor("e1")
    add(colony, key)
    processid = run(clocked, colony, key, 1, 1)
    for _ in range(3):
        close(colony, key, processid)
        clocked.clock.advance(10)
    assert listed(colony)[0]["counter"] == 1
    assert listed(colony)[0]["maxexectime"] == 1
