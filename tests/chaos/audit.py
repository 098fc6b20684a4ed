"""The database as nobody but the tests sees it: who leads, how much waits, and what the audit in it noted."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import psycopg
from chaos.waiting import until

_AUDIT = Path(__file__).with_name("audit.sql")
_CLAIMS = """
create trigger chaos_claimed before update on processes for each row
when (old.state = 0 and new.state = 1) execute function chaos_require_leader()
"""
_WAITING = "select count(*) from (select from processes where state = 0 and classid > 0 limit 1000) p"
_UNFINISHED = """
select (select count(*) from processes where state < 2) + (select count(*) from workflows where state < 2)
     + (select count(*) from processes where not settled)
     + (select coalesce(sum(packed - taken), 0) from generator_queues)
"""


class Audit:
    """One connection past all wires, made again when PostgreSQL was."""

    def __init__(self, dsn: str) -> None:
        self._dsn = dsn
        self._connection: psycopg.AsyncConnection[tuple[Any, ...]] | None = None
        self._turn = asyncio.Lock()

    async def install(self, *, exclusive: bool) -> None:
        """Let the database note breaches from now on; in exclusive mode claims are the leader's."""
        async with await psycopg.AsyncConnection.connect(self._dsn, autocommit=True) as connection:
            await connection.execute(_AUDIT.read_text())  # type: ignore[call-overload]
            if exclusive:
                await connection.execute(_CLAIMS)

    async def rows(self, query: str) -> list[tuple[Any, ...]]:
        """The rows of a query."""
        async with self._turn:
            if self._connection is None or self._connection.closed:
                self._connection = await psycopg.AsyncConnection.connect(self._dsn, autocommit=True)
            cursor = await self._connection.execute(query)  # type: ignore[call-overload]
            return list(await cursor.fetchall())

    async def value(self, query: str) -> Any:
        """The only value of a query; none when the database is away."""
        try:
            return (await self.rows(query))[0][0]
        except psycopg.Error:
            return None

    async def waiting(self) -> int:
        """How many processes wait that could run, up to a bound."""
        return await self.value(_WAITING) or 0

    async def leader(self) -> str:
        """The server that leads; empty when none does, or when that cannot be asked."""
        return await self.value("select holder from leadership") or ""

    async def leader_other_than(self, name: str, patience: float) -> bool:
        """Wait until somebody else leads; whether that is so."""

        async def changed() -> bool:
            return await self.leader() not in ("", name)

        return await until(changed, patience)

    async def finished(self, patience: float) -> bool:
        """Wait until nothing waits or runs any more; whether that is so."""

        async def done() -> bool:
            return await self.value(_UNFINISHED) == 0

        return await until(done, patience)

    async def close(self) -> None:
        """Close the connection."""
        if self._connection is not None:
            await self._connection.close()
