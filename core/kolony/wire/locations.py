"""Messages about locations."""

from __future__ import annotations

from kolony.model.locations import Location
from kolony.wire.message import Message


class AddLocation(Message[Location], tag="addlocationmsg"):
    """Add a location (colony owner)."""

    failure = "Failed to add location"
    location: Location | None = None


class GetLocations(Message[list[Location]], tag="getlocationsmsg"):
    """List the locations of a colony (member)."""

    failure = "Failed to get locations"
    colonyname: str = ""


class GetLocation(Message[Location], tag="getlocationmsg"):
    """Look up a location by name (member)."""

    failure = "Failed to get location"
    colonyname: str = ""
    name: str = ""


class RemoveLocation(Message[None], tag="removelocationmsg"):
    """Remove a location (colony owner)."""

    failure = "Failed to remove location"
    colonyname: str = ""
    name: str = ""
