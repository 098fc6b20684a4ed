"""Messages about logs."""

from __future__ import annotations

from kolony.model.base import Int64
from kolony.model.logs import Log
from kolony.wire.message import Message

MAX_LOGS, MAX_FOUND, MAX_DAYS = 500, 100, 30
"""Most entries of one read, most hits of one search, most days that a search looks back."""


class AddLog(Message[None], tag="addlogmsg"):
    """Write to the log of a running process (the executor that runs it)."""

    failure = "Failed to add log"
    processid: str = ""
    message: str = ""


class AddExecutorLog(Message[None], tag="addexecutorlogmsg"):
    """Write to the executor's own log (the executor itself)."""

    failure = "Failed to add executor log"
    colonyname: str = ""
    executorname: str = ""
    message: str = ""


class GetLogs(Message[list[Log]], tag="getlogsmsg"):
    """Read the log of an executor, or of a process when no executor is named (approved member).

    Entries newer than ``since`` (nanoseconds), oldest first; with ``latest`` the newest ``count`` entries.
    """

    failure = "Failed to get logs"
    colonyname: str = ""
    processid: str = ""
    executorname: str = ""
    count: Int64 = 0
    since: Int64 = 0
    latest: bool = False


class SearchLogs(Message[list[Log]], tag="searchlogsmsg"):
    """Look for a pattern in the logs of the last ``days`` (approved member)."""

    failure = "Failed to get logs"
    malformed = "Failed to search logs, invalid JSON"
    colonyname: str = ""
    text: str = ""
    days: Int64 = 0
    count: Int64 = 0
