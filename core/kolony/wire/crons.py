"""Messages about crons."""

from __future__ import annotations

from kolony.model.base import Int64
from kolony.model.crons import Cron
from kolony.wire.message import Message


class AddCron(Message[Cron], tag="addcronmsg"):
    """Add a cron (approved member)."""

    failure = "Failed to add cron"
    cron: Cron | None = None


class GetCron(Message[Cron], tag="getcronmsg"):
    """Look up a cron (approved member)."""

    failure = "Failed to get cron"
    cronid: str = ""


class GetCrons(Message[list[Cron]], tag="getcronsmsg"):
    """List crons, the oldest first (approved member)."""

    failure = "Failed to get crons"
    colonyname: str = ""
    count: Int64 = 0


class RunCron(Message[Cron], tag="runcronmsg"):
    """Run a cron now, unless it waits for its previous workflow (approved member)."""

    failure = "Failed to run cron"
    cronid: str = ""


class RemoveCron(Message[None], tag="removecronmsg"):
    """Remove a cron; workflows that it started go on (approved member)."""

    failure = "Failed to remove cron"
    cronid: str = ""
    all: bool = False


class UpdateCron(Message[Cron], tag="kolonyupdatecronmsg"):
    """Replace what a member says about a cron; whoever does so becomes its initiator (approved member)."""

    failure = "Failed to update cron"
    cron: Cron | None = None


class PauseCron(Message[Cron], tag="kolonypausecronmsg"):
    """Let a cron rest; times that pass meanwhile are not made up for (approved member)."""

    failure = "Failed to pause cron"
    cronid: str = ""


class ResumeCron(Message[Cron], tag="kolonyresumecronmsg"):
    """Let a cron that was paused run again (approved member)."""

    failure = "Failed to resume cron"
    cronid: str = ""
