"""Several servers on one database, and a colony in them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import psycopg
from clocked import eventually
from colonies import Colony, RunningServer, create_colony

from kolony.crypto import PrivateKey

StartServer = Callable[..., RunningServer]


class Servers:
    """Servers of one cluster, by name, and a colony in it."""

    def __init__(
        self,
        start: StartServer,
        dsn: str,
        names: str = "abc",
        own: Callable[[str], dict[str, str]] = lambda name: {},
        **settings: str,
    ) -> None:
        self.dsn = dsn
        self.key = PrivateKey.generate()
        settings = {"COLONIES_EXCLUSIVE_ASSIGN": "true"} | settings
        self.by_name = {
            name: start(dsn, server_key=self.key, COLONIES_SERVER_NAME=name, **settings, **own(name)) for name in names
        }
        self.colony = create_colony(self.by_name[names[0]])

    def leader(self) -> str:
        """The name of the server that leads now."""
        with psycopg.connect(self.dsn) as connection:
            row = connection.execute("select holder from leadership").fetchone()
        assert row is not None
        return str(row[0])

    def followers(self) -> list[str]:
        return [name for name in self.by_name if name != self.leader()]

    def new_leader(self, old: str) -> str:
        """Wait until another server leads; its name."""
        eventually(lambda: self.leader() not in ("", old))
        return self.leader()

    def at(self, name: str) -> Colony:
        """The colony, spoken to at one of the servers."""
        colony = self.colony
        return Colony(self.by_name[name], colony.name, colony.server_key, colony.colony_key, colony.user_key)

    def assign(self, name: str, key: PrivateKey, timeout: int = 30) -> Any:
        return self.at(name).rpc.call(
            "assignprocessmsg", key, colonyname=self.colony.name, timeout=timeout, timeout_s=timeout + 30
        )

    def kill(self, name: str) -> None:
        self.by_name[name].process.kill()
        self.by_name[name].process.wait()
