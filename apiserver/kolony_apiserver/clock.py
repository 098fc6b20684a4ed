"""The server's clock, which follows that of the database so that several servers agree about time."""

from __future__ import annotations

import time
from datetime import UTC, datetime, timedelta, tzinfo
from typing import Protocol

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class Clock(Protocol):
    """What the server asks about time; tests pass one they set themselves."""

    zone: tzinfo

    def now(self) -> datetime:
        """The current time in the zone of the server."""

    def now_ns(self) -> int:
        """Unix time in nanoseconds; each call gives a greater number than the one before."""

    def monotonic(self) -> float:
        """Seconds on a clock that is never set back."""

    def follow(self, database_now: datetime) -> None:
        """Hear what the database's time is, as read just now."""


class DatabaseClock:
    """The machine's clock, corrected by what the database last said its time is."""

    def __init__(self, zone: tzinfo = UTC) -> None:
        self.zone = zone
        self._offset_ns = 0
        self._last_ns = 0

    def follow(self, database_now: datetime) -> None:
        """Take over the database's time, as read just now."""
        self._offset_ns = to_ns(database_now) - time.time_ns()

    def now(self) -> datetime:
        """The current time of the database, in the zone of the server."""
        return from_ns(time.time_ns() + self._offset_ns, self.zone)

    def now_ns(self) -> int:
        """Unix time of the database in nanoseconds; each call gives a greater number than the one before."""
        self._last_ns = max(self._last_ns + 1, time.time_ns() + self._offset_ns)
        return self._last_ns

    def monotonic(self) -> float:
        """Seconds on a clock that is never set back."""
        return time.monotonic()


def to_ns(moment: datetime) -> int:
    """Unix nanoseconds of a time."""
    return (moment - _EPOCH) // timedelta(microseconds=1) * 1000


def from_ns(ns: int, zone: tzinfo = UTC) -> datetime:
    """The time of Unix nanoseconds, rounded down to microseconds as the database stores it."""
    moment = _EPOCH + timedelta(microseconds=ns // 1000)
    return moment if zone is UTC else moment.astimezone(zone)
