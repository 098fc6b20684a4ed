"""Signs of life: when each executor was last heard from.

Any signed call counts. The times gather in memory and are written together every few seconds.
"""

from __future__ import annotations

from datetime import datetime

from kolony.model.executors import Executor
from kolony_apiserver.clock import Clock
from kolony_apiserver.membership import Caller
from kolony_apiserver.store.database import Database
from kolony_apiserver.store.executors import ContactWrites

import msgspec

FLUSH_INTERVAL = 2.0


class Contacts:
    """The times not yet written, by colony and executor name."""

    def __init__(self, database: Database, clock: Clock) -> None:
        self._writes = ContactWrites(database)
        self._clock = clock
        self._heard: dict[tuple[str, str], datetime] = {}

    def heard_from(self, caller: Caller) -> None:
        """Note that an executor called just now."""
        if caller.executors:
            now = self._clock.now()
            for colonyname, executor in caller.executors.items():
                self._heard[colonyname, executor.name] = now

    def latest(self, executor: Executor) -> Executor:
        """The executor with a sign of life that is not written yet."""
        heard = self._heard.get((executor.colonyname, executor.executorname))
        if heard is None or heard <= executor.lastheardfromtime:
            return executor
        return msgspec.structs.replace(executor, lastheardfromtime=heard)

    async def tick(self) -> None:
        """Write what gathered. To be called every `FLUSH_INTERVAL` seconds."""
        heard, self._heard = self._heard, {}
        if heard:
            await self._writes.flush(heard)

    async def close(self) -> None:
        """Write the rest and close the connection."""
        await self.tick()
        await self._writes.close()
