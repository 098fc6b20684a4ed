"""A server that does not hear, or is not heard, is noticed; what was missed meanwhile is caught up with."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable

import pytest
from lines import Line
from neighbours import Neighbour
from storage import Storage, Worker, until

from kolony.model.processes import Process, ProcessState
from kolony_apiserver.events.hub import Queue, type_topic

Start = Callable[..., Awaitable[Neighbour]]
SIGNALS = "kolony-signals"


@pytest.fixture
async def worker(storage: Storage) -> Worker:
    return await storage.add_executor("e1")


@pytest.fixture
async def line(storage: Storage) -> AsyncIterator[Line]:
    async with Line(storage.dsn) as line:
        yield line


async def cut(storage: Storage, line: Line) -> None:
    ended = await storage.rows(
        "select pg_terminate_backend(pid) from pg_stat_activity where application_name = 'kolony-signals/there'"
    )
    assert len(ended) == 1


async def refuse(storage: Storage, line: Line) -> None:
    line.cut(SIGNALS)
    asyncio.get_running_loop().call_later(2, line.mend)


async def hold(storage: Storage, line: Line) -> None:
    assert line.hold(SIGNALS) == 1


@pytest.mark.parametrize("fault", [cut, refuse, hold])
async def test_what_was_told_while_a_server_did_not_hear(
    fault: Callable[[Storage, Line], Awaitable[None]],
    here: Neighbour,
    start: Start,
    line: Line,
    storage: Storage,
    worker: Worker,
) -> None:
    there = await start("there", line.dsn)
    await there.hears()
    classid = await storage.add_class()
    await here.room.room.tick()
    call = await there.room.park_for_long(worker)
    with there.hub.subscribe(type_topic("colony", "gpu", ProcessState.WAITING), storage.clock.now()) as events:
        await here.knows_of_seekers()
        await here.knows_of_followers()
        await there.is_settled()
        await fault(storage, line)
        [first] = await here.room.submit_and_hand_out(classid)
        second = await submit_and_tell(here, storage)
        async with asyncio.timeout(10):
            assert await call == first.processid
        assert await heard(events) == second.processid
        assert there.reconnects()
        await there.hears()
        third = await submit_and_tell(here, storage)
        assert await heard(events) == third.processid


async def test_what_was_not_told_by_a_server_that_could_not_send(
    there: Neighbour, start: Start, line: Line, storage: Storage
) -> None:
    here = await start("third", line.dsn)
    await here.hears()
    with there.hub.subscribe(type_topic("colony", "gpu", ProcessState.WAITING), storage.clock.now()) as events:
        await here.knows_of_followers()
        await there.is_settled()
        line.cut("kolony")
        first = await submit_and_tell(here, storage)
        await until(lambda: here.signals._untold_since is not None)
        line.mend()
        assert await heard(events) == first.processid


async def test_what_a_server_did_not_tell_since_it_died(here: Neighbour, there: Neighbour, storage: Storage) -> None:
    with there.hub.subscribe(type_topic("colony", "gpu", ProcessState.WAITING), storage.clock.now()) as events:
        await here.knows_of_followers()
        await there.is_settled()
        assert there.signals._peers
        await here.dies()
        process = await submit_and_tell(here, storage)
        assert await heard(events) == process.processid
        assert not there.signals._peers


async def test_who_says_good_bye_is_not_searched_for(storage: Storage, here: Neighbour, start: Start) -> None:
    there = await start("there")
    await there.hears()
    await until(lambda: here.signals._peers)
    await there.signals.stop()
    await there.signals.close()
    await until(lambda: not here.signals._peers)
    assert here.signals._stale_since is None


async def test_what_is_told_before_the_end_arrives(here: Neighbour, there: Neighbour, storage: Storage) -> None:
    with there.hub.subscribe(type_topic("colony", "gpu", ProcessState.WAITING), storage.clock.now()) as events:
        await here.knows_of_followers()
        await there.is_settled()
        await here.signals.stop()
        process = await submit_and_tell(here, storage)
        await here.signals.close()
        assert await heard(events) == process.processid


async def test_others_hear_that_the_cluster_changed(here: Neighbour, there: Neighbour) -> None:
    stirred = asyncio.Event()
    there.signals.when_stirred = stirred.set
    here.signals.stir()
    async with asyncio.timeout(5):
        await stirred.wait()


async def submit_and_tell(server: Neighbour, storage: Storage) -> Process:  # type: ignore[type-arg]
    """Store a process of a type that nobody seeks, and tell who follows."""
    classid = await storage.add_class(executortype="gpu")
    process = await storage.submit(classid, conditions={"executortype": "gpu"})
    server.hub.publish(process)
    return process


async def heard(events: Queue) -> str:
    """The process of the next event."""
    async with asyncio.timeout(10):
        return (await events.get()).processid
