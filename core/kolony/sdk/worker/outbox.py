"""What a running function says, on its way to the server."""

from __future__ import annotations

import asyncio
import logging
import threading
from typing import Any

from kolony.errors import ConnectionLost, KolonyError, Unavailable
from kolony.sdk.client import AsyncClient

logger = logging.getLogger("kolony.worker")

_LINGER_SECONDS = 0.1
"""How long a line waits for others to travel with."""

_AWAY_SECONDS = 1.0
"""Pause before a server that is away is tried again."""

_MOST_PENDING = 1024 * 1024
"""Characters that wait while the server is away; what is more is dropped, and the log says so."""


class Outbox:
    """Log lines and output of one process. Anything may be put in from any thread; nothing there waits."""

    def __init__(self, client: AsyncClient, processid: str, attempt: int | None = None) -> None:
        self._client = client
        self._processid = processid
        self._attempt = attempt
        self._loop = asyncio.get_running_loop()
        self._something = asyncio.Event()
        self._closed = asyncio.Event()
        self._lock = threading.Lock()
        self._lines: list[str] = []
        self._size = 0
        self._dropped = 0
        self._out: list[Any] | None = None

    def log(self, line: str) -> None:
        """Add a line to the log of the process."""
        with self._lock:
            if self._size >= _MOST_PENDING:
                self._dropped += 1
                return
            self._lines.append(line)
            self._size += len(line)
        self._wake()

    def set_output(self, out: list[Any]) -> None:
        """Replace the output of the process; of several at once only the last is sent."""
        with self._lock:
            self._out = out
        self._wake()

    def close(self) -> None:
        """Let `ship` end when all that was put in is sent."""
        self._closed.set()
        self._something.set()

    async def ship(self) -> None:
        """Send what is put in, until the box is closed and empty."""
        while self._something.is_set() or not self._closed.is_set():
            await self._something.wait()
            await self._linger()
            self._something.clear()
            await self._send()

    async def _linger(self) -> None:
        try:
            async with asyncio.timeout(_LINGER_SECONDS):
                await self._closed.wait()
        except TimeoutError:
            return

    async def _send(self) -> None:
        lines, out = self._take()
        try:
            if lines:
                await self._client.logs.add(self._processid, "\n".join(lines))
                lines = []
            if out is not None:
                await self._client.processes.set_output(self._processid, out, attempt=self._attempt)
        except (ConnectionLost, Unavailable) as error:
            logger.warning("the server is away, the log of process %s waits: %s", self._processid, error)
            self._put_back(lines, out)
            await asyncio.sleep(_AWAY_SECONDS)
        except KolonyError as error:
            # not ours any more, or nothing that the server takes: the process goes on without
            logger.warning("the server refused the log of process %s: %s", self._processid, error)

    def _take(self) -> tuple[list[str], list[Any] | None]:
        with self._lock:
            lines, out = self._lines, self._out
            if self._dropped:
                lines.append(f"[{self._dropped} lines were dropped while the server was away]")
            self._lines, self._size, self._dropped, self._out = [], 0, 0, None
            return lines, out

    def _put_back(self, lines: list[str], out: list[Any] | None) -> None:
        with self._lock:
            self._lines = lines + self._lines
            self._size += sum(map(len, lines))
            self._out = out if self._out is None else self._out
        self._something.set()

    def _wake(self) -> None:
        if not self._loop.is_closed():
            self._loop.call_soon_threadsafe(self._something.set)
