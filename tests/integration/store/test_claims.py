"""The claim: one statement that hands out what waits, to those who may have it, in order, once."""

from __future__ import annotations

import asyncio
from datetime import timedelta

import pytest
from storage import Storage, Worker, ids, together

from kolony.model.executors import ExecutorState


async def workers(storage: Storage, count: int, prefix: str = "e") -> list[Worker]:
    return [await storage.add_executor(f"{prefix}{number}") for number in range(count)]


async def test_what_it_gives_out_is_running(storage: Storage) -> None:
    (worker,) = await workers(storage, 1)
    classid = await storage.add_class()
    submitted = await storage.submit(classid, maxexectime=60, maxwaittime=100, env={"A": "1"})
    storage.clock.advance(5)

    given, heads = await storage.claim(([worker], [classid]))

    (process,) = given["e0"]
    now = storage.clock.now()
    assert (process.processid, process.state, process.attempt) == (submitted.processid, 1, 1)
    assert (process.isassigned, process.assignedexecutorid) == (True, worker.identity)
    assert (process.starttime, process.execdeadline) == (now, now + timedelta(seconds=60))
    assert (process.waitdeadline, process.prioritytime) == (submitted.waitdeadline, submitted.prioritytime)
    assert process.spec.env == {"A": "1"}
    assert heads == {classid: None}
    await storage.require_true_counts()


async def test_the_smallest_prioritytimes_go_first_over_all_classes(storage: Storage) -> None:
    team = await workers(storage, 4)
    classes = [await storage.add_class(cpu=f"{number}m") for number in range(3)]
    waiting = [(await storage.submit(each, priority=n % 2), each) for n, each in enumerate(classes * 3)]
    waiting.sort(key=lambda each: each[0].prioritytime)

    given, heads = await storage.claim((team, classes))

    assert [given[worker.name][0].processid for worker in team] == [process.processid for process, _ in waiting[:4]]
    left = [(process.prioritytime, classid) for process, classid in waiting[4:]]
    assert heads == {each: next(prioritytime for prioritytime, classid in left if classid == each) for each in classes}


async def test_an_executor_may_sit_on_several_seats(storage: Storage) -> None:
    (worker,) = await workers(storage, 1)
    classid = await storage.add_class()
    waiting = await storage.submit_many(classid, 3)
    given, _ = await storage.claim(([worker, worker], [classid]))
    assert ids(given["e0"]) == waiting[:2]


async def test_more_seats_than_processes(storage: Storage) -> None:
    team = await workers(storage, 5)
    classid = await storage.add_class()
    waiting = await storage.submit_many(classid, 2)
    given, heads = await storage.claim((team, [classid]))
    assert [each.processid for got in given.values() for each in got] == waiting
    assert heads == {classid: None}


async def test_each_group_takes_from_its_classes(storage: Storage) -> None:
    left, right = await workers(storage, 2, "left"), await workers(storage, 2, "right")
    one, other = await storage.add_class(), await storage.add_class(cpu="1m")
    first = await storage.submit_many(one, 3)
    later = await storage.submit_many(other, 1)

    given, heads = await storage.claim((left, [one]), (right, [other]))

    assert {name: ids(got) for name, got in given.items()} == {
        "left0": [first[0]], "left1": [first[1]], "right0": [later[0]],
    }  # fmt: skip
    assert heads[other] is None
    states = await storage.states()
    assert [states[each] for each in first + later] == [1, 1, 0, 1]
    await storage.require_true_counts()


async def test_of_groups_that_find_the_same_one_gets_it(storage: Storage) -> None:
    left, right = await workers(storage, 2)
    shared, own = await storage.add_class(), await storage.add_class(cpu="1m")
    process = await storage.submit(shared)

    given, heads = await storage.claim(([left], [shared]), ([right], [own, shared]))

    assert [each.processid for got in given.values() for each in got] == [process.processid]
    assert heads == {shared: None, own: None}
    await storage.require_true_counts()


async def test_a_search_starts_where_it_is_told(storage: Storage) -> None:
    (worker,) = await workers(storage, 1)
    classid = await storage.add_class()
    passed, first, second = [await storage.submit(classid) for _ in range(3)]
    given, heads = await storage.claim(([worker], [(classid, passed.prioritytime + 1)]))
    assert ids(given["e0"]) == [first.processid]
    assert heads == {classid: second.prioritytime}


async def test_nothing_is_taken_from_beyond_the_bound(storage: Storage) -> None:
    """There, something in a class that is not searched may come first."""
    team = await workers(storage, 2)
    classid = await storage.add_class()
    first, second = [await storage.submit(classid) for _ in range(2)]
    given, heads = await storage.claim((team, [classid]), high=first.prioritytime)
    assert {name: ids(got) for name, got in given.items()} == {"e0": [first.processid]}
    assert heads == {classid: second.prioritytime}


@pytest.mark.parametrize("state", [ExecutorState.PENDING, ExecutorState.REJECTED, ExecutorState.UNREGISTERED])
async def test_who_may_not_work_takes_nothing_and_keeps_nobody_from_it(storage: Storage, state: ExecutorState) -> None:
    outsider = await storage.add_executor("outsider", state=state)
    team = await workers(storage, 2)
    classid = await storage.add_class()
    waiting = await storage.submit_many(classid, 2)

    given, _ = await storage.claim(([outsider, *team], [classid]))

    assert {name: ids(got) for name, got in given.items()} == {"e0": [waiting[0]], "e1": [waiting[1]]}


async def test_where_nobody_may_work_all_stays_as_it_is(storage: Storage) -> None:
    outsider = await storage.add_executor("outsider", state=ExecutorState.REJECTED)
    classid = await storage.add_class()
    process = await storage.submit(classid)
    assert await storage.claim(([outsider], [classid])) == ({}, {classid: process.prioritytime})


async def test_an_executor_with_a_new_key_takes_nothing_under_the_old_one(storage: Storage) -> None:
    (worker,) = await workers(storage, 1)
    classid = await storage.add_class()
    await storage.submit(classid)
    async with storage.unit() as store:
        await store.executors.change_id("colony", old=worker.identity, new="f" * 64)
    assert (await storage.claim(([worker], [classid])))[0] == {}


async def test_a_paused_colony_hands_out_nothing(storage: Storage) -> None:
    await storage.add_colony("other")
    (worker,) = await workers(storage, 1)
    elsewhere = await storage.add_executor("elsewhere", colony="other")
    here, there = await storage.add_class(), await storage.add_class(colony="other")
    await storage.submit(here)
    await storage.submit(there, colony="other")
    async with storage.unit() as store:
        await store.assignments.set_paused("colony", paused=True)
    given, _ = await storage.claim(([worker], [here]), ([elsewhere], [there]))
    assert given.keys() == {"elsewhere"}

    async with storage.unit() as store:
        await store.assignments.set_paused("colony", paused=False)
    assert (await storage.claim(([worker], [here])))[0].keys() == {"e0"}


async def test_rows_that_somebody_changes_are_passed_over(storage: Storage) -> None:
    (worker,) = await workers(storage, 1)
    classid = await storage.add_class()
    held, free = await storage.submit_many(classid, 2)
    async with storage.stranger() as stranger:
        await stranger.execute("select from processes where processid = %s for no key update", [held])
        given, _ = await storage.claim(([worker], [classid]))
        assert ids(given["e0"]) == [free]
    assert ids((await storage.claim(([worker], [classid])))[0]["e0"]) == [held]


async def test_a_claim_waits_for_nobody_who_removes_an_executor(storage: Storage) -> None:
    leaving, staying = await workers(storage, 2)
    classid = await storage.add_class()
    waiting = await storage.submit_many(classid, 2)
    async with storage.stranger() as stranger:
        await stranger.execute("select from executors where executorname = %s for update", [leaving.name])
        async with asyncio.timeout(5):
            given, _ = await storage.claim(([leaving, staying], [classid]))
    assert {name: ids(got) for name, got in given.items()} == {"e1": [waiting[0]]}


async def test_removing_an_executor_waits_for_a_claim_and_takes_back_what_it_gave(storage: Storage) -> None:
    (worker,) = await workers(storage, 1)
    classid = await storage.add_class()
    process = await storage.submit(classid)
    async with storage.stranger() as claimer:
        # As a claim does it, in a transaction that has not ended.
        await claimer.execute("select from executors where executorname = %s for key share", [worker.name])
        removal = asyncio.create_task(storage.remove_executor(worker))
        await storage.blocked()
        await claimer.execute(
            "update processes set state = 1, attempt = 1, executorid = %s, executorname = 'e0', starttime = now()"
            " where processid = %s",
            [worker.identity, process.processid],
        )
        await claimer.commit()
        await removal
    assert await storage.states() == {process.processid: 0}
    assert await storage.value("select executorid from processes") == ""


async def test_servers_that_claim_at_once_hand_out_nothing_twice(storage: Storage) -> None:
    team = await workers(storage, 12)
    classes = [await storage.add_class(cpu=f"{number}m") for number in range(3)]
    waiting = [each for classid in classes for each in await storage.submit_many(classid, 100)]
    taken: list[str] = []

    async def claim_all(server: Storage, team: list[Worker]) -> None:
        while True:
            given, heads = await server.claim((team[:2], classes), (team[2:], classes[:2]))
            taken.extend(each.processid for got in given.values() for each in got)
            if not given and set(heads.values()) <= {None}:
                return

    async with storage.another() as second, storage.another() as third:
        await together(claim_all(storage, team[:4]), claim_all(second, team[4:8]), claim_all(third, team[8:]))
    assert sorted(taken) == sorted(waiting)
    assert await storage.value("select max(attempt) from processes") == 1
    await storage.require_true_counts()


async def test_a_released_process_returns_to_its_place(storage: Storage) -> None:
    (worker,) = await workers(storage, 1)
    classid = await storage.add_class()
    waiting = await storage.submit_many(classid, 2, maxexectime=60)
    process = await storage.take(worker, classid)
    assert await storage.assignments.release(process) == (classid, process.prioritytime)
    (row,) = await storage.rows("select * from processes where processid = %(id)s", id=process.processid)
    assert (row["state"], row["executorid"], row["starttime"], row["execdeadline"]) == (0, "", None, None)
    again = await storage.take(worker, classid)
    assert (again.processid, again.attempt) == (waiting[0], 2)
    await storage.require_true_counts()


async def test_a_release_of_an_attempt_that_is_over_changes_nothing(storage: Storage) -> None:
    first, second = await workers(storage, 2)
    classid = await storage.add_class()
    await storage.submit(classid)
    process = await storage.take(first, classid)
    await storage.remove_executor(first)
    again = await storage.take(second, classid)
    assert again.processid == process.processid
    assert await storage.assignments.release(process) is None
    assert await storage.states() == {process.processid: 1}
