"""Messages about colonies."""

from __future__ import annotations

from kolony.model.colonies import Colony, Statistics
from kolony.wire.message import Message


class AddColony(Message[Colony], tag="addcolonymsg"):
    """Add a colony (server owner)."""

    failure = "Failed to add colony"
    colony: Colony | None = None


class RemoveColony(Message[None], tag="removecolonymsg"):
    """Remove a colony and all that belongs to it (server owner)."""

    failure = "Failed to remove colony"
    colonyname: str = ""


class GetColonies(Message[list[Colony]], tag="getcoloniesmsg"):
    """List the colonies of the server (server owner)."""

    failure = "Failed to get colonies"


class GetColony(Message[Colony], tag="getcolonymsg"):
    """Look up a colony (approved member)."""

    failure = "Failed to get colony"
    colonyname: str = ""


class GetColonyStatistics(Message[Statistics], tag="getcolonystatsmsg"):
    """Counts of a colony (approved member)."""

    failure = "Failed to get colony statistics"
    colonyname: str = ""


class ChangeColonyId(Message["ChangeColonyId"], tag="changecolonyidmsg"):
    """Give a colony a new owner key (colony owner); takes effect with the next request."""

    failure = "Failed to change colony Id"
    colonyname: str = ""
    colonyid: str = ""
