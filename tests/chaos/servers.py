"""The servers: processes of their own, each with its own wire to PostgreSQL, started again when they end."""

from __future__ import annotations

import asyncio
import contextlib
import os
import random
import signal
import sys
import time
from pathlib import Path
from typing import Self

import psycopg
from benchmarks.connections import Endpoint
from chaos.wires import Wire

HOST = "127.0.0.1"
_READY_TIMEOUT = 60.0
_POLL = 0.05
_SETTINGS = {
    "COLONIES_SERVER_HTTP_HOST": HOST,
    "COLONIES_REQUIRE_FRESHNESS": "true",
    "COLONIES_CRON_CHECKER_PERIOD": "500",
    "COLONIES_GENERATOR_CHECKER_PERIOD": "500",
    "COLONIES_DB_MAX_OPEN_CONNS": "8",
    "COLONIES_DRAIN_TIMEOUT": "5",
    "TZ": "UTC",
}


class Server:
    """One server of the cluster, which somebody starts again whenever it has ended."""

    def __init__(self, name: str, port: int, wire: Wire, log: Path, *, program: list[str], **settings: str) -> None:
        self.name = name
        self.wire = wire
        self.endpoint = Endpoint(HOST, port)
        self.log = log
        self.crashes: list[str] = []
        """How it ended when nobody had ended it."""
        self._command = ["setpriv", "--pdeathsig=KILL", "--", sys.executable, *program]
        self._environment = {
            name: value for name, value in os.environ.items() if not name.startswith(("COLONIES_", "AWS_", "PG"))
        }
        self._environment |= _SETTINGS | {"COLONIES_SERVER_NAME": name, "COLONIES_SERVER_PORT": str(port)} | settings
        self._process: asyncio.subprocess.Process | None = None
        self._keeper: asyncio.Task[None] | None = None
        self._ready = asyncio.Event()

    @property
    def is_ready(self) -> bool:
        """Whether it has taken calls since it was started last."""
        return self._ready.is_set()

    async def __aenter__(self) -> Self:
        self._keeper = asyncio.create_task(self._keep())
        return self

    async def __aexit__(self, *exc_info: object) -> None:
        if self._keeper is not None:
            self._keeper.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._keeper
        if self._process is not None:
            with contextlib.suppress(ProcessLookupError):
                self._process.kill()
            await self._process.wait()

    def send(self, number: signal.Signals) -> None:
        """Send the process a signal, if there is one."""
        if self._process is not None and self._process.returncode is None:
            if number in (signal.SIGKILL, signal.SIGTERM):
                self._ready.clear()
            self._process.send_signal(number)

    async def ready(self) -> None:
        """Wait until it takes calls."""
        async with asyncio.timeout(_READY_TIMEOUT):
            await self._ready.wait()

    async def _keep(self) -> None:
        """Start it, and again whenever it has ended."""
        while True:
            with self.log.open("ab") as output:
                output.write(f"--- started at {time.time():.3f}\n".encode())
                self._process = await asyncio.create_subprocess_exec(
                    *self._command, env=self._environment, stdout=output, stderr=output
                )
            watch = asyncio.create_task(self._watch())
            try:
                code = await self._process.wait()
            finally:
                watch.cancel()
            if self._ready.is_set():
                self.crashes.append(f"{self.name} ended by itself with {code}")
            self._ready.clear()
            await asyncio.sleep(random.uniform(0.1, 0.3))

    async def _watch(self) -> None:
        """Notice when it takes calls."""
        while True:
            with contextlib.suppress(OSError, asyncio.IncompleteReadError, TimeoutError):
                async with asyncio.timeout(2):
                    reader, writer = await asyncio.open_connection(*self.endpoint)
                    try:
                        writer.write(b"GET /ready HTTP/1.1\r\nHost: chaos\r\nConnection: close\r\n\r\n")
                        if b" 200 " in await reader.readline():
                            self._ready.set()
                            return
                    finally:
                        writer.close()
            await asyncio.sleep(_POLL)  # it does not listen yet, and there is nothing to wait on


def server_dsn(dsn: str, wire: Wire) -> str:
    """The database as a server reaches it over its wire."""
    return psycopg.conninfo.make_conninfo(dsn, host=HOST, port=wire.port, sslmode="disable", gssencmode="disable")
