"""Removing a colony while it is in use: nothing of it stays, and nothing of others goes."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable

from storage import Storage, Worker, together, until

from kolony.errors import Conflict
from kolony.model.colonies import Colony
from kolony.model.crons import Cron
from kolony.model.processes import ProcessState
from kolony_apiserver.store.processes import Submission

TABLES = {
    "colonies", "executors", "users", "functions", "locations", "classes", "processes", "submissions", "logs",
    "count_changes", "colony_counts", "workflows", "crons", "generators", "generator_queues",
}  # fmt: skip


async def remove(storage: Storage, colony: str) -> bool:
    async with storage.unit() as store:
        return await store.colonies.remove(colony)


async def left_of(storage: Storage, colony: str) -> dict[str, int]:
    """How many rows of a colony there are, by table; counts and attributes of nobody count as well."""
    found = {
        table: await storage.value(f"select count(*) from {table} where colonyname = %(colony)s", colony=colony)
        for table in TABLES
    }
    found["class_counts"] = await storage.value(
        "select count(*) from class_counts where classid not in (select classid from classes)"
    )
    found["dependencies"] = await storage.value(
        "select count(*) from dependencies where workflowid not in (select workflowid from workflows)"
    )
    found["packs"] = await storage.value(
        "select count(*) from packs where generatorid not in (select generatorid from generators)"
    )
    found["attributes"] = await storage.value(
        "select count(*) from attributes where targetid not in (select processid from processes)"
    )
    return {table: count for table, count in found.items() if count}


async def test_everything_of_a_colony_goes(storage: Storage) -> None:
    await storage.add_colony("other")
    for colony in ("colony", "other"):
        worker = await storage.add_executor("e", colony=colony)
        await storage.add_function(worker, "echo")
        classid = await storage.add_class(colony=colony)
        await storage.submit_many(classid, 3, colony=colony, env={"A": "1"})
        await storage.add_workflow(classid, {"a": [], "b": ["a"]}, colony=colony)
        await storage.add_generator(f"g {colony}", colony=colony, packed=3)
        process = await storage.take(worker, classid)
        async with storage.unit() as store:
            cron = Cron(cronid=f"c {colony}", colonyname=colony, interval=10)
            assert await store.crons.add(cron, now=storage.clock.now())
            assert await store.logs.add(process.processid, "text", executorid=worker.identity, timestamp=1)
            await store.counts.fold(3)

    assert await remove(storage, "colony") is True
    assert await remove(storage, "colony") is False

    assert await left_of(storage, "colony") == {}
    left = await left_of(storage, "other")
    assert (left["processes"], left["crons"], left["generators"]) == (5, 1, 1)
    assert await storage.value("select count(*) from packs") == 3
    await storage.require_true_counts()


class Busy:
    """A server at work for a colony: it submits, claims and closes, until the colony is gone."""

    def __init__(self, storage: Storage, colony: str, team: list[Worker], seed: int) -> None:
        self.storage = storage
        self.colony = colony
        self.team = team
        self.random = random.Random(seed)
        self.classes: list[int] = []

    async def work(self, gone: asyncio.Event) -> None:
        await together(*(self._repeat(step, gone) for step in (self._submit, self._claim, self._close, self._count)))

    async def _repeat(self, step: Callable[[], Awaitable[None]], gone: asyncio.Event) -> None:
        while not gone.is_set():
            await step()
            await asyncio.sleep(0)

    async def _submit(self) -> None:
        try:
            classid = await self.storage.add_class(colony=self.colony, cpu=f"{self.random.randrange(4)}m")
        except Conflict:
            return  # the colony is gone
        self.classes.append(classid)
        processes = [
            self.storage.process(colony=self.colony, env={"A": "1"}) for _ in range(self.random.randrange(1, 4))
        ]
        key = f"{self.random.random()}" if self.random.random() < 0.3 else ""
        await self.storage.writes.submit(
            Submission(processes=processes, classids=[classid] * len(processes), idempotencykey=key)
        )

    async def _claim(self) -> None:
        if self.classes:
            await self.storage.claim((self.team, self.classes[-4:]))

    async def _close(self) -> None:
        holders = {worker.identity: worker for worker in self.team}
        running = await self.storage.rows(
            "select processid, executorid from processes where colonyname = %(colony)s and state = 1 limit 4",
            colony=self.colony,
        )
        self.random.shuffle(running)
        endings = [
            self.storage.ending(holders[each["executorid"]], each["processid"], ProcessState.SUCCESS)
            for each in running
            if each["executorid"] in holders
        ]
        if endings:
            await self.storage.close(*endings)

    async def _count(self) -> None:
        async with self.storage.unit() as store:
            await store.counts.fold(20)


async def test_a_colony_removed_while_it_is_busy_leaves_nothing(storage: Storage) -> None:
    staying = [await storage.add_executor(f"stays{number}") for number in range(2)]
    for seed in range(6):
        colony = await storage.add_colony(f"leaving{seed}")
        team = [await storage.add_executor(f"e{number}", colony=colony) for number in range(3)]
        for worker in team + (staying if seed == 0 else []):
            await storage.add_function(worker, "echo")
        gone = asyncio.Event()

        async def leave(colony: str = colony, gone: asyncio.Event = gone) -> None:
            async def busy() -> bool:
                query = "select count(*) filter (where state = 2) from processes where colonyname = %(colony)s"
                return int(await storage.value(query, colony=colony)) >= 5

            try:
                await until(busy)
                await remove(storage, colony)
            finally:
                gone.set()

        async with storage.another() as second, storage.another() as third:
            await together(
                Busy(storage, colony, team, seed).work(gone),
                Busy(second, colony, team, seed + 100).work(gone),
                Busy(third, "colony", staying, seed + 200).work(gone),
                leave(),
            )
        assert await left_of(storage, colony) == {}
        await storage.require_true_counts()


async def test_removal_waits_for_a_submit_under_way(storage: Storage) -> None:
    classid = await storage.add_class()
    async with storage.stranger() as submitter:
        # As a submit does it, in a transaction that has not ended.
        await submitter.execute("select from classes where classid = %s for key share", [classid])
        removal = asyncio.create_task(remove(storage, "colony"))
        await storage.blocked()
        await submitter.execute(
            "insert into processes (processid, colonyname, classid, state, prioritytime, submissiontime, maxwaittime,"
            " maxexectime, maxretries, initiatorid, initiatorname, executortype, funcname, label, spec)"
            " values ('late', 'colony', %s, 0, 0, now(), 0, 0, 0, '', '', '', '', '', '{}')",
            [classid],
        )
        await submitter.execute(
            "insert into count_changes (colonyname, classid, state, change) values ('colony', %s, 0, 1)", [classid]
        )
        await submitter.commit()
        assert await removal is True
    assert await left_of(storage, "colony") == {}


async def test_removal_waits_for_a_close_and_a_claim_under_way(storage: Storage) -> None:
    """Neither may stand in the way of the other."""
    worker = await storage.add_executor("e")
    await storage.add_function(worker, "echo")
    classid = await storage.add_class()
    await storage.submit_many(classid, 3)
    held = [await storage.take(worker, classid) for _ in range(3)]
    async with storage.stranger() as stranger:
        await stranger.execute("select from processes where processid = %s for update", [held[1].processid])
        removal = asyncio.create_task(remove(storage, "colony"))
        await storage.blocked()
        closes = asyncio.create_task(storage.close(storage.ending(worker, held[2]), storage.ending(worker, held[0])))
        await storage.blocked(2)
        given, _ = await storage.claim(([worker], [classid]))
        assert given == {}
        await stranger.rollback()
        assert await removal is True
        assert await closes == [None, None]
    assert await left_of(storage, "colony") == {}


async def test_a_colony_of_the_same_name_starts_afresh(storage: Storage) -> None:
    classid = await storage.add_class()
    await storage.submit_many(classid, 2)
    assert await remove(storage, "colony")
    async with storage.unit() as store:
        assert await store.colonies.add(Colony(name="colony", colonyid="f" * 64))
    assert await storage.add_class() != classid
    assert await storage.states() == {}
    await storage.require_true_counts()
