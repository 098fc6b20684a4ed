"""The waiting room on a real database: who is woken by what, who is not, and that nothing is lost on the way."""

from __future__ import annotations

import asyncio

import pytest
from rooms import PATIENCE, Room, open_room
from storage import Storage, Worker, together, until

from kolony.errors import KolonyError, Unavailable
from kolony.model.executors import ExecutorState
from kolony_apiserver.queue import room as module


@pytest.fixture
async def worker(storage: Storage) -> Worker:
    return await storage.add_executor("worker")


@pytest.fixture
async def second(storage: Storage) -> Worker:
    return await storage.add_executor("second")


async def got(call: asyncio.Task[str | None]) -> str | None:
    """What a parked call got, without the help of a tick."""
    async with asyncio.timeout(PATIENCE / 2):
        return await call


class TestWaking:
    async def test_what_waits_is_taken_at_once(self, storage: Storage, worker: Worker) -> None:
        process = await storage.submit(await storage.add_class())
        async with open_room(storage) as room:
            assert await room.take(worker) == process.processid

    async def test_a_parked_call_is_woken_by_an_arrival(self, room: Room, storage: Storage, worker: Worker) -> None:
        classid = await storage.add_class()
        await room.room.class_ids([])
        await room.room.tick()
        call = await room.park(worker)
        process = await room.submit(classid)
        assert await got(call) == process.processid

    @pytest.mark.parametrize(
        "conditions",
        [
            {"executortype": "other"},
            {"executornames": ["second"]},
            {"locationname": "elsewhere"},
            {"cpu": "1001m"},
            {"mem": "2Gi"},
        ],
        ids=lambda conditions: next(iter(conditions)),
    )
    async def test_an_arrival_wakes_only_who_can_take_it(
        self, room: Room, storage: Storage, worker: Worker, second: Worker, conditions: dict[str, object]
    ) -> None:
        offered = {"cpu": "1000m", "mem": "1Gi", "location": "here"}
        other = {
            "executortype": str(conditions.get("executortype", "cli")),
            "location": str(conditions.get("locationname", "here")),
        }
        narrow, open_to_all = await storage.add_class(**conditions), await storage.add_class()
        await room.room.tick()
        one, another = await room.park(worker, **offered), await room.park(second, **other)
        claims = room.writes.claims

        process = await room.submit(narrow)
        assert await got(another) == process.processid
        assert not one.done()
        assert room.writes.claims == claims + 1, "the one that cannot take it was claimed for"

        process = await room.submit(open_to_all)
        assert await got(one) == process.processid

    async def test_those_who_came_first_are_served_first(
        self, room: Room, storage: Storage, worker: Worker, second: Worker
    ) -> None:
        classid = await storage.add_class()
        await room.room.tick()
        calls = [await room.park(each) for each in (worker, second, worker)]
        arrived = [(await room.submit(classid)).processid for _ in calls]
        assert [await got(call) for call in calls] == arrived

    async def test_of_several_classes_the_smallest_prioritytime_comes_first(
        self, room: Room, storage: Storage, worker: Worker
    ) -> None:
        plain, named, placed = (
            await storage.add_class(),
            await storage.add_class(executornames=["worker"]),
            await storage.add_class(locationname="here"),
        )
        await room.room.tick()
        late, first, middle = (
            await room.submit(plain),
            await room.submit(named, priority=2),
            await room.submit(placed, priority=1),
        )
        order = [await room.once(worker, location="here") for _ in range(4)]
        assert order == [first.processid, middle.processid, late.processid, None]

    async def test_that_holds_also_where_the_first_of_a_class_ended(
        self, room: Room, storage: Storage, worker: Worker
    ) -> None:
        """What the room knows to wait first in a class may be gone, and the next in it come after others."""
        plain, named = await storage.add_class(), await storage.add_class(executornames=["worker"])
        await room.room.tick()
        ended = await room.submit(plain, priority=2)
        first = await room.submit(named, priority=1)
        last = await room.submit(plain)
        async with storage.unit() as store:
            assert await store.processes.cancel("colony", ended.processid, now=storage.clock.now())
        assert [await room.once(worker) for _ in range(3)] == [first.processid, last.processid, None]

    async def test_where_all_that_waited_in_many_classes_ended(
        self, room: Room, storage: Storage, worker: Worker
    ) -> None:
        for number in range(600):
            await storage.submit(await storage.add_class(cpu=f"{number + 1}m"), priority=1)
        await room.room.tick()
        async with storage.unit() as store:
            await store.processes.remove_all("colony", 0)
        classid = await storage.add_class()
        await room.room.tick()
        left = await room.submit(classid)
        claims = room.writes.claims
        assert await room.once(worker) == left.processid
        assert room.writes.claims - claims < 8

    async def test_however_many_wait_for_something_else(
        self, room: Room, storage: Storage, worker: Worker, second: Worker
    ) -> None:
        """More than one claim serves, and all of them came before."""
        classid = await storage.add_class(executortype="rare")
        await room.room.tick()
        crowd = [asyncio.create_task(room.take(worker)) for _ in range(3 * module.MAX_SEATS)]
        call = await room.park(second, executortype="rare")
        process = await room.submit(classid)
        assert await got(call) == process.processid
        room.room.shut()
        assert set(await together(*crowd)) == {None}

    async def test_more_calls_and_arrivals_than_one_claim_serves(
        self, room: Room, storage: Storage, worker: Worker
    ) -> None:
        classid = await storage.add_class()
        await room.room.tick()
        calls = [asyncio.create_task(room.take(worker)) for _ in range(2 * module.MAX_SEATS + 7)]
        await room.settled()
        ids = await storage.submit_many(classid, len(calls))
        for row in await storage.rows("select prioritytime from processes"):
            room.room.arrived(classid, row["prioritytime"])
        async with asyncio.timeout(PATIENCE):
            assert sorted(await together(*calls)) == sorted(ids)

    async def test_an_arrival_is_not_held_up_by_one_that_somebody_changes(
        self, room: Room, storage: Storage, worker: Worker
    ) -> None:
        classid = await storage.add_class()
        await room.room.tick()
        held = await storage.submit(classid)
        async with storage.stranger() as stranger:
            await stranger.execute("select from processes where processid = %s for update", [held.processid])
            call = asyncio.create_task(room.take(worker))
            room.room.arrived(classid, held.prioritytime)
            await room.settled()
            process = await room.submit(classid)
            assert await got(call) == process.processid
        call = await room.park(worker)
        await room.room.tick()
        assert await got(call) == held.processid

    async def test_nor_is_what_waits_in_another_class(self, room: Room, storage: Storage, worker: Worker) -> None:
        first, second = await storage.add_class(), await storage.add_class(cpu="1m")
        await room.room.tick()
        held = await room.submit(first)
        process = await room.submit(second)
        await room.submit(first)
        async with storage.stranger() as stranger:
            await stranger.execute("select from processes where processid = %s for update", [held.processid])
            assert await room.once(worker) == process.processid


class TestHandover:
    """A submit hands out what it stores to those who wait, in its own transaction."""

    async def test_who_waits_gets_it_without_a_claim_of_the_loop(
        self, room: Room, storage: Storage, worker: Worker
    ) -> None:
        classid = await storage.add_class()
        await room.room.tick()
        call = await room.park(worker)
        room.writes.failures.append(AssertionError("the loop claims"))
        [process] = await room.submit_and_hand_out(classid)
        assert await got(call) == process.processid
        assert await storage.states() == {process.processid: 1}
        await storage.require_true_counts()

    async def test_what_nobody_takes_is_known_to_wait(
        self, room: Room, storage: Storage, worker: Worker, second: Worker
    ) -> None:
        mine, other = await storage.add_class(), await storage.add_class(executornames=["second"])
        await room.room.tick()
        call = await room.park(worker)
        first, left, for_other = await room.submit_and_hand_out(mine, mine, other)
        assert await got(call) == first.processid
        assert [await got(asyncio.create_task(room.take(each))) for each in (worker, second)] == [
            left.processid, for_other.processid,
        ]  # fmt: skip

    async def test_of_many_who_wait_each_gets_one(
        self, room: Room, storage: Storage, worker: Worker, second: Worker
    ) -> None:
        classid = await storage.add_class()
        await room.room.tick()
        calls = [await room.park(each) for each in (worker, second, worker)]
        processes = await room.submit_and_hand_out(*[classid] * 3)
        assert [await got(call) for call in calls] == [each.processid for each in processes]

    async def test_a_submit_that_is_repeated_hands_out_nothing(
        self, room: Room, storage: Storage, worker: Worker
    ) -> None:
        classid = await storage.add_class()
        await room.room.tick()
        first = await room.park(worker)
        [process] = await room.submit_and_hand_out(classid, key="key")
        assert await got(first) == process.processid
        second = await room.park(worker)
        assert await room.submit_and_hand_out(classid, key="key") == []
        await room.settled()
        assert not second.done()
        [process] = await room.submit_and_hand_out(classid, key="another")
        assert await got(second) == process.processid

    async def test_a_submit_that_fails_leaves_those_who_wait_where_they_are(
        self, room: Room, storage: Storage, worker: Worker
    ) -> None:
        classid = await storage.add_class()
        await room.room.tick()
        call = await room.park(worker)
        with pytest.raises(KolonyError):
            await room.submit_and_hand_out(classid, label="\0")
        await room.settled()
        assert not call.done()
        [process] = await room.submit_and_hand_out(classid)
        assert await got(call) == process.processid

    async def test_beside_a_claim_of_the_loop_a_submit_only_stores(
        self, room: Room, storage: Storage, worker: Worker, second: Worker
    ) -> None:
        classid = await storage.add_class()
        await room.room.tick()
        calls = [await room.park(each) for each in (worker, second)]
        room.writes.after.clear()
        waiting = await room.submit(classid)
        await room.writes.committed.wait()
        [process] = await room.submit_and_hand_out(classid)
        assert await storage.states() == {waiting.processid: 1, process.processid: 0}
        room.writes.after.set()
        assert {await got(call) for call in calls} == {waiting.processid, process.processid}

    async def test_a_call_that_times_out_meanwhile_still_gets_it(
        self, room: Room, storage: Storage, worker: Worker
    ) -> None:
        classid = await storage.add_class()
        await room.room.tick()
        call = await room.park(worker)
        async with storage.stranger() as stranger:
            await stranger.execute("select from classes where classid = %s for update", [classid])
            submit = asyncio.create_task(room.submit_and_hand_out(classid))
            await storage.blocked()
            room.room.shut()
            await room.room.tick()
            assert not call.done()
        [process] = await submit
        assert await got(call) == process.processid

    async def test_what_goes_to_a_client_that_left_waits_again(
        self, room: Room, storage: Storage, worker: Worker
    ) -> None:
        classid = await storage.add_class()
        await room.room.tick()
        call = await room.park(worker)
        async with storage.stranger() as stranger:
            await stranger.execute("select from classes where classid = %s for update", [classid])
            submit = asyncio.create_task(room.submit_and_hand_out(classid))
            await storage.blocked()
            call.cancel()
            await asyncio.wait([call])
        [process] = await submit
        assert await room.once(worker) == process.processid

    async def test_a_paused_colony_gets_nothing(self, room: Room, storage: Storage, worker: Worker) -> None:
        classid = await storage.add_class()
        await room.room.tick()
        call = await room.park(worker)
        async with storage.unit() as store:
            await store.assignments.set_paused("colony", paused=True)
        [process] = await room.submit_and_hand_out(classid)
        await room.settled()
        assert not call.done()
        assert await storage.states() == {process.processid: 0}


class TestOverlap:
    """Calls that share some of the classes they search, and not all."""

    async def test_they_share_without_doubles(
        self, room: Room, storage: Storage, worker: Worker, second: Worker
    ) -> None:
        shared, own = await storage.add_class(), await storage.add_class(executornames=["second"])
        await room.room.tick()
        [left, right], others = [[await room.park(each) for _ in range(2)] for each in (worker, second)]
        processes = [each.processid for each in await room.submit_and_hand_out(shared, own, shared, own)]
        await room.settled()
        given = [call.result() for call in (left, right, *others) if call.done()]
        assert len(set(given)) == len(given)
        waiting = {processid for processid, state in (await storage.states()).items() if state == 0}
        assert waiting == set(processes) - set(given)
        assert waiting <= {processes[1], processes[3]}
        assert not waiting or all(call.done() for call in others)


class TestEnding:
    async def test_a_timeout_ends_the_wait_and_takes_nothing(
        self, room: Room, storage: Storage, worker: Worker
    ) -> None:
        classid = await storage.add_class()
        await room.room.tick()
        assert await room.take(worker, timeout=0.02) is None
        process = await room.submit(classid)
        await room.settled()
        assert await storage.states() == {process.processid: 0}
        assert len(room.room) == 0

    async def test_a_timeout_during_the_claim_still_takes_what_it_got(
        self, room: Room, storage: Storage, worker: Worker
    ) -> None:
        classid = await storage.add_class()
        await room.room.tick()
        process = await storage.submit(classid)
        room.room.arrived(classid, process.prioritytime)
        room.writes.after.clear()
        call = asyncio.create_task(room.take(worker, timeout=0.02))
        await room.writes.committed.wait()
        await asyncio.wait([call], timeout=0.05)
        assert not call.done(), "it was told that there is nothing, while it was given something"
        room.writes.after.set()
        assert await got(call) == process.processid

    async def test_a_timeout_during_a_claim_that_brings_nothing(
        self, room: Room, storage: Storage, worker: Worker
    ) -> None:
        process = await storage.submit(await storage.add_class())
        await room.room.tick()
        async with storage.unit() as store:
            await store.processes.remove("colony", process.processid)
        room.writes.after.clear()
        call = asyncio.create_task(room.take(worker, timeout=0.02))
        await room.writes.committed.wait()
        await asyncio.wait([call], timeout=0.05)
        room.writes.after.set()
        assert await got(call) is None

    async def test_a_client_that_went_away_while_parked_takes_nothing(
        self, room: Room, storage: Storage, worker: Worker, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(module, "_WATCHED_FROM", 0.0)
        classid = await storage.add_class()
        await room.room.tick()
        gone = asyncio.Event()
        call = asyncio.create_task(room.take(worker, disconnected=_until(gone)))
        await room.settled()
        gone.set()
        assert await got(call) is None
        process = await room.submit(classid)
        await room.settled()
        assert await storage.states() == {process.processid: 0}

    @pytest.mark.parametrize("how", ["client", "task"])
    async def test_what_was_claimed_for_one_who_went_away_returns_to_its_place(
        self, room: Room, storage: Storage, worker: Worker, second: Worker, monkeypatch: pytest.MonkeyPatch, how: str
    ) -> None:
        monkeypatch.setattr(module, "_WATCHED_FROM", 0.0)
        classid = await storage.add_class()
        first, later = await storage.submit(classid), await storage.submit(classid)
        await room.room.tick()
        gone = asyncio.Event()
        room.writes.after.clear()
        call = asyncio.create_task(room.take(worker, disconnected=_until(gone)))
        await room.writes.committed.wait()
        if how == "client":
            gone.set()
        else:
            call.cancel()
        await asyncio.wait([call], timeout=0.05)
        room.writes.after.set()
        assert [await room.take(second), await room.take(second)] == [first.processid, later.processid]
        await storage.require_true_counts()

    async def test_what_could_not_be_put_back_is_put_back_later(
        self, room: Room, storage: Storage, worker: Worker, second: Worker, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """The database went away just then; without this the process would run for ever, held by nobody."""
        classid = await storage.add_class()
        process = await storage.submit(classid)
        await room.room.tick()
        release, failures = room.writes.release, [Unavailable("the database is away; try again")]

        async def fail_once(process: object) -> object:
            if failures:
                raise failures.pop()
            return await release(process)  # type: ignore[arg-type]

        monkeypatch.setattr(room.writes, "release", fail_once)
        room.writes.after.clear()
        call = asyncio.create_task(room.take(worker))
        await room.writes.committed.wait()
        call.cancel()
        await asyncio.wait([call])
        room.writes.after.set()
        await until(lambda: not failures)
        assert await storage.states() == {process.processid: 1}
        await room.room.tick()
        assert await room.take(second) == process.processid

    async def test_told_to_stop_parked_calls_end_and_later_ones_do_not_wait(
        self, room: Room, storage: Storage, worker: Worker
    ) -> None:
        classid = await storage.add_class()
        await room.room.tick()
        calls = [await room.park(worker) for _ in range(3)]
        room.room.shut()
        assert [await got(call) for call in calls] == [None, None, None]
        async with asyncio.timeout(5):
            assert await room.take(worker) is None
        process = await room.submit(classid)
        assert await room.take(worker) == process.processid


class TestAskingOnce:
    async def test_it_takes_what_is_there_and_waits_for_nothing(
        self, room: Room, storage: Storage, worker: Worker
    ) -> None:
        classid = await storage.add_class()
        await room.room.tick()
        async with asyncio.timeout(5):
            assert await room.once(worker) is None
        process = await room.submit(classid)
        assert await room.once(worker) == process.processid
        assert await room.once(worker) is None

    async def test_it_is_owed_a_look_at_the_database(self, room: Room, storage: Storage, worker: Worker) -> None:
        """Another server stored something, of which this one has not heard yet."""
        classid = await storage.add_class()
        await room.room.tick()
        process = await storage.submit(classid)
        assert await room.once(worker) == process.processid

    async def test_many_at_once(self, room: Room, storage: Storage, worker: Worker) -> None:
        classid = await storage.add_class()
        await room.room.tick()
        ids = await storage.submit_many(classid, 10)
        async with asyncio.timeout(PATIENCE):
            answers = await together(*(room.once(worker) for _ in range(2 * module.MAX_SEATS)))
        assert sorted(filter(None, answers)) == ids


class TestMembers:
    async def test_an_executor_removed_before_the_claim_gets_nothing(
        self, room: Room, storage: Storage, worker: Worker, second: Worker
    ) -> None:
        classid = await storage.add_class()
        process = await storage.submit(classid)
        await room.room.tick()
        room.writes.before.clear()
        call = asyncio.create_task(room.take(worker))
        await room.writes.begun.wait()
        await storage.remove_executor(worker)
        room.writes.before.set()
        assert await room.take(second) == process.processid
        assert not call.done()
        call.cancel()

    async def test_an_executor_removed_after_the_claim_keeps_nothing(
        self, room: Room, storage: Storage, worker: Worker, second: Worker
    ) -> None:
        classid = await storage.add_class()
        process = await storage.submit(classid)
        await room.room.tick()
        room.writes.after.clear()
        call = asyncio.create_task(room.take(worker))
        await room.writes.committed.wait()
        async with storage.unit() as store:
            removed = await store.executors.unregister("colony", "worker")
        assert removed is not None
        for waiting in removed[1]:
            room.room.arrived(waiting.classid, waiting.prioritytime)
        room.writes.after.set()
        assert await got(call) == process.processid, "its executor finds out when it closes it"
        assert await room.take(second) == process.processid
        await storage.require_true_counts()

    @pytest.mark.parametrize("offered", [{}, {"cpu": "1000m"}], ids=["alike", "apart"])
    async def test_who_lost_the_right_to_work_holds_nobody_up(
        self, room: Room, storage: Storage, worker: Worker, second: Worker, offered: dict[str, str]
    ) -> None:
        """Its call came first and is still parked."""
        classid = await storage.add_class()
        await room.room.tick()
        first, then = await room.park(worker, **offered), await room.park(second)
        async with storage.unit() as store:
            await store.executors.set_state("colony", "worker", ExecutorState.REJECTED)
        room.room.dismiss([worker.identity])
        assert await got(first) is None
        process = await room.submit(classid)
        assert await got(then) == process.processid

    @pytest.mark.parametrize("offered", [{}, {"cpu": "1000m"}], ids=["alike", "apart"])
    async def test_nor_does_one_of_whom_this_server_has_not_heard(
        self, room: Room, storage: Storage, worker: Worker, second: Worker, offered: dict[str, str]
    ) -> None:
        classid = await storage.add_class()
        await room.room.tick()
        first, then = await room.park(worker, **offered), await room.park(second)
        async with storage.unit() as store:
            await store.executors.set_state("colony", "worker", ExecutorState.REJECTED)
        process = await room.submit(classid)
        await room.room.tick()
        assert await got(then) == process.processid
        assert not first.done()
        first.cancel()


class TestPauses:
    async def test_a_paused_colony_keeps_its_calls_and_its_work(
        self, room: Room, storage: Storage, worker: Worker
    ) -> None:
        classid = await storage.add_class()
        await room.room.tick()
        room.room.pause("colony")
        call = await room.park(worker)
        process = await room.submit(classid)
        await room.settled()
        assert not call.done()
        assert await room.once(worker) is None
        room.room.resume("colony")
        assert await got(call) == process.processid

    async def test_a_pause_by_another_server_is_learned(self, room: Room, storage: Storage, worker: Worker) -> None:
        classid = await storage.add_class()
        async with storage.unit() as store:
            await store.assignments.set_paused("colony", paused=True)
        await room.room.tick()
        call = await room.park(worker)
        process = await room.submit(classid)
        await room.room.tick()
        await room.settled()
        assert not call.done()
        async with storage.unit() as store:
            await store.assignments.set_paused("colony", paused=False)
        await room.room.tick()
        assert await got(call) == process.processid

    async def test_other_colonies_go_on(self, room: Room, storage: Storage, worker: Worker) -> None:
        await storage.add_colony("other")
        elsewhere = await storage.add_executor("elsewhere", colony="other")
        here, there = await storage.add_class(), await storage.add_class(colony="other")
        await room.room.tick()
        room.room.pause("colony")
        held, call = await room.park(worker), await room.park(elsewhere)
        await room.submit(here)
        process = await room.submit(there, colony="other")
        assert await got(call) == process.processid
        assert not held.done()
        held.cancel()


class TestFailures:
    async def test_a_failed_claim_leaves_parked_calls_for_the_next(
        self, room: Room, storage: Storage, worker: Worker
    ) -> None:
        classid = await storage.add_class()
        await room.room.tick()
        call = await room.park(worker)
        room.writes.failures.append(Unavailable("the database is away; try again"))
        process = await room.submit(classid)
        await until(lambda: not room.writes.failures)
        await room.settled()
        assert not call.done()
        await room.room.tick()
        assert await got(call) == process.processid

    async def test_a_call_that_asks_once_hears_of_the_failure(
        self, room: Room, storage: Storage, worker: Worker
    ) -> None:
        await storage.submit(await storage.add_class())
        await room.room.tick()
        room.writes.failures.append(Unavailable("the database is away; try again"))
        with pytest.raises(Unavailable):
            await room.once(worker)

    async def test_a_fault_of_the_server_does_not_end_the_claims(
        self, room: Room, storage: Storage, worker: Worker
    ) -> None:
        process = await storage.submit(await storage.add_class())
        await room.room.tick()
        room.writes.failures.append(ValueError("a bug"))
        with pytest.raises(KolonyError) as failed:
            await room.once(worker)
        assert failed.value.status == 500
        assert await room.once(worker) == process.processid


def _until(event: asyncio.Event) -> object:
    async def disconnected() -> None:
        await event.wait()

    return disconnected
