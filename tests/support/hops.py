"""A stop on the way of connections, at which they can be cut, changed, or fall silent without a word."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable
from typing import Self


class Hop:
    """Forwards connections to a port of a machine, or to a Unix socket; all have the empty name."""

    def __init__(self, host: str, port: int) -> None:
        self._host, self._to = host, port
        self._tasks: set[asyncio.Task[None]] = set()
        self._ends: dict[asyncio.StreamWriter, str] = {}
        self._silent: set[asyncio.StreamWriter] = set()
        self._refused: set[str] = set()
        self.change: Callable[[bytes], bytes] = lambda data: data
        """What becomes of data on its way there."""

    @property
    def port(self) -> int:
        return int(self._server.sockets[0].getsockname()[1])

    def connected(self, name: str = "") -> int:
        """How many connections there are of a name."""
        return len(self._named(name))

    def hold(self, name: str = "") -> int:
        """Lose without a word whatever goes over the connections that there are of a name; how many they are."""
        held = self._named(name)
        self._silent.update(held)
        return len(held)

    def cut(self, name: str = "") -> None:
        """Break the connections of a name, and refuse new ones until `mend`."""
        self._refused.add(name)
        for end in self._named(name):
            end.transport.abort()

    def mend(self) -> None:
        """Take all connections again."""
        self._refused.clear()

    def _named(self, name: str) -> list[asyncio.StreamWriter]:
        return [end for end, each in self._ends.items() if each == name]

    def _name(self, beginning: bytes) -> str:
        """The name of a connection that begins like this."""
        return ""

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
        upstream: asyncio.StreamWriter | None = None
        try:
            first = await reader.read(65536)
            name = self._name(first)
            if name in self._refused:
                return
            if self._host.startswith("/"):
                up, upstream = await asyncio.open_unix_connection(self._host)
            else:
                up, upstream = await asyncio.open_connection(self._host, self._to)
            upstream.write(self.change(first))
            self._ends[writer] = name
            ways = [
                asyncio.create_task(self._forward(writer, reader, upstream, lambda data: self.change(data))),
                asyncio.create_task(self._forward(writer, up, writer, lambda data: data)),
            ]
            try:
                await asyncio.wait(ways, return_when=asyncio.FIRST_COMPLETED)
            finally:
                for way in ways:
                    way.cancel()
        finally:
            self._ends.pop(writer, None)
            self._silent.discard(writer)
            writer.transport.abort()
            if upstream is not None:
                upstream.transport.abort()

    async def _forward(
        self,
        end: asyncio.StreamWriter,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        change: Callable[[bytes], bytes],
    ) -> None:
        with contextlib.suppress(ConnectionError):
            while data := await reader.read(65536):
                if end not in self._silent:
                    writer.write(change(data))
