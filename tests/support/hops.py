"""A stop on the way of a TCP connection, at which it can be cut, held, or changed."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable
from typing import Self


class Hop:
    """Forwards connections to a port of this machine."""

    def __init__(self, port: int) -> None:
        self._to = port
        self._ends: set[asyncio.StreamWriter] = set()
        self._tasks: set[asyncio.Task[None]] = set()
        self._passes = asyncio.Event()
        self._passes.set()
        self.change: Callable[[bytes], bytes] = lambda data: data
        """What becomes of data on its way to the port."""

    @property
    def port(self) -> int:
        return int(self._server.sockets[0].getsockname()[1])

    def hold(self) -> None:
        """Forward nothing more, without a word."""
        self._passes.clear()

    def cut(self) -> None:
        """Break all connections."""
        for end in self._ends:
            end.transport.abort()

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._accept, "127.0.0.1", 0)
        return self

    async def __aexit__(self, *exc_info: object) -> None:
        self._server.close()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.create_task(self._serve(reader, writer))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        up, upstream = await asyncio.open_connection("127.0.0.1", self._to)
        ends = {writer, upstream}
        self._ends |= ends
        try:
            with contextlib.suppress(ConnectionError):
                async with asyncio.TaskGroup() as group:
                    group.create_task(self._forward(reader, upstream, lambda data: self.change(data)))
                    group.create_task(self._forward(up, writer, lambda data: data))
        finally:
            self._ends -= ends
            for end in ends:
                end.transport.abort()

    async def _forward(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, change: Callable[[bytes], bytes]
    ) -> None:
        while data := await reader.read(65536):
            await self._passes.wait()
            writer.write(change(data))
        writer.transport.abort()
