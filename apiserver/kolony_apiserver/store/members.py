"""What an identity is in the database, and who changed since when."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from typing import Any

import msgspec

from kolony_apiserver.store.database import Database
from kolony_apiserver.store.repository import Repository


class Authority(msgspec.Struct, frozen=True, kw_only=True):
    """One thing that an identity is: ``role`` is ``server``, ``owner``, ``user`` or ``executor``."""

    role: str
    colonyname: str
    name: str
    type: str
    location: str
    state: int


class Changes(msgspec.Struct, frozen=True, kw_only=True):
    """Who changed since a version; ``gap`` when some of that is no longer recorded."""

    version: int
    identities: list[str]
    gap: bool
    now: datetime


class MemberReads:
    """Look-ups of identities, on connections of their own so that they never wait for the pool."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._changes = database.lane()

    async def authorities(self, identity: str) -> list[Authority]:
        """Everything that an identity is."""
        async with self._database.session() as session:
            return await session.all("find_authority", lambda row: Authority(**row), identity=identity)

    async def changes_since(self, version: int) -> Changes:
        """Who changed after a version of the membership."""
        row: dict[str, Any] = (await self._changes.all("membership_changes_since", version=version))[0]
        return Changes(
            version=row["version"],
            identities=row["identities"],
            gap=row["changes"] < row["version"] - version,
            now=row["now"],
        )

    async def close(self) -> None:
        """Close the connection."""
        await self._changes.close()


class Members(Repository):
    """Changes of membership, within the unit of work that makes them."""

    async def changed(self, identities: Iterable[str]) -> None:
        """Let all servers forget these identities once this unit of work commits."""
        await self.session.run("note_membership_change", identities=list(identities))

    async def forget_old_changes(self, *, before: datetime) -> None:
        """Drop records of changes that every server has long seen."""
        await self.session.run("remove_old_membership_changes", before=before)
