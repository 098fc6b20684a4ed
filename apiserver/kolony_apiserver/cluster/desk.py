"""The desk: where an assign call goes to wait, in this server's room or in that of the leader."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Protocol

from msgspec import Raw

from kolony.crypto import Identity
from kolony.errors import NotLeading, Unavailable
from kolony.model.processes import Process
from kolony_apiserver.clock import Clock
from kolony_apiserver.cluster.election import Election
from kolony_apiserver.cluster.relay import RelayLink, RelayListener
from kolony_apiserver.cluster.roster import Roster
from kolony_apiserver.queue.requirements import Offer
from kolony_apiserver.queue.room import WaitingRoom

_PATIENCE = 5.0
"""Seconds for which a call that only looks waits for a leader."""

_AGAIN = 0.05
"""Seconds until a leader that could not be reached is tried again."""


class Place(Protocol):
    """Where calls wait."""

    async def take(
        self,
        offer: Offer,
        executorid: Identity,
        *,
        timeout: float,  # noqa: ASYNC109 - as in the waiting room
        disconnected: Callable[[], Awaitable[None]] | None = None,
    ) -> Process[Raw] | None:
        """A process, or `None`; `NotLeading` when another place has to be found."""


class Desk:
    """Parks the calls of this server's clients; where only the leader assigns, with the leader, whoever that is.

    Its clients do not notice when another server leads: their calls are parked again.
    """

    def __init__(self, room: WaitingRoom, election: Election, roster: Roster, clock: Clock, *, exclusive: bool) -> None:
        self._room = room
        self._election = election
        self._roster = roster
        self._clock = clock
        self._exclusive = exclusive
        self._listener = RelayListener(roster.me.secret, room.take, room.give_back)
        self._link: RelayLink | None = None
        self._open = True

    def __len__(self) -> int:
        return len(self._room) + (0 if self._link is None else len(self._link))

    async def listen(self, host: str, port: int) -> int:
        """Let other servers park calls here; the port that they reach this one at."""
        return await self._listener.listen(host, port)

    async def take(
        self,
        offer: Offer,
        executorid: Identity,
        *,
        timeout: float,  # noqa: ASYNC109 - as in the waiting room
        disconnected: Callable[[], Awaitable[None]] | None = None,
    ) -> Process[Raw] | None:
        """A process for this executor, or `None`; see `WaitingRoom.take`.

        Raises:
            Unavailable: no server leads, and the call is not one that waits.
        """
        if not self._exclusive:
            return await self._room.take(offer, executorid, timeout=timeout, disconnected=disconnected)
        until = self._clock.monotonic() + (timeout if timeout > 0 else _PATIENCE)
        while (left := until - self._clock.monotonic()) > 0:
            place = self._place()
            if place is None:
                await self._changed(left)
                continue
            try:
                return await place.take(
                    offer, executorid, timeout=left if timeout > 0 else timeout, disconnected=disconnected
                )
            except NotLeading:
                if not self._open:
                    return None
                await self._changed(min(left, _AGAIN))
        if timeout <= 0:
            raise Unavailable("no server leads now; try again")
        return None

    def _place(self) -> Place | None:
        if self._election.term is not None:
            return self._room
        leader = self._roster.leader
        if leader is None or leader.name == self._roster.me.name:
            return None
        if self._link is None or self._link.broken or self._link.leader != leader:
            if self._link is not None:
                self._link.drop()
            self._link = RelayLink(leader, self._room.give_back)
        return self._link

    async def _changed(self, seconds: float) -> None:
        """Wait until somebody else leads, but no longer than so many seconds."""
        try:
            async with asyncio.timeout(seconds):
                await self._roster.change()
        except TimeoutError:
            return

    def shut(self) -> None:
        """End the calls of this server's clients as at their timeout; those of other servers are parked elsewhere."""
        self._open = False
        if self._exclusive:
            self._room.vacate()
            if self._link is not None:
                self._link.leave()
        else:
            self._room.shut()

    async def close(self) -> None:
        """End the connections to other servers."""
        await self._listener.close()
        if self._link is not None:
            await self._link.close()
