"""Servers without a listener: their parts, on one database, with scans that run when a test says so."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from typing import Any, TypeVar

import psycopg
from clocked import SetClock
from psycopg.rows import dict_row
from storage import until
from wires import Wire

from kolony.crypto import Identity
from kolony.model.colonies import Colony
from kolony.model.users import User
from kolony_apiserver.server import open_parts
from kolony_apiserver.services.context import Context, Parts, UnitOfWork
from kolony_apiserver.settings import Settings

T = TypeVar("T")

USER = Identity("a" * 64)
WORKFLOW = json.dumps(
    {
        "functionspecs": [
            {"nodename": "a", "funcname": "f", "conditions": {"executortype": "cli"}},
            {"nodename": "b", "funcname": "f", "conditions": {"executortype": "cli", "dependencies": ["a"]}},
        ]
    }
)


@dataclass
class Site:
    """A database with a colony and a user, and servers on it."""

    dsn: str
    stack: AsyncExitStack
    wire: Wire
    clock: SetClock = field(default_factory=SetClock)

    async def server(self, dsn: str = "") -> Parts:
        """A server of its own."""
        settings = Settings(dsn=dsn or self.dsn)
        return await self.stack.enter_async_context(open_parts(settings, clock=self.clock, loops=False))

    async def term(self) -> int:
        """The term in which whoever scans now leads."""
        return int(await self.value("select term from leadership"))

    async def call(self, parts: Parts, service: Callable[[Context, Any], Awaitable[T]], message: Any) -> T:
        """What a service answers the user, who was authorised."""
        async with UnitOfWork(parts, await parts.callers.recall(USER)) as context:
            context.colony = "colony"  # type: ignore[assignment]
            return await service(context, message)

    async def rows(self, query: str) -> list[dict[str, Any]]:
        async with await psycopg.AsyncConnection.connect(self.dsn, row_factory=dict_row) as connection:
            return list(await (await connection.execute(query)).fetchall())  # type: ignore[call-overload]

    async def value(self, query: str) -> Any:
        return next(iter((await self.rows(query))[0].values()))

    async def undone(self) -> None:
        """Wait until the database has noticed what became of a server that died."""

        async def quiet() -> bool:
            return not await self.value(
                "select count(*) from pg_stat_activity where datname = current_database()"
                " and application_name like 'kolony%' and state <> 'idle'"
            )

        await until(quiet)


@asynccontextmanager
async def open_site(dsn: str) -> AsyncIterator[Site]:
    """A site on a migrated, empty database."""
    async with Wire(dsn) as wire, AsyncExitStack() as stack:
        site = Site(dsn, stack, wire)
        parts = await site.server()
        async with UnitOfWork(parts, await parts.callers.recall(USER)) as context:
            await context.store.colonies.add(Colony(name="colony", colonyid="c" * 64))
            await context.store.users.add(User(colonyname="colony", userid=USER, name="alice"))
        yield site
