"""Large workflows: what is submitted in one message is stored in seconds, runs to its end, and is refused whole."""

from __future__ import annotations

import random
import time
from collections.abc import Iterator
from typing import Any

import pytest
from answers import refusal
from clocked import ClockedServer
from colonies import create_database
from workflows import Workplace, rows_by_table

from kolony.crypto import PrivateKey

NODES = 10_000
SUBMIT_SECONDS = 5
WAITS, SUCCEEDED = "waitingprocesses", "successfulprocesses"


@pytest.fixture(scope="module")
def clocked(postgres_dsn: str) -> Iterator[ClockedServer]:
    with ClockedServer(create_database(postgres_dsn)) as server:
        yield server


@pytest.fixture
def place(clocked: ClockedServer) -> Workplace:
    return Workplace(clocked.colony())


def specification(place: Workplace, parents: list[list[int]]) -> dict[str, Any]:
    """A workflow whose nodes are numbered; for each the numbers of its parents."""
    specs = [
        {
            "nodename": f"n{number}",
            "funcname": "work",
            "args": [number],
            "conditions": {"executortype": "cli", "dependencies": [f"n{each}" for each in above]},
        }
        for number, above in enumerate(parents)
    ]
    return {"colonyname": place.colony.name, "functionspecs": specs}


def chain(size: int) -> list[list[int]]:
    return [[number - 1] if number else [] for number in range(size)]


def fan_in(size: int) -> list[list[int]]:
    return [[] for _ in range(size - 1)] + [list(range(size - 1))]


def fan_out_and_in(size: int) -> list[list[int]]:
    return [[], *([0] for _ in range(size - 2)), list(range(1, size - 1))]


def at_random(size: int) -> list[list[int]]:
    choice = random.Random(1)
    return [
        sorted({choice.randrange(number) for _ in range(choice.randint(0, 3))}) if number else []
        for number in range(size)
    ]


SHAPES = {"deep": chain, "wide": fan_out_and_in, "many roots": fan_in, "random": at_random}


@pytest.mark.parametrize("shape", SHAPES)
def test_many_nodes_are_submitted_in_seconds(clocked: ClockedServer, place: Workplace, shape: str) -> None:
    parents = SHAPES[shape](NODES)
    spec = specification(place, parents)
    start = time.perf_counter()
    reply = place.ok("submitworkflowspecmsg", spec=spec)
    assert time.perf_counter() - start < SUBMIT_SECONDS
    ids = reply["processids"]
    assert len(set(ids)) == NODES
    assert reply["rootprocessids"] == [ids[number] for number, above in enumerate(parents) if not above]
    assert place.statistics() == {WAITS: NODES, "waitingworkflows": 1}
    last = place.process(ids[-1])
    assert last["parents"] == [ids[number] for number in parents[-1]]

    found = place.ok("getprocessgraphmsg", processgraphid=reply["processgraphid"])
    assert set(found["processids"]) == set(ids)
    assert len(found["nodes"]) == NODES
    assert len(found["edges"]) == sum(map(len, parents))
    place.ok("cancelprocessgraphmsg", processgraphid=reply["processgraphid"])
    assert place.statistics() == {"cancelledprocesses": NODES, "cancelledworkflows": 1}
    place.ok("removeprocessgraphmsg", processgraphid=reply["processgraphid"])
    assert place.statistics() == {}


def take(clocked: ClockedServer, place: Workplace, count: int) -> list[dict[str, Any]]:
    """Assign nodes that wait."""
    message = {"msgtype": "assignprocessmsg", "colonyname": place.colony.name, "timeout": -1}
    return clocked.ask_all([message] * count, place.key("cli"))


def close(clocked: ClockedServer, key: PrivateKey, processes: list[dict[str, Any]]) -> None:
    """Close nodes as successful, each with its number."""
    clocked.ask_all(
        [
            {"msgtype": "closesuccessfulmsg", "processid": each["processid"], "out": each["spec"]["args"]}
            for each in processes
        ],
        key,
    )


def test_ten_thousand_parents_of_one_child(clocked: ClockedServer, place: Workplace) -> None:
    reply = place.ok("submitworkflowspecmsg", spec=specification(place, fan_in(NODES + 1)))
    key = place.key("cli")
    parents = take(clocked, place, NODES)
    assert place.call("assignprocessmsg", key, colonyname=place.colony.name, timeout=-1).status == 404
    close(clocked, key, parents[1:])
    assert place.call("assignprocessmsg", key, colonyname=place.colony.name, timeout=-1).status == 404
    close(clocked, key, parents[:1])
    [child] = take(clocked, place, 1)
    assert child["processid"] == reply["processids"][-1]
    assert child["in"] == list(range(NODES))
    close(clocked, key, [child])
    assert place.statistics() == {SUCCEEDED: NODES + 1, "successfulworkflows": 1}


def test_ten_thousand_children_of_one_parent_fail_with_it(clocked: ClockedServer, place: Workplace) -> None:
    place.ok("submitworkflowspecmsg", spec=specification(place, [[], *([0] for _ in range(NODES))]))
    [root] = take(clocked, place, 1)
    place.ok("closefailedmsg", place.key("cli"), processid=root["processid"], errors=["no"])
    assert place.statistics() == {"failedprocesses": NODES + 1, "failedworkflows": 1}


def test_a_large_random_workflow_runs_to_its_end(clocked: ClockedServer, place: Workplace) -> None:
    """What was released is taken and closed together, until nothing is left."""
    parents = at_random(NODES // 4)
    ids = place.ok("submitworkflowspecmsg", spec=specification(place, parents))["processids"]
    left = dict(zip(ids, ({ids[number] for number in above} for above in parents), strict=True))
    done: set[str] = set()
    while left:
        free = {processid for processid, above in left.items() if above <= done}
        taken = take(clocked, place, len(free))
        assert {each["processid"] for each in taken} == free
        assert place.call("assignprocessmsg", place.key("cli"), colonyname=place.colony.name, timeout=-1).status == 404
        close(clocked, place.key("cli"), taken)
        done |= free
        left = {processid: above for processid, above in left.items() if processid not in free}
    assert place.statistics() == {SUCCEEDED: len(ids), "successfulworkflows": 1}


@pytest.mark.parametrize(
    "break_it, named",
    [
        (lambda specs: specs[0]["conditions"].update(dependencies=["n9999"]), "n"),
        (lambda specs: specs[5000]["conditions"].update(dependencies=["n4999", "n5000"]), "n5000"),
        (lambda specs: specs[9999]["conditions"].update(dependencies=["nobody"]), "nobody"),
        (lambda specs: specs[9999].update(nodename="n1"), "n1"),
        (lambda specs: specs[9999].update(nodename=""), ""),
        (lambda specs: specs[9999]["conditions"].update(mem="1024"), ""),
    ],
    ids=["a cycle of all", "a cycle of one", "an unknown node", "a name twice", "no name", "no unit"],
)
def test_a_large_invalid_workflow_leaves_no_row(
    clocked: ClockedServer, place: Workplace, break_it: Any, named: str
) -> None:
    place.ok("submitworkflowspecmsg", spec=specification(place, chain(2)))
    before = rows_by_table(clocked.dsn)
    spec = specification(place, chain(NODES))
    break_it(spec["functionspecs"])
    status, text = refusal(place.call("submitworkflowspecmsg", None, spec=spec))
    assert (status, named in text) == (500, True)
    assert rows_by_table(clocked.dsn) == before
