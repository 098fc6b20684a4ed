"""The one shape of a loop: start, stop, and a tick that tests call themselves."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Awaitable, Callable

from kolony.errors import KolonyError

log = logging.getLogger(__name__)


class Loop:
    """Calls ``tick`` every ``interval`` seconds; one that fails is logged and tried again.

    A failure that lasts is logged when it begins and when it is over.
    """

    def __init__(self, name: str, tick: Callable[[], Awaitable[None]], *, interval: float) -> None:
        self._name = name
        self._tick = tick
        self._interval = interval
        self._task: asyncio.Task[None] | None = None
        self._hurried = asyncio.Event()

    def start(self) -> None:
        """Begin; the first tick comes at once."""
        self._task = asyncio.create_task(self._run(), name=self._name)

    def hurry(self) -> None:
        """Let the next tick come at once."""
        self._hurried.set()

    async def stop(self) -> None:
        """End, in the middle of a tick if need be."""
        if self._task is not None:
            self._task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._task

    async def _run(self) -> None:
        failure = ""
        while True:
            try:
                await self._tick()
            except KolonyError as error:
                if error.message != failure:
                    failure = error.message
                    log.warning("%s: %s", self._name, failure)
            except Exception:
                log.exception("%s failed", self._name)
            else:
                if failure:
                    failure = ""
                    log.info("%s goes on", self._name)
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(self._interval):
                    await self._hurried.wait()
            self._hurried.clear()
