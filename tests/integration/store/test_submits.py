"""Submissions in one batch: each stands or falls by itself, and its processes together."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from storage import Storage, ids, together

from kolony.errors import Conflict
from kolony_apiserver.store.processes import Submission

GONE = 999_999_999


def submission(storage: Storage, *classids: int, key: str = "", **fields: Any) -> Submission:
    processes = [storage.process(**fields) for _ in classids]
    return Submission(processes=processes, classids=classids, idempotencykey=key)


async def submit(storage: Storage, *submissions: Submission) -> list[bool]:
    """Whether each was stored, all in one batch."""
    return await together(*(storage.writes.submit(each) for each in submissions))


async def test_a_mixed_batch_stores_what_can_be_stored(storage: Storage) -> None:
    known = await storage.add_class()
    single = submission(storage, known, env={"A": "1"})
    several = submission(storage, known, known, known)
    keyed = submission(storage, known, known, key="k1")
    repeated = submission(storage, known, key="k1")
    gone = submission(storage, GONE, key="k2")
    half_gone = submission(storage, known, GONE)

    stored = await submit(storage, single, several, keyed, repeated, gone, half_gone)

    assert stored == [True, True, True, False, False, False]
    assert (await storage.states()).keys() == {*ids(single.processes), *ids(several.processes), *ids(keyed.processes)}
    assert await storage.value("select count(*) from attributes") == 1
    async with storage.unit() as store:
        assert await store.processes.submission("colony", "initiator", "k1") == sorted(ids(keyed.processes))
        assert await store.processes.submission("colony", "initiator", "k2") is None
    await storage.require_true_counts()


async def test_a_key_counts_for_one_initiator_and_colony(storage: Storage) -> None:
    await storage.add_colony("other")
    here, there = await storage.add_class(), await storage.add_class(colony="other")
    assert await submit(
        storage, submission(storage, here, key="k"), submission(storage, there, colony="other", key="k")
    ) == [True, True]
    assert await submit(storage, submission(storage, here, key="k")) == [False]


async def test_a_submission_that_cannot_be_stored_spoils_nobody_elses(storage: Storage) -> None:
    known = await storage.add_class()
    taken = await storage.submit(known)
    doubled = Submission(processes=[taken], classids=[known])
    good = [submission(storage, known) for _ in range(3)]

    results = await asyncio.gather(
        storage.writes.submit(good[0]),
        storage.writes.submit(doubled),
        storage.writes.submit(good[1]),
        storage.writes.submit(good[2]),
        return_exceptions=True,
    )

    assert results[0] is results[2] is results[3] is True
    assert isinstance(results[1], Conflict)
    assert len(await storage.states()) == 4
    await storage.require_true_counts()


@pytest.mark.parametrize("removed", [True, False])
async def test_a_class_that_is_being_removed_is_awaited(storage: Storage, removed: bool) -> None:
    classid = await storage.add_class()
    async with storage.stranger() as stranger:
        await stranger.execute("delete from classes where classid = %s", [classid])
        waiting = asyncio.create_task(storage.writes.submit(submission(storage, classid)))
        await storage.blocked()
        await (stranger.commit() if removed else stranger.rollback())
        assert await waiting is not removed
    assert len(await storage.states()) == (0 if removed else 1)
    await storage.require_true_counts()


async def test_a_class_in_use_is_not_removed(storage: Storage) -> None:
    empty, used = await storage.add_class(), await storage.add_class(cpu="1m")
    async with storage.stranger() as submitter:
        await submitter.execute("select from classes where classid = %s for key share", [used])
        storage.clock.advance(3600)
        async with storage.unit() as store:
            removed = await store.assignments.remove_empty_classes(before=storage.clock.now(), limit=100)
    assert removed == [empty]


async def test_a_class_is_removed_once_nothing_waits_or_runs_in_it(storage: Storage) -> None:
    worker = await storage.add_executor("e")
    waiting, running, ended = [await storage.add_class(cpu=f"{n}m") for n in range(3)]
    await storage.submit(waiting)
    for classid in (running, ended):
        process = await storage.submit(classid)
        await storage.take(worker, classid)
    await storage.close(storage.ending(worker, process))
    storage.clock.advance(3600)
    async with storage.unit() as store:
        removed = await store.assignments.remove_empty_classes(before=storage.clock.now(), limit=100)
        await store.counts.remove_classes(removed)
    assert removed == [ended]
    await storage.require_true_counts()


async def test_counts_of_a_class_that_was_removed_do_not_come_back(storage: Storage) -> None:
    classid = await storage.add_class()
    process = await storage.submit(classid)
    async with storage.unit() as store:
        await store.counts.fold(100)
    async with storage.unit() as store:
        await store.processes.remove("colony", process.processid)
    storage.clock.advance(3600)
    async with storage.unit() as store:
        removed = await store.assignments.remove_empty_classes(before=storage.clock.now(), limit=100)
        await store.counts.remove_classes(removed)
    async with storage.unit() as store:
        await store.counts.fold(100)
    assert removed == [classid]
    assert await storage.rows("select * from class_counts") == []
    await storage.require_true_counts()


async def test_servers_that_make_one_class_at_once_agree(storage: Storage) -> None:
    """The second waits for the first, and then has to see what it could not see when it began."""
    async with storage.stranger() as stranger:
        await stranger.execute("lock table classes in share mode")
        first = asyncio.create_task(storage.add_class())
        await storage.blocked()
        async with storage.another() as other:
            second = asyncio.create_task(other.add_class())
            await storage.blocked(2)
            await stranger.commit()
            assert await first == await second


async def test_removing_a_colony_and_submitting_to_its_classes_wait_for_each_other_in_order(storage: Storage) -> None:
    """Whoever locks several classes does so in the same order, or the two would wait for each other for ever."""
    low, middle, high = [await storage.add_class(cpu=f"{n}m") for n in range(3)]
    async with storage.stranger() as stranger:
        await stranger.execute("select from classes where classid = %s for update", [middle])
        removal = asyncio.create_task(_remove_colony(storage))
        await storage.blocked()
        submits = asyncio.create_task(submit(storage, submission(storage, high, low), submission(storage, low)))
        await storage.blocked(2)
        await stranger.rollback()
        await removal
        assert await submits == [False, False]
    assert await storage.states() == {}


async def _remove_colony(storage: Storage) -> None:
    async with storage.unit() as store:
        await store.colonies.remove("colony")
