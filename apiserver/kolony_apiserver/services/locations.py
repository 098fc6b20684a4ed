"""Rules of locations."""

from __future__ import annotations

from kolony.errors import BadRequest, Conflict, NotFound
from kolony.model.locations import Location
from kolony.wire import locations as wire
from kolony_apiserver.services.context import Context


async def add(context: Context, message: wire.AddLocation) -> Location:
    """Add a location."""
    location = _given(message)
    added = await context.store.locations.add(location)
    if added is None:
        raise Conflict(
            f"A location with name <{location.name}> already exists in Colony with name <{location.colonyname}>"
        )
    return added


async def get(context: Context, message: wire.GetLocation) -> Location:
    """Look up a location by name."""
    location = await context.store.locations.get(message.colonyname, message.name)
    if location is None:
        raise NotFound("Failed to get location, location is nil")
    return location


async def remove(context: Context, message: wire.RemoveLocation) -> None:
    """Remove a location; those who named it keep the name."""
    if not await context.store.locations.remove(message.colonyname, message.name):
        raise NotFound(f"Location with name <{message.name}> not found", status=400)


def scope_of_new(message: wire.AddLocation) -> str:
    """The colony of a location to add."""
    return _given(message).colonyname


def _given(message: wire.AddLocation) -> Location:
    if message.location is None:
        raise BadRequest("Failed to add location, location is nil")
    return message.location
