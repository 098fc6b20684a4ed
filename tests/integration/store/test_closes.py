"""Closes in one batch: each counts by itself, once, and only for who holds the process."""

from __future__ import annotations

import asyncio
from datetime import timedelta

import msgspec
import pytest
from storage import Storage, Worker, together

from kolony.model.functions import Function
from kolony.model.processes import Process, ProcessState

SUCCESS, FAILED = ProcessState.SUCCESS, ProcessState.FAILED


async def running(storage: Storage, worker: Worker, count: int, **fields: object) -> list[Process]:
    """Processes that a worker holds."""
    classid = await storage.add_class()
    await storage.submit_many(classid, count, **fields)
    given, _ = await storage.claim(([worker] * count, [classid]))
    return given[worker.name]


async def row(storage: Storage, process: Process) -> dict[str, object]:
    (found,) = await storage.rows("select * from processes where processid = %(id)s", id=process.processid)
    return found


async def test_a_batch_ends_what_it_may_end(storage: Storage) -> None:
    worker, other = await storage.add_executor("e"), await storage.add_executor("other")
    good, failed, foreign, fenced, current = await running(storage, worker, 5)
    storage.clock.advance(3)

    ended = await storage.close(
        storage.ending(worker, good, output=[msgspec.Raw(b'{"a":1.0}')]),
        storage.ending(other, foreign),
        storage.ending(worker, failed, FAILED, errors=["no"]),
        storage.ending(worker, fenced, attempt=2),
        storage.ending(worker, current, attempt=1),
        storage.ending(worker, "unknown"),
    )

    assert [each is not None for each in ended] == [True, False, True, False, True, False]
    now = storage.clock.now()
    after = await row(storage, good)
    assert (after["state"], after["endtime"], after["output"], after["errors"]) == (2, now, '[{"a":1.0}]', "[]")
    assert (after["executorid"], after["starttime"]) == (worker.identity, good.starttime)
    after = await row(storage, failed)
    assert (after["state"], after["endtime"], after["output"], after["errors"]) == (3, now, "[]", '["no"]')
    for untouched in (foreign, fenced):
        assert (await row(storage, untouched))["state"] == 1
        assert (await row(storage, untouched))["endtime"] is None
    await storage.require_true_counts()


@pytest.mark.parametrize("states", [(SUCCESS, SUCCESS), (FAILED, FAILED), (SUCCESS, FAILED), (FAILED, SUCCESS)])
async def test_of_two_closes_of_one_process_in_a_batch_one_counts(
    storage: Storage, states: tuple[ProcessState, ProcessState]
) -> None:
    worker = await storage.add_executor("e")
    await storage.add_function(worker, "echo")
    (process,) = await running(storage, worker, 1)
    ended = await storage.close(*(storage.ending(worker, process, state) for state in states))
    assert [each is None for each in ended].count(False) == 1
    winner = next(state for state, each in zip(states, ended, strict=True) if each is not None)
    assert await storage.states() == {process.processid: winner}
    assert (await storage.functions(worker))["echo"].counter == (1 if winner == SUCCESS else 0)
    await storage.require_true_counts()


async def test_nothing_closes_twice(storage: Storage) -> None:
    worker = await storage.add_executor("e")
    (process,) = await running(storage, worker, 1)
    first = await storage.close(storage.ending(worker, process, output=[msgspec.Raw(b"1")]))
    storage.clock.advance(9)
    again = await storage.close(storage.ending(worker, process, output=[msgspec.Raw(b"2")]))
    failed = await storage.close(storage.ending(worker, process, FAILED))
    assert first != [None]
    assert again == failed == [None]
    after = await row(storage, process)
    assert (after["output"], after["endtime"]) == ("[1]", storage.clock.now() - timedelta(seconds=9))


async def test_function_statistics_of_a_batch_are_those_of_single_closes(storage: Storage) -> None:
    """Two executors close the same runs, one all at once and one by one."""
    at_once, single = await storage.add_executor("at-once"), await storage.add_executor("single")
    waits_and_runs = [(0.5, 2.0), (3.0, 0.25), (1.25, 8.0), (0.125, 1.0), (2.0, 4.5)]
    for worker in (at_once, single):
        await storage.add_function(worker, "echo")
        await storage.add_function(worker, "other")
    for rounds in range(2):
        storage.clock.advance(100)
        now = storage.clock.now()
        processes = {worker.name: await running(storage, worker, len(waits_and_runs)) for worker in (at_once, single)}
        for held in processes.values():
            for process, (wait, run) in zip(held, waits_and_runs, strict=True):
                await storage.rows(
                    "update processes set submissiontime = %(submitted)s, starttime = %(started)s"
                    " where processid = %(id)s",
                    submitted=now - timedelta(seconds=run + wait),
                    started=now - timedelta(seconds=run),
                    id=process.processid,
                )
        await storage.close(*(storage.ending(at_once, process) for process in processes["at-once"]), now=now)
        for process in processes["single"]:
            await storage.close(storage.ending(single, process), now=now)

        together_, apart = (await storage.functions(at_once)), (await storage.functions(single))
        assert _measures(together_["echo"]) == pytest.approx(_measures(apart["echo"]))
        assert apart["echo"].counter == len(waits_and_runs) * (rounds + 1)
        assert (apart["echo"].minwaittime, apart["echo"].maxexectime) == (0.125, 8.0)
        assert together_["other"].counter == 0


def _measures(function: Function) -> list[float]:
    return [
        function.counter,
        function.minwaittime,
        function.maxwaittime,
        function.minexectime,
        function.maxexectime,
        function.avgwaittime,
        function.avgexectime,
    ]


async def test_the_average_weighs_the_newest_by_one_half(storage: Storage) -> None:
    worker = await storage.add_executor("e")
    await storage.add_function(worker, "echo")
    for seconds in (4, 2):
        (process,) = await running(storage, worker, 1)
        storage.clock.advance(seconds)
        await storage.close(storage.ending(worker, process))
    assert (await storage.functions(worker))["echo"].avgexectime == pytest.approx(3.0)


async def test_failures_do_not_count_in_function_statistics(storage: Storage) -> None:
    worker = await storage.add_executor("e")
    await storage.add_function(worker, "echo")
    (process,) = await running(storage, worker, 1)
    await storage.close(storage.ending(worker, process, FAILED))
    assert (await storage.functions(worker))["echo"].counter == 0


async def test_a_close_and_the_removal_of_its_executor_do_not_wait_in_a_circle(storage: Storage) -> None:
    """A close locks the process, then the function it measures."""
    worker = await storage.add_executor("e")
    await storage.add_function(worker, "echo")
    first, second = await running(storage, worker, 2)
    async with storage.stranger() as stranger:
        await stranger.execute("select from processes where processid = %s for update", [first.processid])
        removal = asyncio.create_task(storage.remove_executor(worker))
        await storage.blocked()
        async with asyncio.timeout(5):
            (ended,) = await storage.close(storage.ending(worker, second))
        await stranger.rollback()
        await removal
    assert ended is not None
    assert await storage.states() == {first.processid: 0, second.processid: 2}
    await storage.require_true_counts()


async def test_closes_of_several_and_the_removal_of_their_executor_do_not_wait_in_a_circle(storage: Storage) -> None:
    """Whoever locks several processes does so in the order of their ids."""
    worker = await storage.add_executor("e")
    first, middle, last = await running(storage, worker, 3)
    async with storage.stranger() as stranger:
        await stranger.execute("select from processes where processid = %s for update", [middle.processid])
        removal = asyncio.create_task(storage.remove_executor(worker))
        await storage.blocked()
        closes = asyncio.create_task(storage.close(storage.ending(worker, last), storage.ending(worker, first)))
        await storage.blocked(2)
        await stranger.rollback()
        await removal
        assert await closes == [None, None]
    assert set((await storage.states()).values()) == {0}
    await storage.require_true_counts()


async def test_two_servers_close_for_the_same_executors_without_a_circle(storage: Storage) -> None:
    """Function statistics are rows that batches of several servers share."""
    team = [await storage.add_executor(f"e{number}") for number in range(4)]
    for worker in team:
        await storage.add_function(worker, "echo")
    async with storage.another() as other:
        for _ in range(20):
            held = {worker.name: await running(storage, worker, 2) for worker in team}
            ended = await together(
                storage.close(*(storage.ending(worker, held[worker.name][0]) for worker in team)),
                other.close(*(other.ending(worker, held[worker.name][1]) for worker in reversed(team))),
            )
            assert None not in ended[0] + ended[1]
    for worker in team:
        assert (await storage.functions(worker))["echo"].counter == 40
    await storage.require_true_counts()


async def test_a_close_sees_what_was_committed_while_it_waited(storage: Storage) -> None:
    """Its row was cancelled after it began: then there is nothing left to close."""
    worker = await storage.add_executor("e")
    await storage.add_function(worker, "echo")
    (process,) = await running(storage, worker, 1)
    async with storage.stranger() as stranger:
        await stranger.execute("update processes set state = 4 where processid = %s", [process.processid])
        close = asyncio.create_task(storage.close(storage.ending(worker, process, output=[msgspec.Raw(b"1")])))
        await storage.blocked()
        await stranger.commit()
        assert await close == [None]
    after = await row(storage, process)
    assert (after["state"], after["output"]) == (4, "[]")
    assert (await storage.functions(worker))["echo"].counter == 0
