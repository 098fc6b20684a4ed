"""A line to PostgreSQL on which the connections of one role can be cut, or held without a word."""

from __future__ import annotations

import asyncio
import contextlib
from typing import Self

import psycopg


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

    def hold(self, role: str) -> int:
        """Forward nothing more to those who are connected in this role, who hear and see nothing of it; how many."""
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
            with contextlib.suppress(ConnectionError):
                async with asyncio.TaskGroup() as group:
                    group.create_task(_forward(reader, upstream, passes))
                    group.create_task(_forward(up, writer, passes))
        finally:
            self._ends.pop(writer, None)
            self._passes.pop(writer, None)
            writer.transport.abort()
            if upstream is not None:
                upstream.transport.abort()


async def _forward(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, passes: asyncio.Event) -> None:
    while data := await reader.read(65536):
        await passes.wait()
        writer.write(data)
    writer.transport.abort()
