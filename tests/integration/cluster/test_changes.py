"""Subscribers hear of changes on other servers, each once."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Iterator

import pytest
from neighbours import Neighbour
from storage import Storage, Worker, until

from kolony.model.processes import ProcessState
from kolony_apiserver.events.hub import Queue, process_topic, type_topic

WAITING, RUNNING, SUCCESS = ProcessState.WAITING, ProcessState.RUNNING, ProcessState.SUCCESS


@pytest.fixture
async def worker(storage: Storage) -> Worker:
    return await storage.add_executor("e1")


@contextlib.contextmanager
def following(server: Neighbour, state: int, executortype: str = "cli") -> Iterator[Queue]:
    topic = type_topic("colony", executortype, state)
    with server.hub.subscribe(topic, server.storage.clock.now()) as events:
        yield events


async def heard(events: Queue, count: int = 1) -> list[tuple[str, int]]:
    """The next events, which are all that come for now."""
    async with asyncio.timeout(10):
        found = [await events.get() for _ in range(count)]
    return [(each.processid, each.state) for each in found]


async def test_a_change_is_heard_on_another_server(
    here: Neighbour, there: Neighbour, storage: Storage, worker: Worker
) -> None:
    """In the state that it had, also when it has left it by then."""
    classid = await storage.add_class()
    with following(there, WAITING) as waiting, following(there, RUNNING) as running:
        await here.knows_of_followers(2)
        submitted = await storage.submit(classid)
        started = await storage.take(worker, classid)
        here.hub.publish(submitted)
        here.hub.publish(started)
        assert await heard(waiting) == [(submitted.processid, WAITING)]
        assert await heard(running) == [(submitted.processid, RUNNING)]


async def test_changes_come_in_their_order_and_none_is_missing(
    here: Neighbour, there: Neighbour, storage: Storage
) -> None:
    """Also when they are more than one signal holds."""
    classid = await storage.add_class()
    with following(there, WAITING) as events:
        await here.knows_of_followers()
        processes = [await storage.submit(classid) for _ in range(150)]
        for process in processes:
            here.hub.publish(process)
        assert await heard(events, 150) == [(each.processid, WAITING) for each in processes]


async def test_what_changed_before_others_knew_who_follows_is_caught_up(
    here: Neighbour, there: Neighbour, storage: Storage, worker: Worker
) -> None:
    classid = await storage.add_class()
    before = await storage.submit(classid)
    storage.clock.advance(1)
    with following(there, WAITING) as waiting, following(there, RUNNING) as running, following(there, SUCCESS) as ended:
        after = await storage.submit(classid)
        here.hub.publish(after)
        started = await storage.take(worker, classid)
        await storage.close(storage.ending(worker, started))
        assert started.processid == before.processid
        assert await heard(waiting) == [(after.processid, WAITING)]
        assert await heard(running) == [(before.processid, RUNNING)]
        assert await heard(ended) == [(before.processid, SUCCESS)]


async def test_nothing_is_heard_twice(here: Neighbour, there: Neighbour, storage: Storage) -> None:
    """Whether a signal came first or a look at the tables did."""
    classid = await storage.add_class()
    with following(there, WAITING) as events:
        await here.knows_of_followers()
        first = await storage.submit(classid)
        here.hub.publish(first)
        assert await heard(events) == [(first.processid, WAITING)]
        await there.signals._changes.catch_up(storage.clock.now())
        second = await storage.submit(classid)
        await there.signals._changes.catch_up(storage.clock.now())
        here.hub.publish(second)
        third = await storage.submit(classid)
        here.hub.publish(third)
        assert await heard(events, 2) == [(second.processid, WAITING), (third.processid, WAITING)]


async def test_one_process_is_caught_up_with_whenever_it_came_into_the_state(
    here: Neighbour, there: Neighbour, storage: Storage, worker: Worker
) -> None:
    classid = await storage.add_class()
    process = await storage.submit(classid)
    await storage.take(worker, classid)
    await storage.close(storage.ending(worker, process))
    storage.clock.advance(3600)
    with (
        there.hub.subscribe(process_topic("colony", process.processid, SUCCESS)) as ended,
        there.hub.subscribe(process_topic("colony", process.processid, RUNNING)) as running,
    ):
        assert await heard(ended) == [(process.processid, SUCCESS)]
        assert running.empty()


async def test_what_nobody_follows_is_not_sent(here: Neighbour, there: Neighbour, storage: Storage) -> None:
    classid = await storage.add_class()
    with following(there, RUNNING):
        await here.knows_of_followers()
        pulses, sent = here.signals._last_pulse, here.sent()
        for _ in range(20):
            here.hub.publish(await storage.submit(classid))
        await until(lambda: here.signals._last_pulse > pulses + 1)
        assert here.sent() - sent <= here.signals._last_pulse - pulses
