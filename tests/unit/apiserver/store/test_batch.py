"""Group commit: nobody waits for company, company shares a statement, and a bad member harms only itself."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence

import pytest

from kolony.errors import BadRequest, Conflict, KolonyError, NotFound, ServerError, Unavailable
from kolony_apiserver.store.batch import MAX_BATCH, Batch


class Statement:
    """What a batch runs: doubles numbers, one statement at a time, each held back until it is let go."""

    def __init__(self) -> None:
        self.ran: list[list[int]] = []
        self.fails: Callable[[Sequence[int]], Exception | None] = lambda _: None
        self.started = asyncio.Condition()
        self._open = asyncio.Event()
        self._running = False
        self._open.set()

    def hold(self) -> None:
        """Let statements wait in the middle."""
        self._open.clear()

    def release(self) -> None:
        """Let them go on."""
        self._open.set()

    async def has_run(self, count: int) -> None:
        """Wait until so many statements have begun."""
        async with asyncio.timeout(10), self.started:
            await self.started.wait_for(lambda: len(self.ran) >= count)

    async def __call__(self, items: Sequence[int]) -> list[int]:
        assert not self._running, "two statements at the same time"
        self._running = True
        try:
            async with self.started:
                self.ran.append(list(items))
                self.started.notify_all()
            await self._open.wait()
            if (error := self.fails(items)) is not None:
                raise error
            return [2 * item for item in items]
        finally:
            self._running = False


@pytest.fixture
async def statement() -> Statement:
    return Statement()


@pytest.fixture
def batch(statement: Statement) -> Batch[int, int]:
    return Batch(statement)


async def gathered(batch: Batch[int, int], statement: Statement, *items: int) -> list[int | BaseException]:
    """Add items while a statement runs, so that they share the next one; what becomes of each."""
    statement.hold()
    first = asyncio.create_task(batch.add(0))
    await statement.has_run(len(statement.ran) + 1)
    rest = [asyncio.create_task(batch.add(item)) for item in items]
    await asyncio.sleep(0)  # each task gets as far as its wait
    statement.release()
    await first
    return await asyncio.gather(*rest, return_exceptions=True)


async def test_a_lone_call_waits_for_nobody(batch: Batch[int, int], statement: Statement) -> None:
    for number in range(3):
        assert await batch.add(number) == 2 * number
    assert statement.ran == [[0], [1], [2]]


async def test_a_lone_call_is_run_in_the_next_turn_of_the_loop(batch: Batch[int, int], statement: Statement) -> None:
    call = asyncio.create_task(batch.add(1))
    for _ in range(3):
        await asyncio.sleep(0)
    assert statement.ran == [[1]]
    assert await call == 2


async def test_calls_that_come_while_a_statement_runs_share_the_next_one(
    batch: Batch[int, int], statement: Statement
) -> None:
    assert await gathered(batch, statement, 5, 3, 4, 3) == [10, 6, 8, 6]
    assert statement.ran == [[0], [5, 3, 4, 3]]


async def test_a_batch_has_a_limit_and_the_rest_comes_next(batch: Batch[int, int], statement: Statement) -> None:
    items = list(range(1, 2 * MAX_BATCH + 11))
    assert await gathered(batch, statement, *items) == [2 * item for item in items]
    assert [len(each) for each in statement.ran] == [1, MAX_BATCH, MAX_BATCH, 10]
    assert [item for each in statement.ran for item in each] == [0, *items]


@pytest.mark.parametrize("error", [BadRequest("no"), Conflict("taken"), NotFound("nothing")])
async def test_a_bad_member_spoils_nobody_else(
    batch: Batch[int, int], statement: Statement, error: KolonyError
) -> None:
    statement.fails = lambda items: error if 13 in items else None
    one, bad, other = await gathered(batch, statement, 1, 13, 2)
    assert (one, other) == (2, 4)
    assert bad is error
    # Alone it is run once: a second time would only fail again.
    assert statement.ran == [[0], [1, 13, 2], [1], [13], [2]]
    with pytest.raises(KolonyError):
        await batch.add(13)
    assert statement.ran[-1] == [13]
    assert await batch.add(4) == 8


@pytest.mark.parametrize(
    "error", [Unavailable("the database is away"), ServerError("the database failed"), RuntimeError("surprise")]
)
async def test_an_error_of_the_server_hits_all_and_nothing_is_run_again(
    batch: Batch[int, int], statement: Statement, error: Exception
) -> None:
    statement.fails = lambda items: error if 13 in items else None
    assert await gathered(batch, statement, 1, 13, 2) == [error] * 3
    assert statement.ran == [[0], [1, 13, 2]]
    assert await batch.add(4) == 8


async def test_a_call_that_is_given_up_harms_nobody(batch: Batch[int, int], statement: Statement) -> None:
    statement.hold()
    running = asyncio.create_task(batch.add(1))
    await statement.has_run(1)
    waiting = [asyncio.create_task(batch.add(item)) for item in (2, 3)]
    await asyncio.sleep(0)
    running.cancel()
    waiting[0].cancel()
    statement.release()
    results = await asyncio.gather(running, *waiting, return_exceptions=True)
    assert isinstance(results[0], asyncio.CancelledError)
    assert isinstance(results[1], asyncio.CancelledError)
    assert results[2] == 6
    # What was begun is finished all the same; nobody is left to be told.
    await batch.finish()
    assert statement.ran[0] == [1]
    assert await batch.add(4) == 8


async def test_calls_that_were_given_up_before_a_failure_harm_nobody(
    batch: Batch[int, int], statement: Statement
) -> None:
    statement.fails = lambda items: Unavailable("away") if 1 in items else None
    statement.hold()
    running = asyncio.create_task(batch.add(1))
    await statement.has_run(1)
    running.cancel()
    await asyncio.wait([running])
    statement.release()
    await batch.finish()
    assert await batch.add(4) == 8


async def test_finishing_waits_for_what_runs_and_what_waits(batch: Batch[int, int], statement: Statement) -> None:
    await batch.finish()
    statement.hold()
    calls = [asyncio.create_task(batch.add(1))]
    await statement.has_run(1)
    calls += [asyncio.create_task(batch.add(item)) for item in (2, 3)]
    finishing = asyncio.create_task(batch.finish())
    await asyncio.sleep(0)
    assert not finishing.done()
    statement.release()
    await finishing
    assert [call.result() for call in calls] == [2, 4, 6]
    assert statement.ran == [[1], [2, 3]]
