"""Limits in the database: bounded, by index, and never for a row that is no longer what it was."""

from __future__ import annotations

from datetime import timedelta

from storage import Storage, Worker, together

from kolony.model.processes import Process
from kolony_apiserver.store.processes import Change


async def expire_waiting(storage: Storage, limit: int = 100) -> list[Change]:
    async with storage.unit() as store:
        return await store.deadlines.expire_waiting(now=storage.clock.now(), limit=limit)


async def expire_running(storage: Storage, limit: int = 100) -> list[Change]:
    async with storage.unit() as store:
        return await store.deadlines.expire_running(now=storage.clock.now(), limit=limit)


async def running(storage: Storage, worker: Worker, count: int, **fields: object) -> list[Process]:
    classid = await storage.add_class()
    await storage.submit_many(classid, count, **fields)
    given, _ = await storage.claim(([worker] * count, [classid]))
    return given[worker.name]


async def test_the_earliest_deadlines_go_first_in_bounded_steps(storage: Storage) -> None:
    classid = await storage.add_class()
    late = await storage.submit(classid, maxwaittime=9)
    early = await storage.submit(classid, maxwaittime=1)
    await storage.submit(classid, maxwaittime=1000)
    storage.clock.advance(10)
    assert [[each.processid for each in await expire_waiting(storage, 1)] for _ in range(3)] == [
        [early.processid],
        [late.processid],
        [],
    ]
    await storage.require_true_counts()


async def test_a_limit_is_not_over_at_the_moment_itself(storage: Storage) -> None:
    worker = await storage.add_executor("e")
    await running(storage, worker, 1, maxexectime=5)
    await storage.submit(await storage.add_class(), maxwaittime=5)
    storage.clock.advance(5)
    assert await expire_running(storage) == []
    storage.clock.advance(0.001)
    assert len(await expire_waiting(storage)) == len(await expire_running(storage)) == 1


async def test_what_is_queued_again_says_where_it_waits(storage: Storage) -> None:
    worker = await storage.add_executor("e")
    (retried,) = await running(storage, worker, 1, maxexectime=1, maxretries=1)
    (failed,) = await running(storage, worker, 1, maxexectime=1, maxretries=0)
    storage.clock.advance(2)
    expired = {each.processid: each for each in await expire_running(storage)}
    classid = await storage.value("select min(classid) from processes")
    assert (expired[retried.processid].state, expired[failed.processid].state) == (0, 3)
    assert (expired[retried.processid].classid, expired[retried.processid].prioritytime) == (
        classid,
        retried.prioritytime,
    )
    await storage.require_true_counts()


async def test_a_row_that_somebody_ends_is_passed_over(storage: Storage) -> None:
    worker = await storage.add_executor("e")
    held, free = await running(storage, worker, 2, maxexectime=1)
    storage.clock.advance(2)
    async with storage.stranger() as stranger:
        await stranger.execute("update processes set state = 2 where processid = %s", [held.processid])
        assert [each.processid for each in await expire_running(storage)] == [free.processid]
        await stranger.commit()
    assert await expire_running(storage) == []
    assert await storage.states() == {held.processid: 2, free.processid: 3}


async def test_servers_that_look_at_once_count_one_retry(storage: Storage) -> None:
    worker = await storage.add_executor("e")
    processes = await running(storage, worker, 30, maxexectime=1, maxretries=-1)
    storage.clock.advance(2)
    async with storage.another() as second, storage.another() as third:
        found = await together(*(expire_running(each, 20) for each in (storage, second, third)))
    assert sorted(each.processid for part in found for each in part) == sorted(each.processid for each in processes)
    assert await storage.rows("select distinct retries, state from processes") == [{"retries": 1, "state": 0}]
    await storage.require_true_counts()


async def test_the_renewed_waiting_time_counts_from_the_return(storage: Storage) -> None:
    worker = await storage.add_executor("e")
    (process,) = await running(storage, worker, 1, maxexectime=1, maxretries=1, maxwaittime=10)
    storage.clock.advance(60)
    await expire_running(storage)
    assert await storage.value("select waitdeadline from processes") == storage.clock.now() + timedelta(seconds=10)
    assert await expire_waiting(storage) == []
    storage.clock.advance(11)
    assert [each.processid for each in await expire_waiting(storage)] == [process.processid]
