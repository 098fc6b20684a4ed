"""A hundred thousand requirement classes: assigning costs what it costs with ten."""

from __future__ import annotations

import statistics
import time
from collections.abc import AsyncIterator

import psycopg
import pytest
from rooms import Room, open_room
from storage import Storage, Worker, open_storage

MANY = 100_000

_FILL = """
insert into classes (colonyname, digest, requirements)
select 'many', 'd' || n, json_build_object(
    'executortype', 'cli', 'executornames', '[]'::json, 'location', '', 'cpu', n, 'mem', 0)
from generate_series(1, {many}) n;
insert into processes (
    processid, colonyname, classid, state, prioritytime, submissiontime, maxwaittime, maxexectime, maxretries,
    initiatorid, initiatorname, executortype, funcname, label, spec)
select 'p' || classid, 'many', classid, 0, classid, now(), -1, -1, 0, '', '', 'cli', 'echo', '', '{{}}' from classes;
analyze
"""

AT_MOST = 5.0
"""How many times as long the median may take; a search through all classes would take thousands of times."""


@pytest.fixture
async def crowded(migrated_dsn: str) -> AsyncIterator[Storage]:
    """A storage with a colony of many classes, in each of which one process waits, and a colony of ten."""
    with psycopg.connect(migrated_dsn, autocommit=True) as connection:
        connection.execute("insert into colonies (colonyname, colonyid) values ('many', 'owner'), ('few', 'owner')")
        for statement in _FILL.format(many=MANY).split(";\n"):
            connection.execute(statement.encode())
    async with open_storage(migrated_dsn) as storage:
        for number in range(10):
            await storage.submit_many(await storage.add_class(colony="few", cpu=f"{number}m"), 30, colony="few")
        yield storage


async def median(room: Room, worker: Worker, **offered: str) -> float:
    """The median time of calls that each get something, in seconds."""
    times = []
    for _ in range(60):
        started = time.perf_counter()
        assert await room.once(worker, **offered) is not None
        times.append(time.perf_counter() - started)
    return statistics.median(times)


async def test_they_do_not_slow_assigning(crowded: Storage) -> None:
    many = await crowded.add_executor("many", colony="many")
    few = await crowded.add_executor("few", colony="few")
    async with open_room(crowded) as room:
        for offered in ({}, {"cpu": f"{MANY // 2}m"}):
            # The first call with new bounds arranges the classes that fit them.
            assert await room.once(many, **offered) is not None
            among_few = await median(room, few)
            among_many = await median(room, many, **offered)
            assert among_many < AT_MOST * among_few


async def test_arrivals_in_all_of_them_at_once_hold_nobody_up(crowded: Storage) -> None:
    parked_for_nothing = await crowded.add_executor("few", colony="few")
    worker = await crowded.add_executor("many", colony="many")
    async with open_room(crowded) as room:
        await crowded.rows("update processes set state = 4 where colonyname = 'few'")
        call = await room.park(parked_for_nothing)
        started = time.perf_counter()
        for row in await crowded.rows("select classid, prioritytime from processes where colonyname = 'many'"):
            room.room.arrived(row["classid"], row["prioritytime"])
        assert await room.once(worker) is not None
        assert time.perf_counter() - started < 10
        call.cancel()
