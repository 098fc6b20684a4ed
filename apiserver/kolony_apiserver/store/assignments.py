"""Claims, requirement classes, and pauses in the database."""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Sequence
from datetime import UTC, datetime, timedelta
from typing import Self

import msgspec
from msgspec import Raw

from kolony.crypto import Identity
from kolony.model.base import ColonyName
from kolony.model.processes import Process
from kolony_apiserver.store.database import Database, Query, Row, records
from kolony_apiserver.store.processes import process_from
from kolony_apiserver.store.repository import Repository

_LONG_AGO = datetime(2000, 1, 1, tzinfo=UTC)


class Seat(msgspec.Struct, frozen=True, kw_only=True):
    """One call that waits for work, and the group of calls that search the same classes."""

    seat: int
    grp: int
    colonyname: str
    executorid: Identity
    executorname: str


class Search(msgspec.Struct, frozen=True, kw_only=True):
    """A class that a group takes from: the prioritytimes from ``low`` to ``high``, and the ``most`` it can take."""

    grp: int
    classid: int
    low: int
    high: int
    most: int


class Claim(msgspec.Struct, frozen=True, kw_only=True):
    """Calls that wait, and where to search for them; with the term of the leader where only that may claim."""

    seats: Sequence[Seat]
    searches: Sequence[Search]
    now: datetime
    term: int | None = None

    def query(self) -> Query:
        """The query whose rows say what was handed out."""
        return Query(
            "claim_processes",
            {
                "seats": records(self.seats),
                "searches": records(self.searches),
                "now": self.now,
                "term": self.term,
            },
        )


class Claimed(msgspec.Struct, frozen=True, kw_only=True):
    """The outcome of a claim: processes by seat, and for each searched class what waits first now."""

    processes: dict[int, Process[Raw]]
    heads: dict[int, int | None]

    @classmethod
    def of(cls, rows: Sequence[Row]) -> Self:
        """The outcome that the rows of a claim's query tell."""
        processes = {row["seat"]: process_from(row) for row in rows if row["seat"] is not None}
        return cls(processes=processes, heads={row["searched"]: row["nextprioritytime"] for row in rows})


class StoredClass(msgspec.Struct, frozen=True, kw_only=True):
    """A requirement class as the database has it, with the prioritytime of what waits first in it."""

    classid: int
    colonyname: ColonyName
    requirements: str
    head: int | None


class AssignmentWrites:
    """The statements of the claim loop, each on a connection of its own."""

    def __init__(self, database: Database) -> None:
        self._claims = database.lane()
        self._probes = database.lane()

    async def claim(self, claim: Claim) -> Claimed:
        """Hand out waiting processes."""
        [rows] = await self._claims.together(claim.query())
        return Claimed.of(rows)

    async def release(self, process: Process[Raw]) -> tuple[int, int] | None:
        """Put back a process that nobody learned of; its class and prioritytime if it was still out."""
        rows = await self._claims.all("release_process", processid=process.processid, attempt=process.attempt)
        return (rows[0]["classid"], rows[0]["prioritytime"]) if rows else None

    async def classes(self, *, added_within: timedelta | None, now: datetime) -> list[StoredClass]:
        """The requirement classes, or only those added a short while ago."""
        since = now - added_within if added_within is not None else _LONG_AGO
        return [StoredClass(**row) for row in await self._probes.all("load_classes", since=since)]

    async def gone(self, classids: Sequence[int]) -> list[int]:
        """Those of these classes that were removed, by whichever server."""
        return [_classid(row) for row in await self._probes.all("gone_classes", classids=list(classids))]

    async def add_classes(self, wanted: Sequence[tuple[str, str]]) -> list[int]:
        """The ids of the classes with these colonies and demands, made where they are new."""
        values = [{"colonyname": colony, "digest": _digest(text), "requirements": text} for colony, text in wanted]
        rows = await self._probes.all("add_classes", classes=records(values))
        found = {(row["colonyname"], row["digest"]): row["classid"] for row in rows}
        return [found[value["colonyname"], value["digest"]] for value in values]

    async def heads(self, classids: Sequence[int]) -> dict[int, int | None]:
        """What waits first in each of these classes."""
        rows = await self._probes.all("probe_classes", classids=list(classids))
        return {row["classid"]: row["head"] for row in rows}

    async def paused(self) -> set[str]:
        """The colonies whose assignments are held back."""
        return {row["colonyname"] for row in await self._probes.all("paused_colonies")}

    async def close(self) -> None:
        """Close the connections."""
        await self._claims.close()
        await self._probes.close()


class Assignments(Repository):
    """Pauses, and the clean-up of classes."""

    async def set_paused(self, colony: str, *, paused: bool) -> None:
        """Hold back the assignments of a colony, or hand out again."""
        await self.session.run("pause_colony", colony=colony, paused=paused)

    async def is_paused(self, colony: str) -> bool:
        """Whether the assignments of a colony are held back."""
        return bool(await self.session.value("colony_is_paused", colony=colony))

    async def hold_classes(self, classids: Collection[int]) -> bool:
        """Keep classes from being removed until the transaction ends; false when one is gone."""
        return len(await self.session.all("hold_classes", _classid, classids=list(classids))) == len(classids)

    async def remove_empty_classes(self, *, before: datetime, limit: int) -> list[int]:
        """Remove classes added before a time in which nothing waits or runs; which ones."""
        empty = await self.session.all("remove_empty_classes", _classid, before=before, limit=limit)
        if not empty:
            return []
        return await self.session.all("remove_classes", _classid, classids=empty)


def _digest(requirements: str) -> str:
    return hashlib.sha256(requirements.encode()).hexdigest()


def _classid(row: Row) -> int:
    return int(row["classid"])
