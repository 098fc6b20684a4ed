"""Colonies."""

from __future__ import annotations

from kolony.model.colonies import Colony, Statistics
from kolony.sdk.api import Api, M, method
from kolony.sdk.settings import Key
from kolony.wire.colonies import (
    AddColony,
    ChangeColonyId,
    GetColonies,
    GetColony,
    GetColonyStatistics,
    RemoveColony,
)


class Colonies(Api[M]):
    """Colonies of a server; where no name is given, the client's own colony is meant."""

    @method
    async def add(self, colony: Colony, *, key: Key | None = None) -> Colony:
        """Add a colony (server owner)."""
        return await self._call(AddColony(colony=colony), key or self._keys.server, once=True)

    @method
    async def get(self, name: str = "", *, key: Key | None = None) -> Colony:
        """Look up a colony (member)."""
        return await self._call(GetColony(colonyname=self._colony(name)), key)

    @method
    async def find(self, *, key: Key | None = None) -> list[Colony]:
        """All colonies of the server (server owner)."""
        return await self._call(GetColonies(), key or self._keys.server)

    @method
    async def statistics(self, name: str = "", *, key: Key | None = None) -> Statistics:
        """Counts of a colony (member)."""
        return await self._call(GetColonyStatistics(colonyname=self._colony(name)), key)

    @method
    async def change_id(self, identity: str, *, name: str = "", key: Key | None = None) -> None:
        """Hand a colony to another owner's key, at once (colony owner)."""
        message = ChangeColonyId(colonyname=self._colony(name), colonyid=identity)
        await self._call(message, key or self._keys.colony, once=True)

    @method
    async def remove(self, name: str, *, key: Key | None = None) -> None:
        """Remove a colony and all that belongs to it (server owner)."""
        await self._call(RemoveColony(colonyname=name), key or self._keys.server, once=True)
