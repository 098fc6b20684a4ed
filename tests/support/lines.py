"""A line to PostgreSQL on which the connections of one role can be cut, or fall silent without a word."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from typing import Self, TypeVar

import psycopg
from hops import Hop

T = TypeVar("T")


class Line(Hop):
    """Forwards connections; their names are the roles in the ``application_name`` that they begin with."""

    def __init__(self, dsn: str) -> None:
        given = psycopg.conninfo.conninfo_to_dict(dsn)
        host, port = str(given["host"]), int(given.get("port", 5432))
        super().__init__(f"{host}/.s.PGSQL.{port}" if host.startswith("/") else host, port)
        self._dsn = dsn

    @property
    def dsn(self) -> str:
        """The database at the other end of the line."""
        return psycopg.conninfo.make_conninfo(
            self._dsn, host="127.0.0.1", port=self.port, sslmode="disable", gssencmode="disable"
        )

    def _name(self, beginning: bytes) -> str:
        words = beginning[8:].split(b"\0")
        name = words[words.index(b"application_name") + 1].decode() if b"application_name" in words else ""
        return name.split("/")[0]


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
