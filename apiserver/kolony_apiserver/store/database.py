"""Connections to PostgreSQL: a pool for ordinary calls, and lanes for the statements of the hot path."""

from __future__ import annotations

import asyncio
import os
import select
import socket
from collections.abc import Callable, Mapping
from contextlib import nullcontext, suppress
from types import TracebackType
from typing import Any, NamedTuple, Self, TypeVar

import msgspec
from psycopg import AsyncConnection, OperationalError
from psycopg.rows import dict_row
from psycopg_pool import AsyncConnectionPool

from kolony_apiserver.store.failures import translated
from kolony_apiserver.store.queries import queries

T = TypeVar("T")
Row = Mapping[str, Any]
Connection = AsyncConnection[dict[str, Any]]

LANE_OPTIONS = (
    # Prepared once, when the tables may be empty: the plan must not depend on how much they held then.
    "-c plan_cache_mode=force_generic_plan -c enable_seqscan=off -c enable_bitmapscan=off"
    " -c enable_hashjoin=off -c enable_mergejoin=off -c jit=off -c statement_timeout=30s"
)
POOL_OPTIONS = (
    # As above: a scan of a table that was empty when its plan was made goes on when it is large.
    "-c enable_seqscan=off -c jit=off -c statement_timeout=60s"
    # A server that was stopped in the middle of a transaction does not hold its locks for ever.
    " -c idle_in_transaction_session_timeout=30s"
)

_PATIENCE = 5.0
"""Seconds a call waits for a connection of the pool before it is told that the database is away."""


class Database:
    """The connections of one server."""

    def __init__(self, dsn: str, *, name: str = "", timezone: str = "UTC", pool_size: int = 10) -> None:
        self._dsn = dsn
        self._name = name
        self._timezone = timezone
        self._pool: AsyncConnectionPool[Connection] = AsyncConnectionPool(
            dsn,
            connection_class=AsyncConnection[dict[str, Any]],
            min_size=1,
            max_size=pool_size,
            open=False,
            check=_require_open,
            timeout=_PATIENCE,
            # Given up at once, and asked for anew by the next call: waits that grow would outlast an outage.
            reconnect_timeout=0,
            kwargs=self._arguments(POOL_OPTIONS),
        )

    def _arguments(self, options: str, role: str = "") -> dict[str, Any]:
        return {
            "row_factory": dict_row,
            "prepare_threshold": 0,
            "options": f"{options} -c TimeZone={self._timezone}",
            "application_name": f"kolony{role and '-'}{role}/{self._name}",
            # A network that swallows packets shows itself by silence only.
            "connect_timeout": 10,
            "tcp_user_timeout": 30_000,
        }

    async def __aenter__(self) -> Self:
        with translated():
            await self._pool.open(wait=True, timeout=30)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._pool.close()

    def session(self) -> Session:
        """A unit of work, as an async context manager: committed when the block ends well, undone when it raises."""
        return Session(self._pool)

    def lane(self, *, role: str = "", durable: bool = True) -> Lane:
        """A connection of its own for one kind of statement; ``role`` tells it apart where the database lists it.

        With ``durable`` off a commit does not wait for the disk; it is durable as soon as any later durable
        commit is, since the log is written in order.
        """
        options = LANE_OPTIONS if durable else f"{LANE_OPTIONS} -c synchronous_commit=off"
        return Lane(self._dsn, self._arguments(options, role))

    async def connect(self, *, role: str) -> Connection:
        """A connection of its own that commits each statement."""
        arguments = self._arguments(LANE_OPTIONS, role)
        return await AsyncConnection[dict[str, Any]].connect(self._dsn, autocommit=True, **arguments)

    def statistics(self) -> dict[str, int]:
        """Sizes and waits of the pool, as psycopg counts them."""
        return self._pool.get_stats()


class Session:
    """Runs named queries in one transaction, which starts with the first of them."""

    __slots__ = ("_connection", "_pool")

    def __init__(self, pool: AsyncConnectionPool[Connection]) -> None:
        self._pool = pool
        self._connection: Connection | None = None

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.end(commit=kind is None)

    async def _connected(self) -> Connection:
        if self._connection is None:
            self._connection = await self._pool.getconn()
        return self._connection

    async def all(self, name: str, make: Callable[[Row], T], /, **parameters: Any) -> list[T]:
        """The rows of a query, each made into an object."""
        with translated():
            cursor = await (await self._connected()).execute(queries()[name], parameters)
            return [make(row) for row in await cursor.fetchall()]

    async def one(self, name: str, make: Callable[[Row], T], /, **parameters: Any) -> T | None:
        """The first row of a query as an object, or `None`."""
        with translated():
            cursor = await (await self._connected()).execute(queries()[name], parameters)
            row = await cursor.fetchone()
        return None if row is None else make(row)

    async def value(self, name: str, /, **parameters: Any) -> Any:
        """The first column of the first row, or `None`."""
        return await self.one(name, lambda row: next(iter(row.values())), **parameters)

    async def run(self, name: str, /, **parameters: Any) -> int:
        """Run a query for its effect; how many rows it touched."""
        with translated():
            cursor = await (await self._connected()).execute(queries()[name], parameters)
            return cursor.rowcount

    async def end(self, *, commit: bool) -> None:
        """Commit or undo what was done, and give the connection back."""
        connection, self._connection = self._connection, None
        if connection is None:
            return
        try:
            with translated():
                await (connection.commit() if commit else connection.rollback())
        finally:
            await self._pool.putconn(connection)


class Query(NamedTuple):
    """A named query and its parameters."""

    name: str
    parameters: Mapping[str, Any]


class Lane:
    """One autocommitting connection, made when first needed and again after it broke.

    Statements run one after the other: with one under way, its answer would look like the end of the connection.
    """

    def __init__(self, dsn: str, arguments: dict[str, Any]) -> None:
        self._dsn = dsn
        self._arguments = arguments
        self._connection: Connection | None = None
        self._turn = asyncio.Lock()

    @property
    def pid(self) -> int:
        """What the database calls the session of this connection; 0 while there is none."""
        connection = self._connection
        return 0 if connection is None or connection.closed else connection.info.backend_pid

    async def all(self, name: str, /, **parameters: Any) -> list[dict[str, Any]]:
        """Run one query in a transaction of its own; its rows."""
        return (await self.together(Query(name, parameters)))[0]

    async def together(self, *given: Query) -> list[list[dict[str, Any]]]:
        """Run queries in order in one transaction, sent at once; the rows of each."""
        async with self._turn:
            with translated():
                connection = self._connection
                if connection is None or connection.closed or _hung_up(connection):
                    connection = await self._connect()
                async with connection.pipeline() if len(given) > 1 else nullcontext():
                    cursors = [await connection.execute(queries()[each.name], each.parameters) for each in given]
                return [await cursor.fetchall() if cursor.description else [] for cursor in cursors]

    def abort(self) -> None:
        """Make a statement fail whose answer does not come; to cancel it would wait for the database as well."""
        if self._connection is not None and not self._connection.closed:
            with socket.socket(fileno=os.dup(self._connection.fileno())) as end, suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)

    async def _connect(self) -> Connection:
        await self.close()
        self._connection = await AsyncConnection[dict[str, Any]].connect(self._dsn, autocommit=True, **self._arguments)
        return self._connection

    async def close(self) -> None:
        """Close the connection, if there is one."""
        if self._connection is not None:
            await self._connection.close()


def _hung_up(connection: Connection) -> bool:
    """Whether the server ended a connection that is not in use: only then is there anything to read.

    A statement on it would fail, and nobody could tell whether it was carried out.
    """
    poll = select.poll()
    poll.register(connection.fileno(), select.POLLIN)
    return bool(poll.poll(0))


async def _require_open(connection: Connection) -> None:
    if _hung_up(connection):
        await connection.close()
        raise OperationalError("the server ended the connection")


def records(values: Any) -> str:
    """Objects as one JSON parameter for ``json_to_recordset``: far cheaper than an array per column."""
    return msgspec.json.encode(values).decode()
