"""How executors get work, and how owners hold it back."""

from __future__ import annotations

from kolony.model.processes import Process
from kolony.sdk.api import Api, M, method
from kolony.sdk.retries import NO_RETRY
from kolony.sdk.settings import Key
from kolony.wire.assignments import AssignProcess, GetPauseStatus, PauseAssignments, ResumeAssignments


class Assignments(Api[M]):
    """Assignment of processes in a colony."""

    @method
    async def assign(
        self,
        timeout: int,
        *,
        availablecpu: str = "",
        availablemem: str = "",
        colony: str = "",
        key: Key | None = None,
    ) -> Process:
        """Take the next process that the caller may run (executor).

        Waits up to ``timeout`` seconds. A negative ``timeout`` wants an answer at once, so then nothing is repeated
        either.

        Raises:
            NotFound: there is nothing to do.
            AssignTimeout, Unavailable: the colony is paused.
        """
        message = AssignProcess(
            colonyname=self._colony(colony), timeout=timeout, availablecpu=availablecpu, availablemem=availablemem
        )
        return await self._connection.call(message, key=key, retry=NO_RETRY if timeout < 0 else None)

    @method
    async def pause(self, *, colony: str = "", key: Key | None = None) -> None:
        """Hold back all processes of a colony (colony owner)."""
        await self._call(PauseAssignments(colonyname=self._colony(colony)), key or self._keys.colony)

    @method
    async def resume(self, *, colony: str = "", key: Key | None = None) -> None:
        """Hand out processes again (colony owner)."""
        await self._call(ResumeAssignments(colonyname=self._colony(colony)), key or self._keys.colony)

    @method
    async def paused(self, *, colony: str = "", key: Key | None = None) -> bool:
        """Whether the colony is paused (member)."""
        status = await self._call(GetPauseStatus(colonyname=self._colony(colony)), key)
        return status.ispaused
