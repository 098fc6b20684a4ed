"""The election of the leader.

The leader holds a lease, which it renews several times before it would run out and trusts for a part of its time only,
counted from before it asked. A lease alone is not safe: a leader that was stopped for a while may go on where it was,
and learn only later that another leads. So each leader begins a *term*, a number kept in PostgreSQL, and whatever it
writes as leader is written in its term or not at all (`kolony_apiserver.services.context.LeaderUnit`, and the claims of
the waiting room).
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from typing import TypeVar

from kolony.errors import Unavailable
from kolony_apiserver.clock import Clock
from kolony_apiserver.cluster.leases import Lease
from kolony_apiserver.cluster.roster import Roster
from kolony_apiserver.store.leadership import TermWrites

log = logging.getLogger(__name__)

T = TypeVar("T")

RENEWALS = 5
"""How often a lease is renewed in the time for which it lasts."""

_TRUSTED = 0.8
"""The part of its time for which a lease is trusted."""


class Election:
    """Whether this server leads, and in which term."""

    def __init__(self, lease: Lease, terms: TermWrites, roster: Roster, clock: Clock) -> None:
        self._lease = lease
        self._terms = terms
        self._roster = roster
        self._clock = clock
        self._term: int | None = None
        self._until = float("-inf")
        self._lapse: asyncio.TimerHandle | None = None
        self._turn = asyncio.Lock()
        self._open = True
        self.when_lost: Callable[[], None] = lambda: None
        """Called when this server does not lead any more."""

    @property
    def interval(self) -> float:
        """Seconds between two renewals."""
        return self._lease.duration / RENEWALS

    @property
    def term(self) -> int | None:
        """The term in which this server may write as leader; `None` while it does not lead."""
        return self._term if self._clock.monotonic() < self._until else None

    async def tick(self) -> None:
        """Renew the lease, or try to get it. To be called every `interval` seconds, and when a leader resigned.

        Whoever cannot reach the tables does not renew: the lease is for those who can do a leader's work.
        """
        async with self._turn:
            if not self._open:
                return
            known = await self._bounded(self._roster.refresh())
            if self._term is not None and known.term != self._term:
                self._lose("another term began")
            asked = self._clock.monotonic()
            if await self._bounded(self._lease.hold()):
                self._trust(asked)
                if self._term is None:
                    await self._begin(after=known.term)
            else:
                self._lose("another server holds the lease")

    def _trust(self, asked: float) -> None:
        self._until = asked + self._lease.duration * _TRUSTED
        if self._lapse is not None:
            self._lapse.cancel()
        self._lapse = asyncio.get_running_loop().call_later(
            self._until - self._clock.monotonic(), self._lose, "the lease could not be renewed"
        )

    async def _begin(self, *, after: int) -> None:
        """Begin a term, unless somebody did since the lease was asked for, or that is too long ago."""
        taken = await self._bounded(self._terms.take(after=after, holder=self._roster.me.name))
        if taken is not None and self._clock.monotonic() < self._until:
            self._term = taken.term
            self._roster.lead(taken)
            log.info("leading in term %d", taken.term)

    async def _bounded(self, work: Awaitable[T]) -> T:
        try:
            async with asyncio.timeout(self._lease.duration * _TRUSTED):
                return await work
        except TimeoutError as error:
            raise Unavailable("the election gets no answer") from error

    def _lose(self, why: str) -> None:
        if self._term is not None:
            log.info("not leading any more: %s", why)
            self._term = None
            self.when_lost()

    async def resign(self) -> None:
        """Give way at once, and for good."""
        self._open = False
        async with self._turn:
            term = self._term
            self._lose("this server stops")
            if term is not None:
                await self._bounded(self._terms.give_up(term))
                await self._bounded(self._lease.release())

    async def close(self) -> None:
        """Close the connections."""
        if self._lapse is not None:
            self._lapse.cancel()
        await self._terms.close()
        await self._lease.close()
