"""Executors that fall silent, beyond what becomes of their processes: who counts as silent, and what goes with them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

import pytest
from clocked import ClockedServer, eventually
from colonies import Colony, RunningServer, create_colony, create_database

APPROVED, UNREGISTERED = 1, 3


@pytest.fixture(scope="module")
def clocked(postgres_dsn: str) -> Iterator[ClockedServer]:
    """A server to which five seconds of silence are too long."""
    with ClockedServer(create_database(postgres_dsn), stale_after=5) as server:
        yield server


def state(colony: Colony, name: str) -> int:
    found = colony.rpc.ok("getexecutormsg", colony.user_key, colonyname=colony.name, executorname=name)
    return int(found["state"])


def test_one_that_waits_for_work_is_not_silent(clocked: ClockedServer) -> None:
    colony = clocked.colony()
    executor = colony.add_executor("e1")
    with ThreadPoolExecutor(1) as thread:
        call = thread.submit(colony.assign, executor, 60)
        eventually(clocked.parked)
        for _ in range(3):
            clocked.remove_silent_executors(after=4)
        process = colony.submit()
        assert call.result(timeout=30)["processid"] == process["processid"]
    assert state(colony, "e1") == APPROVED
    clocked.remove_silent_executors(after=6)
    assert state(colony, "e1") == UNREGISTERED


def test_what_was_heard_a_moment_ago_counts_before_it_is_written(clocked: ClockedServer) -> None:
    colony = clocked.colony()
    executor = colony.add_executor("e1")
    for _ in range(3):
        colony.rpc.ok("getcolonymsg", executor, colonyname=colony.name)
        clocked.remove_silent_executors(after=4)
    assert state(colony, "e1") == APPROVED


@pytest.mark.parametrize("approve", [True, False], ids=["approved", "pending"])
def test_one_that_was_added_with_an_old_contact_is_removed(clocked: ClockedServer, approve: bool) -> None:
    colony = clocked.colony()
    heard = clocked.clock.now() - timedelta(seconds=6)
    colony.add_executor("e1", approve=approve, lastheardfromtime=heard.isoformat())
    clocked.remove_silent_executors()
    assert state(colony, "e1") == UNREGISTERED


def test_more_are_removed_than_one_transaction_takes(clocked: ClockedServer) -> None:
    colony = clocked.colony()
    heard = clocked.clock.now() - timedelta(seconds=6)
    for number in range(130):
        colony.add_executor(f"e{number}", approve=False, lastheardfromtime=heard.isoformat())
    clocked.remove_silent_executors()
    executors = colony.rpc.ok("getexecutorsmsg", colony.user_key, colonyname=colony.name)
    assert {executor["state"] for executor in executors} == {UNREGISTERED}


def test_its_functions_go_with_it(clocked: ClockedServer) -> None:
    colony = clocked.colony()
    executor = colony.add_executor("e1")
    function = {"executorname": "e1", "colonyname": colony.name, "funcname": "echo"}
    colony.rpc.ok("addfunctionmsg", executor, fun=function)
    clocked.remove_silent_executors(after=6)
    assert not colony.rpc.ok("getfunctionsmsg", colony.user_key, colonyname=colony.name, executorname="e1")


def test_one_that_is_approved_again_starts_afresh(clocked: ClockedServer) -> None:
    colony = clocked.colony()
    executor = colony.add_executor("e1")
    colony.rpc.ok("getcolonymsg", executor, colonyname=colony.name)
    clocked.remove_silent_executors(after=6)
    colony.rpc.ok("approveexecutormsg", colony.colony_key, colonyname=colony.name, executorname="e1")
    process = colony.submit()
    assert colony.assign(executor)["processid"] == process["processid"]
    clocked.remove_silent_executors(after=4)
    colony.rpc.ok("closesuccessfulmsg", executor, processid=process["processid"])


def test_a_server_looks_by_itself(new_server: Callable[..., RunningServer]) -> None:
    """With its own clock, as its settings say."""
    colony = create_colony(new_server(COLONIES_STALE_EXECUTOR_DURATION="1", COLONIES_CLEANUP_INTERVAL="0.2"))
    silent, alive = colony.add_executor("silent"), colony.add_executor("alive")
    lost, kept = colony.submit()["processid"], colony.submit()["processid"]
    colony.assign(silent)
    colony.assign(alive)

    def silent_is_removed() -> bool:
        assert colony.rpc.ok("getprocessmsg", alive, processid=kept)["state"] == 1
        return state(colony, "silent") == UNREGISTERED

    eventually(silent_is_removed)
    assert colony.rpc.ok("getprocessmsg", colony.user_key, processid=lost)["state"] == 0
    colony.rpc.ok("closesuccessfulmsg", alive, processid=kept)
