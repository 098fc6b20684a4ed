"""Subscriptions to processes that reach a state."""

from __future__ import annotations

from collections.abc import AsyncGenerator

from kolony.model.processes import Process
from kolony.sdk.api import Api, M, stream
from kolony.sdk.pubsub import subscribe
from kolony.sdk.settings import Key
from kolony.wire.subscriptions import SubscribeProcess, SubscribeProcesses


class Subscriptions(Api[M]):
    """Events as the server sends them.

    A subscription ends after ``timeout`` seconds, or earlier with its connection; an event may be lost with a server
    and may come twice. Use `Processes.watch` or `Processes.wait` to follow one process without gaps.
    """

    @stream
    async def process(
        self, processid: str, state: int, *, timeout: int, colony: str = "", key: Key | None = None
    ) -> AsyncGenerator[Process, None]:
        """The process when it is in a state: at once if it is already, and each time it gets there (member)."""
        message = SubscribeProcess(colonyname=self._colony(colony), processid=processid, state=state, timeout=timeout)
        async with subscribe(self._connection, message, key) as events:
            async for process in events:
                yield process

    @stream
    async def processes(
        self, executortype: str, state: int, *, timeout: int, colony: str = "", key: Key | None = None
    ) -> AsyncGenerator[Process, None]:
        """Processes for an executor type that get to a state, each told to one subscriber only (executor)."""
        message = SubscribeProcesses(
            colonyname=self._colony(colony), executortype=executortype, state=state, timeout=timeout
        )
        async with subscribe(self._connection, message, key) as events:
            async for process in events:
                yield process
