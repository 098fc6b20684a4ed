"""Counters: whatever happens, and in whatever order, they say what a recount says (invariant I13)."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable
from datetime import timedelta

import pytest
from storage import Storage, Worker, together

from kolony.model.processes import ProcessState

Step = Callable[[], Awaitable[object]]


async def fold(storage: Storage, limit: int = 10_000) -> int:
    async with storage.unit() as store:
        return await store.counts.fold(limit)


class Chance:
    """Does random things to processes, some of which do not apply."""

    def __init__(self, storage: Storage, seed: int, team: list[Worker], classes: list[int]) -> None:
        self.storage = storage
        self.random = random.Random(seed)
        self.team = team
        self.classes = classes
        self.known: list[str] = []

    def steps(self) -> list[Step]:
        return [
            self.submit,
            self.submit,
            self.claim,
            self.claim,
            self.close,
            self.cancel,
            self.remove,
            self.expire,
            self.take_back,
            self.retain,
            self.remove_many,
            lambda: fold(self.storage, self.random.randrange(1, 30)),
        ]

    async def step(self) -> None:
        self.storage.clock.advance(self.random.choice([0, 0.5, 2]))
        await self.random.choice(self.steps())()

    async def submit(self) -> None:
        classid = self.random.choice(self.classes)
        limits = {"maxwaittime": self.random.choice([-1, 5]), "maxexectime": self.random.choice([-1, 2])}
        count = self.random.randrange(1, 6)
        self.known += await self.storage.submit_many(
            classid, count, maxretries=self.random.choice([0, 1, -1]), **limits
        )

    async def claim(self) -> None:
        given, _ = await self.storage.claim((self.random.sample(self.team, 2), self.random.sample(self.classes, 2)))
        if given and self.random.random() < 0.2:
            await self.storage.assignments.release(next(iter(given.values()))[0])

    async def close(self) -> None:
        running = await self.storage.rows("select processid, executorid from processes where state = 1 limit 5")
        holders = {worker.identity: worker for worker in self.team}
        await self.storage.close(
            *(
                self.storage.ending(
                    holders[each["executorid"]],
                    each["processid"],
                    self.random.choice([ProcessState.SUCCESS, ProcessState.FAILED]),
                )
                for each in running + running[:1]
            )
        )

    async def cancel(self) -> None:
        if self.known:
            async with self.storage.unit() as store:
                chosen = self.random.choice(self.known)
                await store.processes.cancel("colony", chosen, now=self.storage.clock.now())

    async def remove(self) -> None:
        if self.known:
            async with self.storage.unit() as store:
                await store.processes.remove("colony", self.random.choice(self.known))

    async def expire(self) -> None:
        async with self.storage.unit() as store:
            await store.deadlines.expire_waiting(now=self.storage.clock.now(), limit=5)
            await store.deadlines.expire_running(now=self.storage.clock.now(), limit=5)

    async def take_back(self) -> None:
        worker = self.random.choice(self.team)
        await self.storage.remove_executor(worker)
        async with self.storage.unit() as store:
            await store.executors.set_state("colony", worker.name, 1)

    async def retain(self) -> None:
        async with self.storage.unit() as store:
            before = self.storage.clock.now() - timedelta(seconds=5)
            await store.deadlines.remove_old_processes("colony", before=before, limit=3)

    async def remove_many(self) -> None:
        if self.random.random() < 0.3:
            async with self.storage.unit() as store:
                await store.processes.remove_all("colony", self.random.choice([-1, 0, 2, 3, 4]))


@pytest.fixture
async def team(storage: Storage) -> list[Worker]:
    return [await storage.add_executor(f"e{number}") for number in range(4)]


@pytest.fixture
async def classes(storage: Storage) -> list[int]:
    return [await storage.add_class(cpu=f"{number}m") for number in range(3)]


@pytest.mark.parametrize("seed", range(4))
async def test_a_random_sequence(storage: Storage, team: list[Worker], classes: list[int], seed: int) -> None:
    chance = Chance(storage, seed, team, classes)
    for number in range(120):
        await chance.step()
        if number % 10 == 0:
            await storage.require_true_counts()
    await storage.require_true_counts()
    while await fold(storage):
        pass
    assert await storage.value("select count(*) from count_changes") == 0
    await storage.require_true_counts()


async def test_random_sequences_of_servers_at_once(storage: Storage, team: list[Worker], classes: list[int]) -> None:
    async def wander(server: Storage, seed: int) -> None:
        chance = Chance(server, seed, team, classes)
        for _ in range(60):
            await chance.step()

    async with storage.another() as second, storage.another() as third:
        await together(*(wander(server, 100 + n) for n, server in enumerate((storage, second, third))))
    await storage.require_true_counts()
    await fold(storage)
    await storage.require_true_counts()


async def test_changes_that_are_appended_while_they_are_added_up_count_once(
    storage: Storage, classes: list[int]
) -> None:
    done = asyncio.Event()

    async def append() -> None:
        for _ in range(40):
            await storage.submit_many(classes[0], 3)
        done.set()

    async def add_up(server: Storage) -> None:
        while not done.is_set():
            await fold(server, 7)

    async with storage.another() as second:
        await together(append(), add_up(storage), add_up(second))
    while await fold(storage):
        pass
    assert await storage.rows("select state, count from colony_counts") == [{"state": 0, "count": 120}]
    await storage.require_true_counts()


async def test_a_change_that_is_not_committed_yet_is_added_up_later(storage: Storage, classes: list[int]) -> None:
    async with storage.stranger() as stranger:
        await stranger.execute(
            "insert into count_changes (colonyname, classid, state, change) values ('colony', %s, 0, 5)", classes[:1]
        )
        await storage.submit(classes[0])
        assert await fold(storage) == 1
        await stranger.commit()
    assert await fold(storage) == 1
    assert (await storage.counted())["colony", 0] == 6


async def test_statistics_do_not_wait_for_the_adding_up(storage: Storage, classes: list[int]) -> None:
    await storage.submit_many(classes[0], 3)
    async with storage.unit() as store:
        before = await store.colonies.statistics("colony")
    await fold(storage)
    await storage.submit_many(classes[1], 2)
    async with storage.unit() as store:
        after = await store.colonies.statistics("colony")
    assert (before.waitingprocesses, after.waitingprocesses) == (3, 5)
