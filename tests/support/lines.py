"""A line to PostgreSQL on which the connections of one role can be cut, or fall silent without a word."""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections.abc import Callable
from typing import Self, TypeVar

import psycopg

T = TypeVar("T")


class Line:
    """Forwards connections, and knows them by the ``application_name`` that they begin with."""

    def __init__(self, dsn: str) -> None:
        given = psycopg.conninfo.conninfo_to_dict(dsn)
        self._dsn = dsn
        self._host, self._port = str(given["host"]), str(given.get("port", 5432))
        self._tasks: set[asyncio.Task[None]] = set()
        self._ends: dict[asyncio.StreamWriter, str] = {}
        self._passes: dict[asyncio.StreamWriter, asyncio.Event] = {}
        self._refused: set[str] = set()
        self.made: list[str] = []

    @property
    def dsn(self) -> str:
        """The database at the other end of the line."""
        port = self._server.sockets[0].getsockname()[1]
        return psycopg.conninfo.make_conninfo(
            self._dsn, host="127.0.0.1", port=port, sslmode="disable", gssencmode="disable"
        )

    def connected(self, role: str) -> int:
        """How many connections there are in a role."""
        return sum(1 for name in self._ends.values() if name.startswith(f"{role}/"))

    def hold(self, role: str) -> int:
        """Lose without a word whatever goes over the connections that there are in a role; how many they are."""
        held = [end for end, name in self._ends.items() if name.startswith(f"{role}/")]
        for end in held:
            self._passes[end].clear()
        return len(held)

    def cut(self, role: str) -> None:
        """Break the connections of a role, and refuse new ones until `mend`."""
        self._refused.add(role)
        for end, name in self._ends.items():
            if name.startswith(f"{role}/"):
                end.transport.abort()

    def mend(self) -> None:
        """Take connections of all roles again."""
        self._refused.clear()

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
            words = first[8:].split(b"\0")
            name = words[words.index(b"application_name") + 1].decode() if b"application_name" in words else ""
            self.made.append(name)
            if any(name.startswith(f"{role}/") for role in self._refused):
                return
            if self._host.startswith("/"):
                up, upstream = await asyncio.open_unix_connection(f"{self._host}/.s.PGSQL.{self._port}")
            else:
                up, upstream = await asyncio.open_connection(self._host, int(self._port))
            upstream.write(first)
            self._ends[writer] = name
            passes = self._passes[writer] = asyncio.Event()
            passes.set()
            ways = [
                asyncio.create_task(_forward(reader, upstream, passes)),
                asyncio.create_task(_forward(up, writer, passes)),
            ]
            try:
                await asyncio.wait(ways, return_when=asyncio.FIRST_COMPLETED)
            finally:
                for way in ways:
                    way.cancel()
        finally:
            self._ends.pop(writer, None)
            self._passes.pop(writer, None)
            writer.transport.abort()
            if upstream is not None:
                upstream.transport.abort()


async def _forward(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, passes: asyncio.Event) -> None:
    with contextlib.suppress(ConnectionError):
        while data := await reader.read(65536):
            if passes.is_set():
                writer.write(data)


class ThreadedLine:
    """A line on a thread of its own, for tests that are not asynchronous."""

    def __init__(self, dsn: str) -> None:
        self._line = Line(dsn)
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="line")

    @property
    def dsn(self) -> str:
        return self._line.dsn

    def _call(self, work: Callable[[], T]) -> T:
        async def done() -> T:
            return work()

        return asyncio.run_coroutine_threadsafe(done(), self._loop).result(10)

    def hold(self, role: str) -> int:
        """As `Line.hold`."""
        return self._call(lambda: self._line.hold(role))

    def connected(self, role: str) -> int:
        """As `Line.connected`."""
        return self._call(lambda: self._line.connected(role))

    def cut(self, role: str) -> None:
        """As `Line.cut`."""
        self._call(lambda: self._line.cut(role))

    def mend(self) -> None:
        """As `Line.mend`."""
        self._call(self._line.mend)

    def __enter__(self) -> Self:
        self._thread.start()
        asyncio.run_coroutine_threadsafe(self._line.__aenter__(), self._loop).result(10)
        return self

    def __exit__(self, *exc_info: object) -> None:
        asyncio.run_coroutine_threadsafe(self._line.__aexit__(), self._loop).result(10)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()
