"""Executors in the database."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any, NamedTuple

import msgspec

from kolony.model.base import NO_TIME, ColonyName, sparse
from kolony.model.executors import Allocations, Capabilities, Executor, ExecutorState
from kolony_apiserver.store.database import Database, Row, records
from kolony_apiserver.store.repository import Repository

_CAPABILITIES = msgspec.json.Decoder(Capabilities)
_ALLOCATIONS = msgspec.json.Decoder(Allocations)


class Waiting(NamedTuple):
    """A class, and the smallest prioritytime of what came back to it."""

    classid: int
    prioritytime: int


class ExecutorKey(NamedTuple):
    """What names an executor, and its identity."""

    colonyname: ColonyName
    executorname: str
    executorid: str


class Executors(Repository):
    """Queries about executors."""

    async def add(self, executor: Executor, *, now: datetime) -> Executor | None:
        """Store a new executor as pending; `None` when its name was ever used in the colony."""
        return await self.session.one("add_executor", _executor, now=now, **_columns(executor))

    async def replace(self, executor: Executor, *, now: datetime) -> Executor | None:
        """Put another executor into the record of this name, pending again."""
        return await self.session.one("replace_executor", _executor, now=now, **_columns(executor))

    async def get(self, colony: str, name: str) -> Executor | None:
        """One executor by name."""
        return await self.session.one("get_executor", _executor, colony=colony, name=name)

    async def get_by_id(self, colony: str, executorid: str) -> Executor | None:
        """One executor of a colony by identity."""
        return await self.session.one("get_executor_by_id", _executor, colony=colony, executorid=executorid)

    async def colonies_of(self, executorid: str) -> list[ColonyName]:
        """The colonies in which an identity is an executor."""
        return await self.session.all(
            "executor_colonies", lambda row: ColonyName(row["colonyname"]), executorid=executorid
        )

    async def find(self, colony: str) -> list[Executor]:
        """The executors of a colony in all states."""
        return await self.session.all("find_executors", _executor, colony=colony)

    async def set_state(self, colony: str, name: str, state: ExecutorState) -> str | None:
        """Approve or reject an executor; its identity, or `None` when there is none of that name."""
        found: str | None = await self.session.value("set_executor_state", colony=colony, name=name, state=state)
        return found

    async def unregister(self, colony: str, name: str) -> tuple[str, list[Waiting]] | None:
        """Remove an executor: its identity and what returned to the queue, or `None` when there is none.

        The lock comes first and by itself: a claim under way ends before it, and the statements after it see what
        that claim handed out.
        """
        executorid: str | None = await self.session.value("lock_executor", colony=colony, name=name)
        if executorid is None:
            return None
        await self.set_state(colony, name, ExecutorState.UNREGISTERED)
        # Processes before functions, as a close locks them.
        returned = await self.session.all(
            "return_executor_processes", lambda row: Waiting(**row), colony=colony, executorid=executorid
        )
        await self.session.run("remove_executor_functions", colony=colony, name=name)
        return executorid, returned

    async def set_allocations(self, colony: str, name: str, allocations: Allocations) -> None:
        """Replace the allocations of an executor."""
        await self.session.run("set_executor_allocations", colony=colony, name=name, allocations=_json(allocations))

    async def set_capabilities(self, colony: str, name: str, capabilities: Capabilities) -> None:
        """Replace the capabilities of an executor."""
        await self.session.run("set_executor_capabilities", colony=colony, name=name, capabilities=_json(capabilities))

    async def change_id(self, colony: str, *, old: str, new: str) -> None:
        """Give an executor a new key; processes keep the identity they were given to."""
        await self.session.run("change_executor_id", colony=colony, old=old, new=new)

    async def find_stale(self, *, before: datetime, limit: int) -> list[ExecutorKey]:
        """Registered executors not heard from since a time, locked; those never heard from are spared."""
        return await self.session.all(
            "find_stale_executors", lambda row: ExecutorKey(**row), before=before, limit=limit
        )


class ContactWrites:
    """Writes the times at which executors were heard from, many at once."""

    def __init__(self, database: Database) -> None:
        self._lane = database.lane(durable=False)

    async def flush(self, heard: Mapping[tuple[str, str], datetime]) -> None:
        """Store when executors, given by colony and name, were last heard from."""
        contacts = [
            {"colonyname": colony, "executorname": name, "heard": time} for (colony, name), time in heard.items()
        ]
        await self._lane.all("note_contacts", contacts=records(contacts))

    async def close(self) -> None:
        """Close the connection."""
        await self._lane.close()


def _json(value: Any) -> str:
    return msgspec.json.encode(value).decode()


def _columns(executor: Executor) -> dict[str, Any]:
    return {
        "colonyname": executor.colonyname,
        "executorname": executor.executorname,
        "executorid": executor.executorid,
        "executortype": executor.executortype,
        "requirefuncreg": executor.requirefuncreg,
        "lastheardfromtime": None if executor.lastheardfromtime.year == 1 else executor.lastheardfromtime,
        "locationname": executor.locationname or "",
        "capabilities": _json(executor.capabilities),
        "allocations": _json(executor.allocations),
        "blueprintid": executor.blueprintid or "",
        "blueprintgen": executor.blueprintgen or 0,
    }


def _executor(row: Row) -> Executor:
    return Executor(
        executorid=row["executorid"],
        executortype=row["executortype"],
        executorname=row["executorname"],
        colonyname=row["colonyname"],
        state=row["state"],
        requirefuncreg=row["requirefuncreg"],
        commissiontime=row["commissiontime"],
        lastheardfromtime=row["lastheardfromtime"] or NO_TIME,
        locationname=sparse(row["locationname"]),
        capabilities=_CAPABILITIES.decode(row["capabilities"]),
        allocations=_ALLOCATIONS.decode(row["allocations"]),
        blueprintid=sparse(row["blueprintid"]),
        blueprintgen=sparse(row["blueprintgen"]),
    )
