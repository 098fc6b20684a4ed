"""How servers tell one another: signals that PostgreSQL passes on to every connection that listens."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Sequence
from contextlib import asynccontextmanager

from kolony_apiserver.store.database import Connection, Database, Query
from kolony_apiserver.store.failures import translated
from kolony_apiserver.store.queries import queries

MAX_SIGNAL = 7_900
"""Most bytes of a signal; PostgreSQL takes no 8,000."""

_PATIENCE = 2.0
"""Seconds that sending may take; a connection whose answers are lost is made anew."""


def sending(signals: Sequence[str]) -> Query:
    """The query that sends signals when its transaction is committed."""
    return Query("send_signals", {"signals": list(signals)})


class SignalWires:
    """The connections for signals: one on which to hear them, one on which to send them."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._sending = database.lane(durable=False)

    async def send(self, signals: Sequence[str]) -> None:
        """Send signals, all of them or none; fails when no answer comes."""
        end = asyncio.get_running_loop().call_later(_PATIENCE, self._sending.abort)
        try:
            await self._sending.together(sending(signals))
        finally:
            end.cancel()

    @asynccontextmanager
    async def listening(self) -> AsyncIterator[AsyncIterator[str]]:
        """The signals of all servers, in the order of their commits, on a new connection."""
        with translated():
            connection = await self._database.connect(role="signals")
        try:
            with translated():
                await connection.execute(queries()["listen_for_signals"])
            yield _heard(connection)
        finally:
            await connection.close()

    async def close(self) -> None:
        """Close the connection on which signals are sent."""
        await self._sending.close()


async def _heard(connection: Connection) -> AsyncGenerator[str]:
    with translated():
        async for notification in connection.notifies():
            yield notification.payload
