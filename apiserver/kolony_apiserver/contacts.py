"""Signs of life: when each executor was last heard from.

Any signed call counts. The times gather in memory and are written together every few seconds.
"""

from __future__ import annotations

from collections.abc import Iterable

import msgspec

from kolony.errors import KolonyError
from kolony.model.executors import Executor
from kolony_apiserver.clock import Clock, from_ns
from kolony_apiserver.membership import Caller
from kolony_apiserver.store.database import Database
from kolony_apiserver.store.executors import ContactWrites

FLUSH_INTERVAL = 2.0


class Contacts:
    """The times not yet written, by colony and executor name."""

    def __init__(self, database: Database, clock: Clock) -> None:
        self._writes = ContactWrites(database)
        self._clock = clock
        self._heard: dict[tuple[str, str], int] = {}

    def heard_from(self, caller: Caller) -> None:
        """Note that an executor called just now."""
        if caller.executors:
            now = self._clock.now_ns()
            for colonyname, executor in caller.executors.items():
                self._heard[colonyname, executor.name] = now

    def still_here(self, executors: Iterable[tuple[str, str]]) -> None:
        """Note that executors, given by colony and name, are connected: they wait for an answer."""
        self._heard.update(dict.fromkeys(executors, self._clock.now_ns()))

    def latest(self, executor: Executor) -> Executor:
        """The executor with a sign of life that is not written yet; those from before it was added were another's."""
        ns = self._heard.get((executor.colonyname, executor.executorname))
        known = max(executor.lastheardfromtime, executor.commissiontime)
        if ns is None or (heard := from_ns(ns, self._clock.zone)) <= known:
            return executor
        return msgspec.structs.replace(executor, lastheardfromtime=heard)

    async def tick(self) -> None:
        """Write what gathered. To be called every `FLUSH_INTERVAL` seconds."""
        heard, self._heard = self._heard, {}
        if not heard:
            return
        try:
            await self._writes.flush({key: from_ns(ns) for key, ns in heard.items()})
        except KolonyError:
            self._heard = heard | self._heard
            raise

    async def close(self) -> None:
        """Write the rest and close the connection."""
        await self.tick()
        await self._writes.close()
