"""What is submitted on one server wakes who waits on another; nobody is told what nobody wants."""

from __future__ import annotations

import asyncio
import statistics
import time

import pytest
from neighbours import Neighbour
from storage import Storage, Worker, until


@pytest.fixture
async def worker(storage: Storage) -> Worker:
    return await storage.add_executor("e1")


async def test_a_submit_wakes_who_waits_on_another_server(
    here: Neighbour, there: Neighbour, storage: Storage, worker: Worker
) -> None:
    """Within milliseconds: the rooms of this test never tick by themselves."""
    classid = await storage.add_class()
    await here.room.room.tick()
    seconds = []
    for _ in range(30):
        call = await there.room.park_for_long(worker)
        await here.knows_of_seekers()
        began = time.perf_counter()
        [process] = await here.room.submit_and_hand_out(classid)
        assert await call == process.processid
        seconds.append(time.perf_counter() - began)
    assert statistics.median(seconds) < 0.1


async def test_also_in_a_class_that_the_other_does_not_know(
    here: Neighbour, there: Neighbour, storage: Storage, worker: Worker
) -> None:
    call = await there.room.park_for_long(worker)
    await there.is_settled()
    classid = await storage.add_class(executornames=["e1"])
    await here.room.room.tick()
    [process] = await here.room.submit_and_hand_out(classid)
    async with asyncio.timeout(5):
        assert await call == process.processid


async def test_also_what_a_submit_could_not_hand_out_here(
    here: Neighbour, there: Neighbour, storage: Storage, worker: Worker
) -> None:
    """One waits here and two there: each gets one of three that are submitted at once."""
    others = [await storage.add_executor(f"o{number}") for number in range(2)]
    classid = await storage.add_class()
    await here.room.room.tick()
    calls = [await there.room.park_for_long(other) for other in others]
    await there.is_settled()
    calls.append(await here.room.park(worker))
    processes = await here.room.submit_and_hand_out(classid, classid, classid)
    async with asyncio.timeout(5):
        assert set(await asyncio.gather(*calls)) == {each.processid for each in processes}


async def test_also_what_is_queued_by_other_means(
    here: Neighbour, there: Neighbour, storage: Storage, worker: Worker
) -> None:
    classid = await storage.add_class()
    await here.room.room.tick()
    call = await there.room.park_for_long(worker)
    await there.is_settled()
    process = await here.room.submit(classid)
    async with asyncio.timeout(5):
        assert await call == process.processid


async def test_what_was_submitted_before_others_knew_is_found(
    here: Neighbour, there: Neighbour, storage: Storage, worker: Worker
) -> None:
    classid = await storage.add_class()
    await here.room.room.tick()
    await there.room.room.tick()
    call = await there.room.park(worker)
    [process] = await here.room.submit_and_hand_out(classid)
    async with asyncio.timeout(5):
        assert await call == process.processid


async def test_nobody_is_told_while_those_here_suffice(
    here: Neighbour, there: Neighbour, storage: Storage, worker: Worker
) -> None:
    other = await storage.add_executor("other")
    classid = await storage.add_class()
    await here.room.room.tick()
    waits_there = await there.room.park_for_long(other)
    await here.knows_of_seekers()
    told = there.counted("colonies_signals_total", kind="received")
    for _ in range(10):
        call = await here.room.park(worker)
        [process] = await here.room.submit_and_hand_out(classid)
        assert await call == process.processid
    assert not here.signals._arrived
    assert not waits_there.done()
    [process] = await here.room.submit_and_hand_out(classid)
    assert await waits_there == process.processid
    assert there.counted("colonies_signals_total", kind="received") > told


async def test_a_server_alone_sends_only_its_pulses(here: Neighbour, storage: Storage, worker: Worker) -> None:
    classid = await storage.add_class()
    await here.room.room.tick()
    pulses, sent = here.signals._last_pulse, here.sent()
    for _ in range(5):
        call = await here.room.park_for_long(worker)
        [process] = await here.room.submit_and_hand_out(classid)
        assert await call == process.processid
        await here.room.submit_and_hand_out(classid)
        assert await here.room.once(worker)
    await until(lambda: here.signals._last_pulse > pulses + 2)
    assert here.sent() - sent <= here.signals._last_pulse - pulses
