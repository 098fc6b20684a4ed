"""Terms of leaders, and the lease row, in the database."""

from __future__ import annotations

import asyncio
from datetime import datetime
from typing import NamedTuple

from kolony_apiserver.store.database import Database
from kolony_apiserver.store.repository import Repository

_BLOCKED = 0.3
"""Seconds for which a new term waits for writes of the last one, which take a few milliseconds."""


class Leadership(NamedTuple):
    """A term, the server that leads in it (empty: none any more), and since when."""

    term: int
    holder: str
    since: datetime | None


class TermWrites:
    """Beginning and end of terms, on connections of their own."""

    def __init__(self, database: Database) -> None:
        self._lane = database.lane()
        self._beside = database.lane()

    async def take(self, *, after: int, holder: str) -> Leadership | None:
        """Begin the next term after one; `None` when somebody else did.

        Once it has begun, nothing more is written in the terms before.
        """
        taking = asyncio.create_task(self._lane.all("take_term", after=after, holder=holder))
        try:
            while not (await asyncio.wait({taking}, timeout=_BLOCKED))[0]:
                await self._beside.all("end_blockers", pid=self._lane.pid)
        except BaseException:
            taking.cancel()
            raise
        rows = await taking
        return Leadership(**rows[0]) if rows else None

    async def give_up(self, term: int) -> None:
        """End a term without beginning another."""
        await self._lane.all("give_up_term", term=term)

    async def close(self) -> None:
        """Close the connections."""
        await self._lane.close()
        await self._beside.close()


class LeaseWrites:
    """A lease as a row, on a connection of its own."""

    def __init__(self, database: Database) -> None:
        # A renewal that is lost with the database is no harm: what a leader writes is fenced by its term.
        self._lane = database.lane(role="lease", durable=False)

    async def hold(self, name: str, holder: str, *, duration: float) -> bool:
        """Take or renew a lease for so many seconds of the database's clock; false when somebody else has it."""
        return bool(await self._lane.all("hold_lease", name=name, holder=holder, duration=duration))

    async def release(self, name: str, holder: str) -> None:
        """Give up a lease."""
        await self._lane.all("release_lease", name=name, holder=holder)

    async def close(self) -> None:
        """Close the connection."""
        await self._lane.close()


class Terms(Repository):
    """The fence of the leader, within its unit of work."""

    async def hold(self, term: int) -> bool:
        """Keep a term from ending before this transaction does; false when it has ended."""
        return await self.session.value("hold_term", term=term) is not None
