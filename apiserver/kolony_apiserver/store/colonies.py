"""Colonies in the database, and the identity of the server owner."""

from __future__ import annotations

from kolony.model.colonies import Colony, Statistics
from kolony_apiserver.store.counts import Counts
from kolony_apiserver.store.crons import Crons
from kolony_apiserver.store.database import Row
from kolony_apiserver.store.generators import Generators
from kolony_apiserver.store.processes import Processes
from kolony_apiserver.store.repository import Repository


class Colonies(Repository):
    """Queries about colonies."""

    async def add(self, colony: Colony) -> Colony | None:
        """Store a colony; `None` when its name is taken."""
        return await self.session.one("add_colony", _colony, colonyname=colony.name, colonyid=colony.colonyid)

    async def get(self, colony: str) -> Colony | None:
        """One colony."""
        return await self.session.one("get_colony", _colony, colony=colony)

    async def find(self) -> list[Colony]:
        """All colonies, the oldest first."""
        return await self.session.all("get_colonies", _colony)

    async def identities(self, colony: str) -> list[str]:
        """Everyone who is something in a colony."""
        return await self.session.all("colony_identities", lambda row: str(row["identity"]), colony=colony)

    async def remove(self, colony: str) -> bool:
        """Delete a colony and all that belongs to it; false when there is none of that name.

        In steps, so that each sees what was committed while it waited for the locks of the one before: runs under way
        hold their cron or generator, submits the classes, claims the executors, closes the workflows and the processes
        that run. All take their locks in this order, and several of one kind in the order of their keys, so that
        nobody waits in a circle.
        """
        await Crons(self.session).lock_colony(colony)
        await Generators(self.session).lock_colony(colony)
        await self.session.run("lock_colony_classes", colony=colony)
        await self.session.run("lock_colony_executors", colony=colony)
        await self.session.run("lock_colony_workflows", colony=colony)
        await Processes(self.session).lock_running(colony)
        await self.session.run("remove_colony_dependencies", colony=colony)
        removed = await self.session.run("remove_colony", colony=colony)
        await self.session.run("remove_colony_processes", colony=colony)
        await Counts(self.session).remove_colony(colony)
        return removed > 0

    async def change_id(self, colony: str, colonyid: str) -> None:
        """Give a colony a new owner key."""
        await self.session.run("change_colony_id", colony=colony, colonyid=colonyid)

    async def statistics(self, colony: str) -> Statistics:
        """Counts of one colony, from counters."""
        found = await self.session.one("colony_statistics", _statistics, colony=colony)
        return found or Statistics()


class Server(Repository):
    """Queries about the server as a whole."""

    async def server_id(self) -> str | None:
        """The identity of the server owner, if one was ever set."""
        found: str | None = await self.session.value("get_server_id")
        return found

    async def init_server_id(self, serverid: str) -> None:
        """Set the identity of the server owner unless there is one."""
        await self.session.run("init_server_id", serverid=serverid)

    async def change_server_id(self, serverid: str) -> None:
        """Give the server owner a new key."""
        await self.session.run("change_server_id", serverid=serverid)

    async def statistics(self) -> Statistics:
        """Counts of the whole server, from counters."""
        found = await self.session.one("server_statistics", _statistics)
        return found or Statistics()


def _colony(row: Row) -> Colony:
    return Colony(name=row["colonyname"], colonyid=row["colonyid"])


def _statistics(row: Row) -> Statistics:
    return Statistics(**row)
