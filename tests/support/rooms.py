"""Waiting rooms on real storage, and a gate that holds their claims."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable

from clocked import SetClock
from msgspec import Raw
from storage import Storage, Worker, until

from kolony.crypto import Identity
from kolony.model.processes import Process
from kolony_apiserver.queue.requirements import Offer, offer_of
from kolony_apiserver.queue.room import WaitingRoom
from kolony_apiserver.store.assignments import AssignmentWrites, Claim, Claimed
from kolony_apiserver.store.processes import ProcessWrites, Submission

PATIENCE = 20.0


class Gate(AssignmentWrites):
    """Claims that can be held before they reach the database or after, and made to fail."""

    def __init__(self, storage: Storage) -> None:
        super().__init__(storage.database)
        self.before = asyncio.Event()
        self.after = asyncio.Event()
        self.before.set()
        self.after.set()
        self.begun = asyncio.Event()
        self.committed = asyncio.Event()
        self.failures: list[Exception] = []
        self.claims = 0

    async def claim(self, claim: Claim) -> Claimed:
        self.begun.set()
        self.claims += 1
        await self.before.wait()
        if self.failures:
            raise self.failures.pop(0)
        claimed = await super().claim(claim)
        self.committed.set()
        await self.after.wait()
        return claimed


class Room:
    """A waiting room at work, as in a server."""

    def __init__(self, storage: Storage, writes: Gate) -> None:
        self.storage = storage
        self.writes = writes
        self.clock: SetClock = storage.clock
        self.room = WaitingRoom(writes, storage.clock)
        self.submits = ProcessWrites(storage.database, self.room)
        """Submits that hand out what they store, as those of a server do."""

    def offer(self, worker: Worker, **offered: str) -> Offer:
        offer = {"executortype": "cli", "location": "", "cpu": "", "mem": ""} | offered
        return offer_of(colonyname=worker.colony, executorname=worker.name, **offer)

    async def take(
        self,
        worker: Worker,
        *,
        timeout: float = PATIENCE,  # noqa: ASYNC109 - named as in the room
        disconnected: Callable[[], Awaitable[None]] | None = None,
        **offered: str,
    ) -> str | None:
        """The id of the process that an assign call gets."""
        process = await self.room.take(
            self.offer(worker, **offered), worker.identity, timeout=timeout, disconnected=disconnected
        )
        return process.processid if process else None

    async def once(self, worker: Worker, **offered: str) -> str | None:
        """The id of the process that a call which does not wait gets."""
        return await self.take(worker, timeout=-1, **offered)

    async def park(self, worker: Worker, **offered: str) -> asyncio.Task[str | None]:
        """An assign call that has found nothing and waits."""
        call = asyncio.create_task(self.take(worker, **offered))
        await self.settled()
        assert not call.done()
        return call

    async def settled(self) -> None:
        """Wait until the room has nothing more to do: a call that asks once is answered after all who came before."""
        stranger = Worker("nowhere", "nobody", Identity("nobody"))
        assert await self.room.take(self.offer(stranger), stranger.identity, timeout=-1) is None

    async def submit(self, classid: int, **fields: object) -> Process[Raw]:
        """Store a process of which the room is told once it is committed."""
        process = await self.storage.submit(classid, **fields)
        self.room.arrived(classid, process.prioritytime)
        return process

    async def submit_and_hand_out(self, *classids: int, key: str = "", **fields: object) -> list[Process[Raw]]:
        """Store processes of these classes together, as a call of a server does; none when they were not stored."""
        processes = [self.storage.process(**fields) for _ in classids]
        stored = await self.submits.submit(Submission(processes=processes, classids=classids, idempotencykey=key))
        return processes if stored else []

    async def park_for_long(self, worker: Worker, **offered: str) -> asyncio.Task[str | None]:
        """An assign call that waits and is known to do so."""
        sought = (worker.colony, offered.get("executortype", "cli"))
        call = await self.park(worker, **offered)
        await until(lambda: self.room.sought[sought])
        return call


@contextlib.asynccontextmanager
async def open_room(storage: Storage) -> AsyncIterator[Room]:
    """A room that has learned what there is and claims; its ticks are the test's."""
    writes = Gate(storage)
    opened = Room(storage, writes)
    await opened.room.load()
    claims = asyncio.create_task(opened.room.run())
    try:
        yield opened
        assert not claims.done(), "the claim loop ended"
    finally:
        claims.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await claims
        await opened.submits.finish()
        await writes.close()
