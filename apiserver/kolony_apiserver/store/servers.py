"""The servers of the cluster in the database."""

from __future__ import annotations

import msgspec

from kolony_apiserver.store.database import Database, Query
from kolony_apiserver.store.leadership import Leadership
from kolony_apiserver.store.repository import Repository


class Member(msgspec.Struct, frozen=True, kw_only=True):
    """One server: the address of its API, and where and with which secret other servers reach it."""

    name: str
    host: str
    apiport: int
    relayhost: str
    relayport: int
    secret: str


class ServerWrites:
    """Signs of life of this server, on a connection of its own."""

    def __init__(self, database: Database) -> None:
        self._lane = database.lane(durable=False)

    async def address(self) -> str:
        """The address of this machine as the database sees it; empty when that is the same machine."""
        return str((await self._lane.all("own_address"))[0]["address"])

    async def attend(self, member: Member, *, within: float) -> tuple[list[Member], Leadership]:
        """Note that a server is there; all that were within so many seconds, and who leads."""
        _, members, [leadership] = await self._lane.together(
            Query("attend_cluster", msgspec.structs.asdict(member)),
            Query("find_servers", {"within": within}),
            Query("read_leadership", {}),
        )
        return [Member(**row) for row in members], Leadership(**leadership)

    async def leave(self, name: str) -> None:
        """Forget a server."""
        await self._lane.all("leave_cluster", name=name)

    async def close(self) -> None:
        """Close the connection."""
        await self._lane.close()


class Servers(Repository):
    """The servers, within the unit of work of the leader."""

    async def remove_lost(self, *, within: float) -> None:
        """Forget the servers that have not been there for so many seconds."""
        await self.session.run("remove_lost_servers", within=within)
