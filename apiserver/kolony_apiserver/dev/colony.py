"""A development colony: PostgreSQL, server, keys, members and an example executor, all in one folder.

The folder holds ``keys.json``, ``executor.key``, ``env`` (the settings of clients, as shell exports), ``server.log``,
and ``postgres``.
"""

from __future__ import annotations

import asyncio
import shlex
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path

import typer

from kolony.errors import ConfigurationError
from kolony.model import Colony, User
from kolony.sdk.client import AsyncClient
from kolony.sdk.settings import Options
from kolony_apiserver.dev import example
from kolony_apiserver.dev.keys import Keys, load_or_make, write_private
from kolony_apiserver.dev.postgres import EmbeddedPostgres
from kolony_apiserver.logs import configure_logging
from kolony_apiserver.server import run_until_stopped
from kolony_apiserver.settings import Settings

COLONY, USER = "dev", "me"
_HOST = "127.0.0.1"


def run(*, port: int, data: Path, executor: bool) -> None:
    """Run a colony in a folder until SIGINT or SIGTERM."""
    data.mkdir(parents=True, exist_ok=True)
    data.chmod(0o700)
    keys = load_or_make(data / "keys.json")
    typer.echo(f"Starting PostgreSQL in {data / 'postgres'} ...")
    with EmbeddedPostgres(data / "postgres") as postgres, (data / "server.log").open("a") as log:
        configure_logging(verbose=False, stream=log)
        settings = Settings(port=port, host=_HOST, dsn=postgres.dsn, server_id=keys.identity("server"))
        run_until_stopped(settings, beside=_colony(port, data, keys, executor=executor))
    typer.echo("Stopped.")


def _colony(port: int, data: Path, keys: Keys, *, executor: bool) -> Callable[[], AbstractAsyncContextManager[None]]:
    @asynccontextmanager
    async def beside() -> AsyncIterator[None]:
        options: Options = {
            "host": _HOST,
            "port": port,
            "tls": False,
            "colony": COLONY,
            "colony_key": keys.colony,
            "server_key": keys.server,
        }
        await _found(options, keys)
        write_private(data / "env", _exports(port, keys))
        if executor:
            async with _example_executor(data / "executor.key", options):
                typer.echo(_welcome(port, data, executor=True))
                yield
        else:
            typer.echo(_welcome(port, data, executor=False))
            yield

    return beside


async def _found(options: Options, keys: Keys) -> None:
    """Make the colony and its user, unless a former run did."""
    async with AsyncClient(**options) as client:
        known = {colony.name: colony.colonyid for colony in await client.colonies.find()}
        if COLONY not in known:
            await client.colonies.add(Colony(name=COLONY, colonyid=keys.identity("colony")))
        elif known[COLONY] != keys.identity("colony"):
            raise ConfigurationError(f"the colony {COLONY} in this folder has another owner than keys.json says")
        user = User(colonyname=COLONY, name=USER, userid=keys.identity("user"))
        if COLONY not in known:
            await client.users.add(user)


@asynccontextmanager
async def _example_executor(key_file: Path, options: Options) -> AsyncIterator[None]:
    worker = example.example_worker(key_file, options)
    async with asyncio.TaskGroup() as group:
        group.create_task(worker.serve())
        await worker.enrolled.wait()
        try:
            yield
        finally:
            worker.stop()


def _exports(port: int, keys: Keys) -> str:
    settings = {
        "COLONIES_SERVER_HOST": _HOST,
        "COLONIES_SERVER_PORT": str(port),
        "COLONIES_TLS": "false",
        "COLONIES_COLONY_NAME": COLONY,
        "COLONIES_PRVKEY": keys.user,
        "COLONIES_COLONY_PRVKEY": keys.colony,
        "COLONIES_SERVER_PRVKEY": keys.server,
        "COLONIES_SERVER_ID": keys.identity("server"),
    }
    return "".join(f"export {name}={shlex.quote(value)}\n" for name, value in settings.items())


def _welcome(port: int, data: Path, *, executor: bool) -> str:
    tries = ["kolony submit echo hello --type example --wait"] if executor else ["kolony executor list"]
    tries += ["kolony process list", "kolony --help"]
    lines = "\n".join(f"  {line}" for line in (f". {shlex.quote(str(data / 'env'))}", *tries))
    return (
        f"The colony {COLONY} is ready at http://{_HOST}:{port}.\n\n"
        f"In another terminal:\n\n{lines}\n\n"
        f"Ctrl-C stops it; started again it continues with what is in {data}."
    )
