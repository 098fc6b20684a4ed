"""Locations in the database."""

from __future__ import annotations

import msgspec

from kolony.model.locations import Location
from kolony_apiserver.store.database import Row
from kolony_apiserver.store.repository import Repository


class Locations(Repository):
    """Queries about locations."""

    async def add(self, location: Location) -> Location | None:
        """Store a location; `None` when its name is taken in the colony."""
        return await self.session.one("add_location", _location, **msgspec.structs.asdict(location))

    async def get(self, colony: str, name: str) -> Location | None:
        """One location by name."""
        return await self.session.one("get_location", _location, colony=colony, name=name)

    async def find(self, colony: str) -> list[Location]:
        """The locations of a colony, the oldest first."""
        return await self.session.all("find_locations", _location, colony=colony)

    async def remove(self, colony: str, name: str) -> bool:
        """Delete a location; false when there is none of that name."""
        return await self.session.run("remove_location", colony=colony, name=name) > 0


def _location(row: Row) -> Location:
    return Location(**row)
