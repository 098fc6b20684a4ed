"""Logs: lines that executors write, about a process or about themselves."""

from __future__ import annotations

from kolony.model.base import Int64, Model


class Log(Model):
    """One log entry; ``timestamp`` is the server's time of arrival in Unix nanoseconds."""

    processid: str = ""
    colonyname: str = ""
    executorname: str = ""
    message: str = ""
    timestamp: Int64 = 0
