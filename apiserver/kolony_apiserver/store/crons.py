"""Crons in the database."""

from __future__ import annotations

from datetime import datetime
from typing import Any, NamedTuple

from kolony.model.base import NO_TIME, ColonyName, sparse
from kolony.model.crons import Cron
from kolony_apiserver.store.database import Row
from kolony_apiserver.store.repository import Repository


class DueCron(NamedTuple):
    """A cron to look at, and since when."""

    cronid: str
    due: datetime


class Crons(Repository):
    """Queries about crons."""

    async def add(self, cron: Cron, *, now: datetime) -> Cron | None:
        """Store a cron, to be looked at from now on; `None` when its name is taken in the colony."""
        return await self.session.one("add_cron", _cron, cronid=cron.cronid, now=now, **_said(cron))

    async def colony_of(self, cronid: str) -> ColonyName | None:
        """The colony of a cron, found by key alone."""
        name: ColonyName | None = await self.session.value("cron_colony", cronid=cronid)
        return name

    async def get(self, colony: str, cronid: str) -> Cron | None:
        """One cron."""
        return await self.session.one("get_cron", _cron, colony=colony, cronid=cronid)

    async def find(self, colony: str, *, count: int) -> list[Cron]:
        """The crons of a colony, the oldest first."""
        return await self.session.all("find_crons", _cron, colony=colony, count=count)

    async def lock(self, colony: str, cronid: str) -> Cron | None:
        """One cron, held until the transaction ends."""
        return await self.session.one("lock_cron", _cron, colony=colony, cronid=cronid)

    async def find_due(self, *, now: datetime, after: DueCron, limit: int) -> list[DueCron]:
        """Crons to look at now, the longest overdue first, after one that was found before."""
        return await self.session.all(
            "find_due_crons",
            lambda row: DueCron(**row),
            now=now,
            lastdue=after.due,
            lastid=after.cronid,
            limit=limit,
        )

    async def take_due(self, due: DueCron) -> Cron | None:
        """A cron that was found due, held until the transaction ends; `None` when another server has it or had it."""
        return await self.session.one("take_due_cron", _cron, cronid=due.cronid, due=due.due)

    async def move(
        self,
        cron: Cron,
        *,
        nextrun: datetime | None,
        due: datetime,
        lastrun: datetime | None = None,
        prevprocessgraphid: str | None = None,
    ) -> Cron | None:
        """Set when a cron runs next, and what it ran; `None` when it was moved on before."""
        return await self.session.one(
            "move_cron",
            _cron,
            cronid=cron.cronid,
            slot=_time(cron.nextrun),
            nextrun=nextrun,
            due=due,
            lastrun=lastrun,
            prevprocessgraphid=prevprocessgraphid,
        )

    async def update(self, cron: Cron, *, due: datetime) -> Cron | None:
        """Replace what a member says about a cron, and when it runs next; `None` when it is gone."""
        return await self.session.one(
            "update_cron", _cron, cronid=cron.cronid, nextrun=_time(cron.nextrun), due=due, **_said(cron)
        )

    async def pause(self, colony: str, cronid: str, *, paused: bool, now: datetime) -> None:
        """Let a cron rest or go on; what rests or goes on already is left as it is."""
        await self.session.run("pause_cron", colony=colony, cronid=cronid, paused=paused, now=now)

    async def remove(self, colony: str, cronid: str) -> bool:
        """Delete a cron; false when it is gone."""
        return await self.session.run("remove_cron", colony=colony, cronid=cronid) > 0

    async def change_initiator(self, colony: str, *, old: str, new: str) -> None:
        """Give the initiator of crons a new key."""
        await self.session.run("change_cron_initiator", colony=colony, old=old, new=new)

    async def lock_colony(self, colony: str) -> None:
        """Hold all crons of a colony until the transaction ends."""
        await self.session.run("lock_colony_crons", colony=colony)

    async def overdue_since(self) -> datetime | None:
        """The slot of the cron that runs next or is longest overdue."""
        found: datetime | None = await self.session.value("cron_lag")
        return found


def _said(cron: Cron) -> dict[str, Any]:
    """The columns that hold what a member says, and who did."""
    return {
        "colonyname": cron.colonyname,
        "name": cron.name,
        "initiatorid": cron.initiatorid,
        "initiatorname": cron.initiatorname,
        "cronexpression": cron.cronexpression,
        "interval": cron.interval,
        "random": cron.random,
        "timezone": cron.timezone or "",
        "missed": cron.missed or "",
        "missedlimit": cron.missedlimit or 0,
        "workflowspec": cron.workflowspec,
        "waitforprevprocessgraph": cron.waitforprevprocessgraph,
    }


def _time(time: datetime) -> datetime | None:
    return None if time == NO_TIME else time


def _cron(row: Row) -> Cron:
    columns = dict(row)
    del columns["due"], columns["added"]
    return Cron(
        **columns
        | {
            "nextrun": row["nextrun"] or NO_TIME,
            "lastrun": row["lastrun"] or NO_TIME,
            "timezone": sparse(row["timezone"]),
            "paused": sparse(row["paused"]),
            "missed": sparse(row["missed"]),
            "missedlimit": sparse(row["missedlimit"]),
        }
    )
