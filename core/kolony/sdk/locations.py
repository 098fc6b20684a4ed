"""Locations."""

from __future__ import annotations

from msgspec.structs import replace

from kolony.model.locations import Location
from kolony.sdk.api import Api, M, method
from kolony.sdk.settings import Key
from kolony.wire.locations import AddLocation, GetLocation, GetLocations, RemoveLocation


class Locations(Api[M]):
    """Locations of a colony."""

    @method
    async def add(self, location: Location, *, key: Key | None = None) -> Location:
        """Add a location (colony owner)."""
        location = replace(location, colonyname=self._colony(location.colonyname))
        return await self._call(AddLocation(location=location), key or self._keys.colony, once=True)

    @method
    async def get(self, name: str, *, colony: str = "", key: Key | None = None) -> Location:
        """Look up a location (member)."""
        return await self._call(GetLocation(colonyname=self._colony(colony), name=name), key)

    @method
    async def find(self, *, colony: str = "", key: Key | None = None) -> list[Location]:
        """All locations of a colony (member)."""
        return await self._call(GetLocations(colonyname=self._colony(colony)), key)

    @method
    async def remove(self, name: str, *, colony: str = "", key: Key | None = None) -> None:
        """Remove a location (colony owner)."""
        message = RemoveLocation(colonyname=self._colony(colony), name=name)
        await self._call(message, key or self._keys.colony, once=True)
