"""Clients of a Colonies server: `AsyncClient` is awaited, `Client` blocks; they offer the same calls."""

from __future__ import annotations

from dataclasses import replace
from typing import Self, TypeVar, Unpack

from kolony.sdk.api import Api, Awaited, Blocking, M
from kolony.sdk.assignments import Assignments
from kolony.sdk.attributes import Attributes
from kolony.sdk.colonies import Colonies
from kolony.sdk.connection import Connection
from kolony.sdk.crons import Crons
from kolony.sdk.executors import Executors
from kolony.sdk.functions import Functions
from kolony.sdk.generators import Generators
from kolony.sdk.locations import Locations
from kolony.sdk.logs import Logs
from kolony.sdk.portal import Portal
from kolony.sdk.processes import Processes
from kolony.sdk.server import Server
from kolony.sdk.settings import Key, Options, Settings
from kolony.sdk.subscriptions import Subscriptions
from kolony.sdk.users import Users
from kolony.sdk.workflows import Workflows
from kolony.wire.message import Message

R = TypeVar("R")


class _Families(Api[M]):
    """Every family of calls, over one connection."""

    def __init__(self, connection: Connection, portal: Portal | None) -> None:
        super().__init__(connection, portal)
        self.server: Server[M] = Server(connection, portal)
        self.colonies: Colonies[M] = Colonies(connection, portal)
        self.executors: Executors[M] = Executors(connection, portal)
        self.users: Users[M] = Users(connection, portal)
        self.functions: Functions[M] = Functions(connection, portal)
        self.attributes: Attributes[M] = Attributes(connection, portal)
        self.locations: Locations[M] = Locations(connection, portal)
        self.processes: Processes[M] = Processes(connection, portal)
        self.workflows: Workflows[M] = Workflows(connection, portal)
        self.assignments: Assignments[M] = Assignments(connection, portal)
        self.crons: Crons[M] = Crons(connection, portal)
        self.generators: Generators[M] = Generators(connection, portal)
        self.logs: Logs[M] = Logs(connection, portal)
        self.subscriptions: Subscriptions[M] = Subscriptions(connection, portal)


def _settings(settings: Settings | None, options: Options) -> Settings:
    return replace(settings, **options) if settings else Settings(**options)


class AsyncClient(_Families[Awaited]):
    """A client whose calls are awaited; it belongs to the event loop that it is first used in.

    Options are the fields of `Settings`, and win over settings that are given.
    """

    def __init__(self, settings: Settings | None = None, **options: Unpack[Options]) -> None:
        super().__init__(Connection(_settings(settings, options)), None)

    @classmethod
    def from_env(cls, **options: Unpack[Options]) -> Self:
        """A client with settings from the environment (COLONIES_SERVER_HOST and so on); ``options`` win."""
        return cls(Settings.from_env(**options))

    async def call(self, message: Message[R], *, key: Key | None = None, once: bool = False) -> R:
        """Send any message; ``once`` if doing it twice is worse than not knowing whether it was done."""
        return await self._call(message, key, once=once)

    async def close(self) -> None:
        """Close the connections."""
        await self._connection.close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *exc_info: object) -> None:
        await self.close()


class Client(_Families[Blocking]):
    """A client whose calls block; any number of threads may share it.

    Options are the fields of `Settings`, and win over settings that are given.
    """

    def __init__(self, settings: Settings | None = None, **options: Unpack[Options]) -> None:
        connection = Connection(_settings(settings, options))
        self._loop = Portal()
        super().__init__(connection, self._loop)

    @classmethod
    def from_env(cls, **options: Unpack[Options]) -> Self:
        """A client with settings from the environment (COLONIES_SERVER_HOST and so on); ``options`` win."""
        return cls(Settings.from_env(**options))

    def call(self, message: Message[R], *, key: Key | None = None, once: bool = False) -> R:
        """Send any message; ``once`` if doing it twice is worse than not knowing whether it was done."""
        return self._loop.run(self._call(message, key, once=once))

    def close(self) -> None:
        """Close the connections."""
        self._loop.run(self._connection.close())
        self._loop.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.close()
