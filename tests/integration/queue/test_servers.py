"""Rooms of several servers on one database: each hears of what it stored itself, and of the rest within a second."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta

import pytest
from rooms import Room, open_room
from storage import Storage, Worker, ids, together

from kolony.model.processes import ProcessState
from kolony_apiserver.queue import room as module


@pytest.fixture
async def other(storage: Storage, room: Room) -> AsyncIterator[Room]:
    """The room of a second server."""
    async with storage.another() as storage_, open_room(storage_) as other:
        yield other


@pytest.fixture
async def team(storage: Storage) -> list[Worker]:
    return [await storage.add_executor(f"e{number}") for number in range(8)]


async def test_nothing_is_handed_out_twice(room: Room, other: Room, storage: Storage, team: list[Worker]) -> None:
    """Each server stores one half and serves one half of the executors, who look for work until all is done."""
    classes = [await storage.add_class(), await storage.add_class(cpu="1m")]
    await together(room.room.tick(), other.room.tick())
    total, taken = 400, []
    done = asyncio.Event()

    async def work(server: Room, worker: Worker) -> None:
        while len(taken) < total:
            processid = await server.take(worker, timeout=0.2)
            if processid is not None:
                taken.append(processid)
                assert await server.storage.close(server.storage.ending(worker, processid)) != [None]
        done.set()

    async def submit(server: Room, classid: int) -> None:
        for _ in range(total // 2):
            await server.submit(classid)

    async def tick(server: Room) -> None:
        while not done.is_set():
            await server.room.tick()
            await asyncio.sleep(0.01)

    async with asyncio.timeout(60):
        await together(
            submit(room, classes[0]),
            submit(other, classes[1]),
            *(work(server, worker) for server, half in ((room, team[:4]), (other, team[4:])) for worker in half),
            tick(room),
            tick(other),
        )
    assert len(set(taken)) == total
    assert set((await storage.states()).values()) == {ProcessState.SUCCESS}
    assert await storage.value("select max(attempt) from processes") == 1
    await storage.require_true_counts()


async def test_what_another_server_stored_is_found_by_the_tick(
    room: Room, other: Room, storage: Storage, team: list[Worker]
) -> None:
    classid = await storage.add_class()
    await room.room.tick()
    call = await room.park(team[0])
    process = await other.submit(classid)
    await room.settled()
    assert not call.done()
    await room.room.tick()
    assert await call == process.processid


async def test_also_in_a_class_that_it_made(room: Room, other: Room, storage: Storage, team: list[Worker]) -> None:
    call = await room.park(team[0])
    process = await other.submit(await storage.add_class(executornames=["e0"]))
    await room.room.tick()
    assert await call == process.processid


async def test_also_when_the_database_was_out_of_reach_for_long(
    room: Room, other: Room, storage: Storage, team: list[Worker]
) -> None:
    """This server saw nothing of a class when it was new."""
    await room.room.tick()
    classid = await storage.add_class()
    await storage.rows(
        "update classes set added = %(then)s where classid = %(id)s",
        then=storage.clock.now() + timedelta(seconds=5),
        id=classid,
    )
    process = await other.submit(classid)
    storage.clock.advance(3600)
    call = await room.park(team[0])
    await room.room.tick()
    assert await call == process.processid


async def test_a_process_that_another_server_queued_again_comes_first(
    room: Room, other: Room, storage: Storage, team: list[Worker]
) -> None:
    """Its place is before the one from which this server searches, also while nobody waits here."""
    classid = await storage.add_class()
    await together(room.room.tick(), other.room.tick())
    first, *rest = [await room.submit(classid, maxexectime=1, maxretries=1) for _ in range(6)]
    assert await room.once(team[0]) == first.processid
    assert await room.once(team[1]) == rest[0].processid
    await storage.close(storage.ending(team[1], rest[0]))
    storage.clock.advance(2)
    async with other.storage.unit() as store:
        expired = await store.deadlines.expire_running(now=storage.clock.now(), limit=100)
    assert [each.processid for each in expired] == [first.processid]
    other.room.arrived(expired[0].classid, expired[0].prioritytime)

    await room.room.tick()
    assert [await room.once(team[2]) for _ in range(2)] == [first.processid, rest[1].processid]


async def test_what_returns_on_this_server_comes_first_at_once(
    room: Room, storage: Storage, team: list[Worker]
) -> None:
    classid = await storage.add_class()
    await room.room.tick()
    waiting = ids([await room.submit(classid) for _ in range(3)])
    assert [await room.once(team[0]), await room.once(team[1])] == waiting[:2]
    async with storage.unit() as store:
        removed = await store.executors.unregister("colony", team[0].name)
    assert removed is not None
    for each in removed[1]:
        room.room.arrived(each.classid, each.prioritytime)
    assert [await room.once(team[2]), await room.once(team[2])] == [waiting[0], waiting[2]]


async def test_a_class_that_another_server_removed_and_made_anew_is_learned(
    room: Room, other: Room, storage: Storage, team: list[Worker]
) -> None:
    old = await storage.add_class()
    await room.room.tick()
    storage.clock.advance(3600)
    async with other.storage.unit() as store:
        assert await store.assignments.remove_empty_classes(before=storage.clock.now(), limit=10) == [old]
    storage.clock.advance(-3600)
    new = await other.storage.add_class()
    assert new != old
    process = await other.submit(new)
    call = await room.park(team[0])
    await room.room.tick()
    assert await call == process.processid
    room.room.forget_classes([old])
    process = await other.submit(new)
    await room.room.tick()
    assert await room.once(team[0]) == process.processid


async def test_a_class_that_another_server_removed_is_forgotten(
    storage: Storage, room: Room, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Some at a time, so that many cost no more than few."""
    monkeypatch.setattr(module, "_CHECKED_AT_ONCE", 2)
    ids = [await storage.add_class(cpu=f"{number}m") for number in range(1, 6)]
    await room.room.tick()
    async with storage.unit() as store:
        gone = await store.assignments.remove_empty_classes(before=datetime.now(UTC) + timedelta(hours=1), limit=3)
    for _ in range(4):
        await room.room.tick()
    index = room.room._index
    assert {each for each in ids if index.get(each) is not None} == set(ids) - set(gone)
