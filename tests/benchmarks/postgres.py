"""The floor of the floor: PostgreSQL alone doing the inserts, claims and closes of the product.

One plain table with the one index that a queue needs; no HTTP, no signatures, no features. The durability is the
same: every statement is committed before its callers go on, and calls that arrive while a statement runs share
the next one.
"""

from __future__ import annotations

import asyncio
import time
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any, Generic, NamedTuple, TypeVar

import msgspec
import psycopg
from connections import WrongReply
from load import CONNECTIONS, EXECUTOR_TYPE, PAUSE, Timing, function_spec, timed
from queues import EXECUTORS, Census, Demand, Queue

In = TypeVar("In")
Out = TypeVar("Out")

TABLE = """
create table work (
    id uuid primary key, colony text not null, executortype text not null, prioritytime bigint not null,
    spec text not null, state smallint not null default 0, executor text, output text
)
"""
INDEX = "create index work_waiting on work (colony, executortype, prioritytime) where state = 0"
FILL = """
insert into work (id, colony, executortype, prioritytime, spec)
select gen_random_uuid(), %s, %s, %s + n, %s from generate_series(1, %s) n
"""
INSERT = """
insert into work (id, colony, executortype, prioritytime, spec)
select * from unnest(%b::uuid[], %b::text[], %b::text[], %b::bigint[], %b::text[])
"""
CLAIM = """
with heads as (
    select id, row_number() over (order by prioritytime) as n
    from (
        select id, prioritytime from work
        where colony = %s and executortype = %s and state = 0
        order by prioritytime limit %s for update skip locked
    ) head
)
update work set state = 1, executor = taker.executor
from heads join unnest(%s::text[]) with ordinality taker (executor, n) using (n)
where work.id = heads.id
returning taker.n, work.id, work.spec
"""
CLOSE = """
update work set state = 2, output = done.output
from unnest(%b::uuid[], %b::text[], %b::text[]) done (id, executor, output)
where work.id = done.id and work.executor = done.executor and work.state = 1
returning work.id
"""
CENSUS = "select state, count(*) from work where colony = %s group by state"


class _Coalescer(Generic[In, Out]):
    """Runs calls together: those that arrive while a statement runs share the next one."""

    def __init__(self, run: Callable[[Sequence[In]], Awaitable[Sequence[Out]]]) -> None:
        self._run = run
        self._waiting: list[tuple[In, asyncio.Future[Out]]] = []
        self._task: asyncio.Task[None] | None = None

    async def add(self, item: In) -> Out:
        future: asyncio.Future[Out] = asyncio.get_running_loop().create_future()
        self._waiting.append((item, future))
        if self._task is None:
            self._task = asyncio.create_task(self._drain())
        return await future

    async def _drain(self) -> None:
        while self._waiting:
            members, self._waiting = self._waiting, []
            try:
                results = await self._run([item for item, _ in members])
            except Exception as error:
                for _, future in members:
                    future.set_exception(error)
            else:
                for (_, future), result in zip(members, results, strict=True):
                    future.set_result(result)
        self._task = None


class _Sessions(NamedTuple):
    """A database connection for each statement, so that they run side by side."""

    insert: psycopg.AsyncConnection[tuple[Any, ...]]
    claim: psycopg.AsyncConnection[tuple[Any, ...]]
    close: psycopg.AsyncConnection[tuple[Any, ...]]


class RawTarget:
    """Queues in the plain table of one database."""

    def __init__(self, sessions: _Sessions) -> None:
        self._sessions = sessions

    async def queue(self, executors: int = EXECUTORS) -> Queue:
        """An empty queue of a new colony."""
        return RawQueue(self._sessions, f"bench-{uuid.uuid4().hex[:8]}", executors)


@asynccontextmanager
async def raw_target(dsn: str) -> AsyncIterator[RawTarget]:
    """The plain table in an empty database."""
    async with AsyncExitStack() as stack:
        sessions = [
            await stack.enter_async_context(
                await psycopg.AsyncConnection.connect(dsn, autocommit=True, prepare_threshold=1)
            )
            for _ in _Sessions._fields
        ]
        await sessions[0].execute(TABLE)
        await sessions[0].execute(INDEX)
        yield RawTarget(_Sessions(*sessions))


class RawQueue(Queue):
    """The rows of one colony."""

    def __init__(self, sessions: _Sessions, colony: str, executors: int) -> None:
        super().__init__()
        self._sessions = sessions
        self._colony = colony
        self._executors = [f"executor-{number}" for number in range(executors)]
        self._inserts = _Coalescer(self._insert)
        self._claims = _Coalescer(self._claim)
        self._closes = _Coalescer(self._close)

    async def _fill(self, count: int, demand: Demand) -> None:
        kind = EXECUTOR_TYPE if demand.matches else "other"
        await self._sessions.insert.execute(FILL, (self._colony, kind, time.time_ns(), self._spec(0), count))

    async def _submit(self, count: int, *, fresh: bool) -> Timing:
        work = [(uuid.uuid4(), self._spec(number)) for number in range(count)]
        jobs, latencies = iter(work), []

        async def one() -> None:
            for job in jobs:
                start = time.perf_counter()
                await self._inserts.add(job)
                latencies.append(time.perf_counter() - start)

        seconds = await timed(one() for _ in range(CONNECTIONS))
        return Timing(seconds, latencies, [str(identifier) for identifier, _ in work])

    async def _cycle(self, count: int, *, fresh: bool) -> Timing:
        left, latencies = iter(range(count)), []
        taken: list[str] = []

        async def one(executor: str) -> None:
            for _ in left:
                start = time.perf_counter()
                identifier = await self._claims.add(executor)
                latencies.append(time.perf_counter() - start)
                taken.append(str(identifier))
                await self._closes.add((identifier, executor))

        seconds = await timed(map(one, self._executors))
        if len(set(taken)) != count:
            raise WrongReply(f"{count} claims took {len(set(taken))} rows")
        return Timing(seconds, latencies, taken)

    async def _handoffs(self, count: int, parked: Callable[[], Awaitable[None]]) -> tuple[list[float], int]:
        await parked()
        seconds = []
        for number in range(count):
            start = time.perf_counter()
            await self._inserts.add((uuid.uuid4(), self._spec(number)))
            identifier = await self._claims.add(self._executors[0])
            seconds.append(time.perf_counter() - start)
            await self._closes.add((identifier, self._executors[0]))
            await asyncio.sleep(PAUSE)
        return seconds, count

    async def _census(self) -> Census:
        cursor = await self._sessions.insert.execute(CENSUS, (self._colony,))
        counts: dict[int, int] = dict(await cursor.fetchall())
        return Census(*(counts.get(state, 0) for state in range(len(Census._fields))))

    async def _insert(self, rows: Sequence[tuple[uuid.UUID, str]]) -> Sequence[None]:
        now = time.time_ns()
        await self._sessions.insert.execute(
            INSERT,
            (
                [identifier for identifier, _ in rows],
                [self._colony] * len(rows),
                [EXECUTOR_TYPE] * len(rows),
                [now] * len(rows),
                [spec for _, spec in rows],
            ),
        )
        return [None] * len(rows)

    async def _claim(self, executors: Sequence[str]) -> Sequence[uuid.UUID]:
        cursor = await self._sessions.claim.execute(
            CLAIM, (self._colony, EXECUTOR_TYPE, len(executors), list(executors))
        )
        rows = {n: identifier for n, identifier, _ in await cursor.fetchall()}
        return [rows[n] for n in range(1, len(executors) + 1)]

    async def _close(self, done: Sequence[tuple[uuid.UUID, str]]) -> Sequence[None]:
        cursor = await self._sessions.close.execute(
            CLOSE,
            (
                [identifier for identifier, _ in done],
                [executor for _, executor in done],
                [f'["{identifier}"]' for identifier, _ in done],
            ),
        )
        if cursor.rowcount != len(done):
            raise WrongReply(f"{len(done)} closes changed {cursor.rowcount} rows")
        return [None] * len(done)

    def _spec(self, number: int) -> str:
        return msgspec.json.encode(function_spec(self._colony, number)).decode()
