"""Logs."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator

from kolony.model.logs import Log
from kolony.model.processes import ProcessState
from kolony.sdk.api import Api, M, method, stream
from kolony.sdk.settings import Key
from kolony.wire.logs import MAX_FOUND, MAX_LOGS, AddExecutorLog, AddLog, GetLogs, SearchLogs
from kolony.wire.processes import GetProcess

_POLL_SECONDS = 0.5


class Logs(Api[M]):
    """Logs of processes and executors. Lines are added at least once: a repeated call may write them twice."""

    @method
    async def add(self, processid: str, message: str, *, key: Key | None = None) -> None:
        """Write to the log of a running process (the executor that runs it)."""
        await self._call(AddLog(processid=processid, message=message), key)

    @method
    async def add_of_executor(
        self, executorname: str, message: str, *, colony: str = "", key: Key | None = None
    ) -> None:
        """Write to an executor's own log (the executor itself)."""
        await self._call(
            AddExecutorLog(colonyname=self._colony(colony), executorname=executorname, message=message), key
        )

    @method
    async def find(
        self,
        processid: str = "",
        *,
        executorname: str = "",
        count: int = MAX_LOGS,
        since: int = 0,
        latest: bool = False,
        colony: str = "",
        key: Key | None = None,
    ) -> list[Log]:
        """The log of a process, or of an executor, oldest entry first (member).

        The first ``count`` entries newer than ``since`` (Unix nanoseconds), or the last ones with ``latest``.
        """
        message = GetLogs(
            colonyname=self._colony(colony) if executorname else colony,
            processid=processid,
            executorname=executorname,
            count=count,
            since=since,
            latest=latest,
        )
        return await self._call(message, key)

    @method
    async def search(
        self, text: str, *, days: int = 1, count: int = MAX_FOUND, colony: str = "", key: Key | None = None
    ) -> list[Log]:
        """Entries of the last ``days`` that contain a pattern, where ``%`` and ``_`` are wild (member)."""
        message = SearchLogs(colonyname=self._colony(colony), text=text, days=days, count=count)
        return await self._call(message, key)

    @stream
    async def follow(self, processid: str, *, since: int = 0, key: Key | None = None) -> AsyncGenerator[Log, None]:
        """The entries of a process's log as they are written, until it has ended and all are given (member)."""
        while True:
            # in this order: what is read after the end of the process is complete
            process = await self._call(GetProcess(processid=processid), key)
            entries = await self._call(GetLogs(processid=processid, count=MAX_LOGS, since=since), key)
            for entry in entries:
                since = entry.timestamp
                yield entry
            if not entries:
                if process.state >= ProcessState.SUCCESS:
                    return
                await asyncio.sleep(_POLL_SECONDS)
