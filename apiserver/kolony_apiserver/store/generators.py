"""Generators in the database, and the arguments that were packed for them.

A queue is two numbers: that of the last argument packed, and that of the last one taken.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import NamedTuple

import msgspec

from kolony.model.base import NO_TIME, ColonyName
from kolony.model.generators import Generator
from kolony_apiserver.store.batch import Batch
from kolony_apiserver.store.database import Database, Row, records
from kolony_apiserver.store.repository import Repository


class Pack(msgspec.Struct, frozen=True, kw_only=True):
    """An argument for a generator."""

    generatorid: str
    arg: str
    initiatorid: str = ""
    idempotencykey: str = ""


class DueGenerator(NamedTuple):
    """A generator that starts a workflow: with the next ``amount`` arguments after number ``taken``."""

    generator: Generator
    taken: int
    amount: int


class PackWrites:
    """The batch that packs."""

    def __init__(self, database: Database) -> None:
        self._lane = database.lane()
        self._packs: Batch[tuple[Pack, datetime], bool] = Batch(self._store)

    async def pack(self, pack: Pack, now: datetime) -> bool:
        """Store an argument, unless its key was used for it before; false when the generator is gone."""
        return await self._packs.add((pack, now))

    async def finish(self) -> None:
        """Wait for what is under way, then close the connection."""
        await self._packs.finish()
        await self._lane.close()

    async def _store(self, packs: Sequence[tuple[Pack, datetime]]) -> list[bool]:
        calls = [msgspec.structs.asdict(pack) | {"no": number} for number, (pack, _) in enumerate(packs)]
        now = max(now for _, now in packs)
        stored = {row["no"] for row in await self._lane.all("pack_generators", calls=records(calls), now=now)}
        return [number in stored for number in range(len(packs))]


class Generators(Repository):
    """Queries about generators."""

    async def add(self, generator: Generator) -> bool:
        """Store a generator; false when its name is taken in the colony."""
        added = await self.session.value(
            "add_generator",
            generatorid=generator.generatorid,
            colonyname=generator.colonyname,
            name=generator.name,
            initiatorid=generator.initiatorid,
            initiatorname=generator.initiatorname,
            workflowspec=generator.workflowspec,
            trigger=generator.trigger,
            timeout=generator.timeout,
        )
        return added is not None

    async def colony_of(self, generatorid: str) -> ColonyName | None:
        """The colony of a generator, found by key alone."""
        name: ColonyName | None = await self.session.value("generator_colony", generatorid=generatorid)
        return name

    async def get(self, colony: str, generatorid: str) -> Generator | None:
        """One generator, with the size of its queue."""
        return await self.session.one("get_generator", _with_queue, colony=colony, generatorid=generatorid)

    async def resolve(self, colony: str, name: str) -> Generator | None:
        """One generator by name."""
        return await self.session.one("resolve_generator", _generator, colony=colony, name=name)

    async def find(self, colony: str, *, count: int) -> list[Generator]:
        """The generators of a colony, the oldest first."""
        return await self.session.all("find_generators", _generator, colony=colony, count=count)

    async def remove(self, colony: str, generatorid: str) -> bool:
        """Delete a generator and what waits in it; false when it is gone."""
        return await self.session.run("remove_generator", colony=colony, generatorid=generatorid) > 0

    async def find_due(self, *, now: datetime, after: str, limit: int) -> list[str]:
        """The ids of generators that start a workflow now, after one that was found before."""
        return await self.session.all(
            "find_due_generators", lambda row: str(row["generatorid"]), now=now, lastid=after, limit=limit
        )

    async def take_due(self, generatorid: str, *, now: datetime) -> DueGenerator | None:
        """A generator that is due, held until the transaction ends; `None` when another server has it or had it."""
        return await self.session.one(
            "take_due_generator",
            lambda row: DueGenerator(_generator(row), row["taken"], row["due"]),
            generatorid=generatorid,
            now=now,
        )

    async def take_packs(self, due: DueGenerator, *, now: datetime) -> list[str]:
        """The next arguments of a generator, in order, for a workflow that is started in this transaction."""
        return await self.session.all(
            "take_packs",
            lambda row: str(row["arg"]),
            generatorid=due.generator.generatorid,
            taken=due.taken,
            count=due.amount,
            now=now,
        )

    async def put_off(self, generatorid: str, *, retry: datetime) -> None:
        """Leave a generator alone until a time."""
        await self.session.run("put_off_generator", generatorid=generatorid, retry=retry)

    async def change_initiator(self, colony: str, *, old: str, new: str) -> None:
        """Give the initiator of generators a new key."""
        await self.session.run("change_generator_initiator", colony=colony, old=old, new=new)

    async def lock_colony(self, colony: str) -> None:
        """Hold the queues of all generators of a colony until the transaction ends."""
        await self.session.run("lock_colony_generators", colony=colony)

    async def pending(self) -> dict[str, int]:
        """How many arguments wait in the generators of each colony."""
        return dict(await self.session.all("pending_packs", lambda row: (str(row["colonyname"]), int(row["pending"]))))


def _generator(row: Row) -> Generator:
    return Generator(
        generatorid=row["generatorid"],
        initiatorid=row["initiatorid"],
        initiatorname=row["initiatorname"],
        colonyname=row["colonyname"],
        name=row["name"],
        workflowspec=row["workflowspec"],
        trigger=row["trigger"],
        timeout=row["timeout"],
        firstpack=row["firstpack"] or NO_TIME,
        lastrun=row["lastrun"] or NO_TIME,
    )


def _with_queue(row: Row) -> Generator:
    return msgspec.structs.replace(_generator(row), queuesize=row["packed"] - row["taken"])
