"""The processes of a benchmark: PostgreSQL with a database for each target, the product, and the floor."""

from __future__ import annotations

import asyncio
import os
import secrets
import socket
import sys
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from importlib.util import find_spec
from pathlib import Path
from tempfile import TemporaryFile
from typing import NamedTuple

import psycopg
from connections import Endpoint
from psycopg import sql
from psycopg.conninfo import make_conninfo

FLOOR = Path(__file__).resolve().parents[3] / "shared" / "bench" / "floor.py"
"""The throwaway server that the product is measured against; not part of the project, and may be absent."""

_HOST = "127.0.0.1"
_START_TIMEOUT = 30.0
_STOP_TIMEOUT = 30.0
_POLL = 0.05


class Server(NamedTuple):
    """A running server process."""

    endpoint: Endpoint
    pid: int

    def memory(self) -> int:
        """Resident memory in bytes."""
        pages = Path(f"/proc/{self.pid}/statm").read_text().split()[1]
        return int(pages) * os.sysconf("SC_PAGE_SIZE")


def why_no_floor() -> str:
    """Why the floor cannot be measured here; empty when it can."""
    if not FLOOR.exists():
        return f"there is no {FLOOR}"
    return "" if find_spec("orjson") else "it needs orjson"


@asynccontextmanager
async def database(dsn: str) -> AsyncIterator[str]:
    """A new database in the PostgreSQL behind ``dsn``, dropped at the end; its connection string."""
    name = f"kolony_bench_{secrets.token_hex(4)}"
    await _administer(dsn, sql.SQL("create database {}").format(sql.Identifier(name)))
    try:
        yield make_conninfo(dsn, dbname=name)
    finally:
        await _administer(dsn, sql.SQL("drop database {} with (force)").format(sql.Identifier(name)))


async def settle(dsn: str) -> None:
    """Bring a database to the state it reaches by itself some time after a large load, so that none pays for it."""
    await _administer(dsn, sql.SQL("vacuum (analyze)"))
    await _administer(dsn, sql.SQL("checkpoint"))


@asynccontextmanager
async def product_server(dsn: str, owner: str, **settings: str) -> AsyncIterator[Server]:
    """A Colonies server on a database; ``owner`` is the identity of the server owner."""
    port = _free_port()
    settings |= {
        "COLONIES_SERVER_PORT": str(port),
        "COLONIES_DB_DSN": dsn,
        "COLONIES_SERVER_ID": owner,
        "COLONIES_TLS": "false",
        "TZ": "UTC",
    }
    async with _server(["-m", "kolony_apiserver.main"], settings, port, healthy={200}) as server:
        yield server


@asynccontextmanager
async def floor_server(dsn: str) -> AsyncIterator[Server]:
    """The floor on a database of its own. It has no health check: that it answers is enough."""
    port = _free_port()
    # -B: nothing is written beside a file that is not ours
    command = ["-B", "-m", "uvicorn", "--app-dir", str(FLOOR.parent), "floor:app", "--host", _HOST, "--port", str(port)]
    command += ["--no-access-log", "--log-level", "warning"]
    async with _server(command, {"FLOOR_DSN": dsn}, port, healthy={200, 404}) as server:
        yield server


@asynccontextmanager
async def _server(
    arguments: list[str], settings: Mapping[str, str], port: int, *, healthy: set[int]
) -> AsyncIterator[Server]:
    """A Python process that serves HTTP; an error while it runs is told with the last lines it wrote."""
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("COLONIES_")}
    with TemporaryFile() as log:
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            *arguments,
            env={**inherited, **settings},
            stdin=asyncio.subprocess.DEVNULL,
            stdout=log,
            stderr=log,
        )
        server = Server(Endpoint(_HOST, port), process.pid)
        try:
            await _ready(process, server.endpoint, healthy)
            yield server
        except Exception as error:
            log.seek(0)
            lines = log.read().decode(errors="replace").splitlines()[-20:]
            error.add_note("\n".join([f"last words of {' '.join(arguments)}:", *lines]))
            raise
        finally:
            await _stop(process)


async def _ready(process: asyncio.subprocess.Process, endpoint: Endpoint, healthy: set[int]) -> None:
    async with asyncio.timeout(_START_TIMEOUT):
        while await _health(endpoint) not in healthy:
            if process.returncode is not None:
                raise RuntimeError(f"the server ended at start with status {process.returncode}")
            await asyncio.sleep(_POLL)


async def _health(endpoint: Endpoint) -> int:
    """HTTP status of ``GET /health``; 0 while nobody listens."""
    try:
        reader, writer = await asyncio.open_connection(*endpoint)
    except OSError:
        return 0
    writer.write(b"GET /health HTTP/1.1\r\nHost: bench\r\nConnection: close\r\n\r\n")
    line = await reader.readline()
    writer.close()
    return int(line.split()[1]) if line else 0


async def _stop(process: asyncio.subprocess.Process) -> None:
    if process.returncode is not None:
        return
    process.terminate()
    try:
        async with asyncio.timeout(_STOP_TIMEOUT):
            await process.wait()
    except TimeoutError:
        process.kill()
        await process.wait()


async def _administer(dsn: str, statement: sql.SQL | sql.Composed) -> None:
    async with await psycopg.AsyncConnection.connect(dsn, autocommit=True) as connection:
        await connection.execute(statement)


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind((_HOST, 0))
        return int(probe.getsockname()[1])
