"""The roster: which servers there are, and which of them leads, as read from the database a moment ago."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from kolony_apiserver.store.leadership import Leadership
from kolony_apiserver.store.servers import Member, ServerWrites

WITHIN = 5.0
"""Seconds without a sign of life after which a server is not on the roster any more."""


class Roster:
    """The servers of the cluster, this one among them."""

    def __init__(self, writes: ServerWrites, me: Member) -> None:
        self.me = me
        self.members: Sequence[Member] = [me]
        self.leadership = Leadership(0, "", None)
        self._writes = writes
        self._changed = asyncio.Event()

    @property
    def leader(self) -> Member | None:
        """The server that leads, if it is there."""
        return next((member for member in self.members if member.name == self.leadership.holder), None)

    async def refresh(self) -> Leadership:
        """Note that this server is there, and read which others are; who leads."""
        members, leadership = await self._writes.attend(self.me, within=WITHIN)
        if (members, leadership) != (self.members, self.leadership):
            self.members = members
            self.lead(leadership)
        return leadership

    def lead(self, leadership: Leadership) -> None:
        """Note who leads from now on."""
        self.leadership = leadership
        self._changed.set()
        self._changed = asyncio.Event()

    async def change(self) -> None:
        """Wait until something has changed."""
        await self._changed.wait()

    async def leave(self) -> None:
        """Let the others know that this server goes."""
        await self._writes.leave(self.me.name)

    async def close(self) -> None:
        """Close the connection."""
        await self._writes.close()
