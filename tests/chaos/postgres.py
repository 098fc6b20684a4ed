"""A PostgreSQL that can be killed at any moment and started again with what it had."""

from __future__ import annotations

import asyncio
import os
import signal
from pathlib import Path

import psycopg

from kolony_apiserver.dev.postgres import EmbeddedPostgres


class KillablePostgres:
    """The embedded PostgreSQL on a folder of its own; it flushes every commit to the disk."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._postgres = EmbeddedPostgres(folder)
        self.dsn = ""

    @property
    def socket(self) -> str:
        """Where it listens, also after it was started again."""
        given = psycopg.conninfo.conninfo_to_dict(self.dsn)
        return f"{given['host']}/.s.PGSQL.{given['port']}"

    async def start(self) -> None:
        """Start it, and wait until it takes connections."""
        await asyncio.to_thread(self._postgres.start)
        self.dsn = self._postgres.dsn

    async def stop(self) -> None:
        """Stop it in order."""
        await asyncio.to_thread(self._postgres.stop)

    async def kill(self) -> None:
        """End it as a loss of power would, but for what the kernel still writes."""
        first_line = (self._folder / "data" / "postmaster.pid").read_text().split(maxsplit=1)[0]
        os.kill(int(first_line), signal.SIGKILL)
        await self.stop()

    async def require_durable(self) -> None:
        """Make sure that a commit which was answered is on the disk."""
        async with await psycopg.AsyncConnection.connect(self.dsn) as connection:
            for name in ("fsync", "synchronous_commit", "full_page_writes"):
                [(value,)] = await (await connection.execute(f"show {name}")).fetchall()  # type: ignore[call-overload]
                if value != "on":
                    raise RuntimeError(f"{name} is {value}: this PostgreSQL may lose commits")
