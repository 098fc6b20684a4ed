"""Many at once: whatever comes together, each process has one holder and one outcome, and replies tell the truth."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import psycopg
import pytest
from clocked import ClockedServer
from colonies import Answer, Colony, create_database

from kolony.crypto import PrivateKey

EXECUTORS = 32
PROCESSES = 2_000
ROUNDS = 12
RUNNING, SUCCESS, FAILED, CANCELLED = 1, 2, 3, 4


def at_once(*calls: Callable[[], Answer]) -> list[Answer]:
    """The answers to calls that are sent together."""
    with ThreadPoolExecutor(len(calls)) as threads:
        return [future.result() for future in [threads.submit(call) for call in calls]]


@pytest.fixture(scope="module")
def clocked(postgres_dsn: str) -> Iterator[ClockedServer]:
    """A server that looks for limits at the moment a test wants it to."""
    with ClockedServer(create_database(postgres_dsn)) as server:
        yield server


def state_of(colony: Colony, process: dict[str, Any]) -> int:
    return int(colony.rpc.ok("getprocessmsg", colony.user_key, processid=process["processid"])["state"])


def recount(colony: Colony) -> Counter[int]:
    """How many processes of a colony are in each state, row by row."""
    query = "select state, count(*) from processes where colonyname = %s group by state"
    with psycopg.connect(colony.server.dsn) as connection:
        return Counter(dict(connection.execute(query, [colony.name]).fetchall()))


def statistics(colony: Colony) -> Counter[int]:
    """The same, from the server's counters."""
    counts = colony.rpc.ok("getcolonystatsmsg", colony.user_key, colonyname=colony.name)
    names = ("waiting", "running", "successful", "failed", "cancelled")
    return +Counter({state: counts[f"{name}processes"] for state, name in enumerate(names)})


def test_nothing_is_handed_out_twice(colony: Colony) -> None:
    executors = [colony.add_executor(f"e{number}") for number in range(EXECUTORS)]
    specs = [colony.spec(args=[number]) for number in range(PROCESSES)]
    colony.rpc.ok("kolonysubmitfuncspecsmsg", colony.user_key, colonyname=colony.name, specs=specs)

    def work(key: PrivateKey) -> list[str]:
        taken = []
        while True:
            answer = colony.rpc.call("assignprocessmsg", key, colonyname=colony.name, timeout=-1)
            if answer.status == 404:
                return taken
            taken.append(answer.payload["processid"])
            colony.rpc.ok("closesuccessfulmsg", key, processid=taken[-1], out=[answer.payload["spec"]["args"][0]])

    with ThreadPoolExecutor(EXECUTORS) as threads:
        taken = [processid for each in threads.map(work, executors) for processid in each]
    assert len(taken) == len(set(taken)) == PROCESSES
    assert recount(colony) == statistics(colony) == {SUCCESS: PROCESSES}


def test_executors_that_wait_share_what_comes(colony: Colony) -> None:
    executors = [colony.add_executor(f"e{number}") for number in range(8)]
    with ThreadPoolExecutor(8) as threads:
        parked = [threads.submit(colony.assign, key, 30) for key in executors]
        submitted = {colony.submit()["processid"] for _ in executors}
        assert {future.result()["processid"] for future in parked} == submitted


@pytest.mark.parametrize("round_", range(ROUNDS))
def test_cancel_against_assign(colony: Colony, round_: int) -> None:
    executor = colony.add_executor("e1")
    process = colony.submit()
    cancelled, assigned = at_once(
        lambda: colony.rpc.call("cancelprocessmsg", colony.user_key, processid=process["processid"]),
        lambda: colony.rpc.call("assignprocessmsg", executor, colonyname=colony.name, timeout=-1),
    )
    # Cancelling succeeds before and after the assignment; once cancelled, nobody gets or closes the process.
    assert cancelled.status == 200
    assert assigned.status in (200, 404)
    assert state_of(colony, process) == CANCELLED
    closed = colony.rpc.call("closesuccessfulmsg", executor, processid=process["processid"])
    assert closed.status == (400 if assigned.status == 200 else 403)
    assert recount(colony) == statistics(colony) == {CANCELLED: 1}


@pytest.mark.parametrize("round_", range(ROUNDS))
def test_cancel_against_close(colony: Colony, round_: int) -> None:
    executor = colony.add_executor("e1")
    process = colony.submit()
    colony.assign(executor)
    cancelled, closed = at_once(
        lambda: colony.rpc.call("cancelprocessmsg", colony.user_key, processid=process["processid"]),
        lambda: colony.rpc.call("closesuccessfulmsg", executor, processid=process["processid"], out=["done"]),
    )
    assert sorted((cancelled.status, closed.status)) == [200, 400]
    assert state_of(colony, process) == (CANCELLED if cancelled.status == 200 else SUCCESS)
    assert recount(colony) == statistics(colony)


@pytest.mark.parametrize("round_", range(ROUNDS))
def test_success_against_failure(colony: Colony, round_: int) -> None:
    executor = colony.add_executor("e1")
    process = colony.submit()
    colony.assign(executor)
    succeeded, failed = at_once(
        lambda: colony.rpc.call("closesuccessfulmsg", executor, processid=process["processid"]),
        lambda: colony.rpc.call("closefailedmsg", executor, processid=process["processid"], errors=["no"]),
    )
    assert sorted((succeeded.status, failed.status)) == [200, 400]
    assert state_of(colony, process) == (SUCCESS if succeeded.status == 200 else FAILED)
    assert recount(colony) == statistics(colony)


def test_one_close_of_many_counts(colony: Colony) -> None:
    executor = colony.add_executor("e1")
    function = {"executorname": "e1", "colonyname": colony.name, "funcname": "echo"}
    colony.rpc.ok("addfunctionmsg", executor, fun=function)
    process = colony.submit()
    colony.assign(executor)

    def close() -> Answer:
        return colony.rpc.call("closesuccessfulmsg", executor, processid=process["processid"])

    assert {answer.status for answer in at_once(*[close] * 8)} == {200}
    offered = colony.rpc.ok("getfunctionsmsg", colony.user_key, colonyname=colony.name, executorname="e1")
    assert offered[0]["counter"] == 1
    assert recount(colony) == statistics(colony) == {SUCCESS: 1}


def test_one_submit_of_many_with_one_key_counts(colony: Colony) -> None:
    spec = colony.spec()

    def submit() -> Answer:
        return colony.rpc.call("submitfuncspecmsg", colony.user_key, spec=spec, idempotencykey="k")

    answers = at_once(*[submit] * EXECUTORS)
    assert {answer.status for answer in answers} == {200}
    assert len({answer.payload["processid"] for answer in answers}) == 1
    assert recount(colony) == statistics(colony) == {0: 1}


@pytest.mark.parametrize("round_", range(ROUNDS))
def test_removing_an_executor_against_its_assign(colony: Colony, round_: int) -> None:
    executor, other = colony.add_executor("e1"), colony.add_executor("e2")
    process = colony.submit()
    removed, assigned = at_once(
        lambda: colony.rpc.call("removeexecutormsg", colony.colony_key, colonyname=colony.name, executorname="e1"),
        lambda: colony.rpc.call("assignprocessmsg", executor, colonyname=colony.name, timeout=-1),
    )
    assert removed.status == 200
    assert assigned.status in (200, 403, 404)
    # Whoever was first, the process is not lost with the executor.
    assert colony.assign(other)["processid"] == process["processid"]
    assert colony.rpc.call("closesuccessfulmsg", executor, processid=process["processid"]).status == 403


def test_closes_against_their_time_limit(colony: Colony) -> None:
    executors = [colony.add_executor(f"e{number}") for number in range(EXECUTORS)]
    for _ in executors:
        colony.submit(maxexectime=1)
    held = [(key, colony.assign(key)["processid"]) for key in executors]
    first = held[0][1]

    def close(holding: tuple[PrivateKey, str]) -> Answer:
        return colony.rpc.call("closesuccessfulmsg", holding[0], processid=holding[1])

    # The limit passes for all of them within a moment, and with the first that it ends the others are closed.
    while colony.rpc.ok("getprocessmsg", colony.user_key, processid=first)["state"] == RUNNING:
        pass
    with ThreadPoolExecutor(EXECUTORS) as threads:
        closes = list(threads.map(close, held))
    for (_, processid), closed in zip(held, closes, strict=True):
        read = colony.rpc.ok("getprocessmsg", colony.user_key, processid=processid)
        assert (closed.status, read["state"]) in {(200, SUCCESS), (400, FAILED)}
    assert closes[0].status == 400
    assert recount(colony) == statistics(colony)


@pytest.mark.parametrize("retries", [0, 1])
def test_a_close_at_the_moment_of_its_limit(clocked: ClockedServer, retries: int) -> None:
    """The server ends the execution and its executor closes it, both at once: one of them has the say."""
    colony = clocked.colony()
    executor, other = colony.add_executor("e1"), colony.add_executor("e2")
    function = {"executorname": "e1", "colonyname": colony.name, "funcname": "echo"}
    colony.rpc.ok("addfunctionmsg", executor, fun=function)
    succeeded = 0
    for round_ in range(4 * ROUNDS):
        process = colony.submit(maxexectime=1, maxretries=retries)
        colony.assign(executor)
        clocked.clock.advance(1.5)
        outcome = FAILED if round_ % 4 == 3 else SUCCESS
        message = "closesuccessfulmsg" if outcome == SUCCESS else "closefailedmsg"
        with ThreadPoolExecutor(2) as threads:
            closing = threads.submit(colony.rpc.call, message, executor, processid=process["processid"])
            threads.submit(clocked.apply_limits).result()
            closed = closing.result()
        read = colony.rpc.ok("getprocessmsg", colony.user_key, processid=process["processid"])
        if closed.status == 200:
            succeeded += outcome == SUCCESS
            assert (read["state"], read["errors"], read["retries"]) == (outcome, [], 0)
        elif retries:
            assert (closed.status, read["state"], read["retries"]) == (403, 0, 1)
            again = colony.assign(other)
            assert (again["processid"], again["attempt"]) == (process["processid"], 2)
            colony.rpc.ok("closesuccessfulmsg", other, processid=process["processid"])
        else:
            assert (closed.status, read["state"]) == (400, FAILED)
            assert read["errors"] == ["Maximum execution time limit exceeded"]
    offered = colony.rpc.ok("getfunctionsmsg", colony.user_key, colonyname=colony.name, executorname="e1")
    assert offered[0]["counter"] == succeeded
    assert recount(colony) == statistics(colony)


def test_a_cancel_at_the_moment_of_a_limit(clocked: ClockedServer) -> None:
    colony = clocked.colony()
    executor = colony.add_executor("e1")
    for _ in range(ROUNDS):
        process = colony.submit(maxexectime=1, maxretries=-1)
        colony.assign(executor)
        clocked.clock.advance(1.5)
        with ThreadPoolExecutor(2) as threads:
            cancelling = threads.submit(
                colony.rpc.ok, "cancelprocessmsg", colony.user_key, processid=process["processid"]
            )
            threads.submit(clocked.apply_limits).result()
            cancelling.result()
        assert state_of(colony, process) == CANCELLED
        assert colony.rpc.call("assignprocessmsg", executor, colonyname=colony.name, timeout=-1).status == 404
    assert recount(colony) == statistics(colony) == {CANCELLED: ROUNDS}


@pytest.mark.parametrize("round_", range(ROUNDS))
def test_removing_an_executor_against_its_closes(colony: Colony, round_: int) -> None:
    """It holds several processes, of a function that it offers, and closes them while it is removed."""
    executor, other = colony.add_executor("e1"), colony.add_executor("e2")
    function = {"executorname": "e1", "colonyname": colony.name, "funcname": "echo"}
    colony.rpc.ok("addfunctionmsg", executor, fun=function)
    held = [colony.submit()["processid"] for _ in range(6)]
    for _ in held:
        colony.assign(executor)

    def close(processid: str) -> Callable[[], Answer]:
        return lambda: colony.rpc.call("closesuccessfulmsg", executor, processid=processid)

    def remove() -> Answer:
        return colony.rpc.call("removeexecutormsg", colony.colony_key, colonyname=colony.name, executorname="e1")

    calls = [close(processid) for processid in held]
    calls.insert(round_ % len(held), remove)
    answers = at_once(*calls)
    removed = answers.pop(round_ % len(held))
    assert removed.status == 200
    assert {answer.status for answer in answers} <= {200, 403}
    # What it did not close in time is the next one's, and nothing else.
    unclosed = [processid for processid, answer in zip(held, answers, strict=True) if answer.status != 200]
    assert [colony.assign(other)["processid"] for _ in unclosed] == unclosed
    assert recount(colony) == statistics(colony) == +Counter({RUNNING: len(unclosed), SUCCESS: 6 - len(unclosed)})


@pytest.mark.parametrize("round_", range(ROUNDS))
def test_removing_a_process_against_its_assign(colony: Colony, round_: int) -> None:
    executor = colony.add_executor("e1")
    process = colony.submit()
    removed, assigned = at_once(
        lambda: colony.rpc.call("removeprocessmsg", colony.user_key, processid=process["processid"]),
        lambda: colony.rpc.call("assignprocessmsg", executor, colonyname=colony.name, timeout=-1),
    )
    assert (removed.status, assigned.status) in {(200, 404), (400, 200)}
    assert recount(colony) == statistics(colony) == +Counter({RUNNING: int(assigned.status == 200)})
