"""A wire between a server and PostgreSQL that can be cut at any statement, as if the server had been killed there."""

from __future__ import annotations

import asyncio
import contextlib
from enum import Enum, auto
from typing import Self

import psycopg

_END_OF_STATEMENT = frozenset({b"Q", b"S"})
_READY = b"Z"


class Cut(Enum):
    """Which side of a statement the wire is cut on."""

    BEFORE = auto()  # the database never sees the statement
    AFTER = auto()  # the database carries it out, and nobody hears of it


class Wire:
    """Forwards connections, and counts their statements; beginning and committing a transaction are statements."""

    def __init__(self, dsn: str) -> None:
        given = psycopg.conninfo.conninfo_to_dict(dsn)
        self._dsn = dsn
        self._host, self._port = str(given["host"]), str(given.get("port", 5432))
        self._cut, self._at = Cut.BEFORE, 0
        self._statements = 0
        self._ends: set[asyncio.StreamWriter] = set()
        self._tasks: set[asyncio.Task[None]] = set()
        self.broken = False

    @property
    def dsn(self) -> str:
        """The database at the other end of the wire."""
        port = self._server.sockets[0].getsockname()[1]
        return psycopg.conninfo.make_conninfo(
            self._dsn, host="127.0.0.1", port=port, sslmode="disable", gssencmode="disable"
        )

    def cut_at(self, statement: int, cut: Cut) -> None:
        """Break all connections at the n-th statement from now on, and let none be made after that."""
        self._statements, self._at, self._cut = 0, statement, cut

    def mend(self) -> None:
        """Let connections be made again."""
        self.broken, self._at = False, 0

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._accept, "127.0.0.1", 0)
        return self

    async def __aexit__(self, *exc_info: object) -> None:
        self._server.close()
        self._break()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.create_task(self._serve(reader, writer))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if self.broken:
            writer.transport.abort()
            return
        if self._host.startswith("/"):
            up_reader, up_writer = await asyncio.open_unix_connection(f"{self._host}/.s.PGSQL.{self._port}")
        else:
            up_reader, up_writer = await asyncio.open_connection(self._host, int(self._port))
        ends = {writer, up_writer}
        self._ends |= ends
        last = asyncio.Event()
        with contextlib.suppress(asyncio.IncompleteReadError, ConnectionError):
            async with asyncio.TaskGroup() as group:
                group.create_task(self._forward(reader, up_writer, last))
                group.create_task(self._return(up_reader, writer, last))
        self._ends -= ends
        for end in ends:
            end.transport.abort()

    async def _forward(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, last: asyncio.Event) -> None:
        with contextlib.suppress(asyncio.IncompleteReadError, ConnectionError):
            writer.write(await _rest(reader))  # how a connection begins has no type
            while True:
                kind = await reader.readexactly(1)
                message = kind + await _rest(reader)
                if kind in _END_OF_STATEMENT:
                    self._statements += 1
                    if self._statements == self._at:
                        if self._cut is Cut.BEFORE:
                            self._break()
                            return
                        last.set()
                writer.write(message)
        writer.transport.abort()

    async def _return(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, last: asyncio.Event) -> None:
        with contextlib.suppress(asyncio.IncompleteReadError, ConnectionError):
            while True:
                kind = await reader.readexactly(1)
                message = kind + await _rest(reader)
                if not last.is_set():
                    writer.write(message)
                elif kind == _READY:
                    self._break()
                    return
        writer.transport.abort()

    def _break(self) -> None:
        self.broken = True
        for end in self._ends:
            end.transport.abort()


async def _rest(reader: asyncio.StreamReader) -> bytes:
    """Length and body of a message."""
    length = await reader.readexactly(4)
    return length + await reader.readexactly(int.from_bytes(length) - 4)
