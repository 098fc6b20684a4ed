"""When a cron is due: cron expressions, fixed intervals, and random times.

All times are instants in UTC; a zone only tells what an expression means. A timetable knows no clock: whoever asks
says what time it is.
"""

from __future__ import annotations

import random
import re
from collections.abc import Iterator, Mapping
from datetime import UTC, date, datetime, time, timedelta, tzinfo
from typing import NamedTuple, Protocol
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from kolony.errors import BadRequest

MAX_INTERVAL = 100 * 365 * 86_400
"""Most seconds from one run to the next: a century, which every database can add to a time."""

_SECOND, _DAY = timedelta(seconds=1), timedelta(days=1)
_YEARS = 5
"""How many years ahead an expression is searched for its next time."""


class Timetable(Protocol):
    """When a cron is due. A slot is a time at which it was or will be."""

    def first(self, now: datetime) -> datetime | None:
        """The first slot of a cron that begins now, or `None` when there is none."""

    def next(self, slot: datetime, now: datetime) -> datetime | None:
        """The first slot after now, given an earlier one, or `None` when there is none."""

    def passed(self, slot: datetime, now: datetime, most: int) -> list[datetime]:
        """The slots from an earlier one until now, in order: the newest ones, if there are more than ``most``."""


class Interval(NamedTuple):
    """Due again and again after a fixed time; however late a run is, the next ones are not."""

    period: timedelta
    whole: bool = False
    """Begin on a whole second."""

    def first(self, now: datetime) -> datetime:
        """One period from now."""
        return (now.replace(microsecond=0) if self.whole else now) + self.period

    def next(self, slot: datetime, now: datetime) -> datetime:
        """A whole number of periods after the slot."""
        return slot + ((now - slot) // self.period + 1) * self.period

    def passed(self, slot: datetime, now: datetime, most: int) -> list[datetime]:
        """A whole number of periods after the slot each."""
        last = (now - slot) // self.period
        return [slot + number * self.period for number in range(max(0, last - most + 1), last + 1)]


class Randomly(NamedTuple):
    """Due once within a period from now, at a random time; every call gives another one."""

    period: timedelta

    def first(self, now: datetime) -> datetime:
        """A time within the period."""
        return now + self.period * random.random()

    def next(self, slot: datetime, now: datetime) -> datetime:
        """A time within the period."""
        return self.first(now)

    def passed(self, slot: datetime, now: datetime, most: int) -> list[datetime]:
        """The one slot that was drawn."""
        return [slot]


class Expression(NamedTuple):
    """Due whenever the clock on the wall of a zone matches: the values of each field, in order.

    ``either``: a day matches by its number or by its weekday; otherwise it has to by both.
    """

    seconds: tuple[int, ...]
    minutes: tuple[int, ...]
    hours: tuple[int, ...]
    days: frozenset[int]
    months: frozenset[int]
    weekdays: frozenset[int]
    either: bool
    zone: tzinfo

    def first(self, now: datetime) -> datetime | None:
        """The first match after now."""
        begin = now.astimezone(UTC).replace(microsecond=0) + _SECOND
        return next(self._matches(begin, begin + _YEARS * 366 * _DAY), None)

    def next(self, slot: datetime, now: datetime) -> datetime | None:
        """The first match after now, whatever was before."""
        return self.first(now)

    def passed(self, slot: datetime, now: datetime, most: int) -> list[datetime]:
        """The slots from an earlier one until now, found from the end: what passed may be a week of seconds."""
        window = most * _SECOND
        while True:
            begin = max(slot, now - window)
            found = list(self._matches(_whole(begin), now + timedelta.resolution))
            if len(found) >= most or begin == slot:
                return found[-most:]
            window *= 2

    def _matches(self, begin: datetime, end: datetime) -> Iterator[datetime]:
        """The matches from a whole second in UTC until before another time, in order.

        Searched in stretches in which the zone keeps its distance to UTC: there the wall shows each time once. So a
        time that the wall skips never comes, and one that it shows twice comes twice.
        """
        while begin < end:
            # Whatever the zone, the dates on its wall in the day to come are among these.
            if not any(self._has_day(begin.date() + near * _DAY) for near in (-1, 0, 1, 2)):
                begin += _DAY
                continue
            offset = begin.astimezone(self.zone).utcoffset() or timedelta()
            until = min(_change(self.zone, begin, offset) or begin + _DAY, end)
            wall, last = (begin + offset).replace(tzinfo=None), (until + offset).replace(tzinfo=None)
            while (match := self._on_wall(wall, last)) is not None:
                yield match.replace(tzinfo=UTC) - offset
                wall = match + _SECOND
            begin = until

    def _on_wall(self, begin: datetime, end: datetime) -> datetime | None:
        """The first match on a wall that shows every time once."""
        while begin < end:
            if self._has_day(begin.date()) and (found := self._time_from(begin.time())) is not None:
                match = datetime.combine(begin.date(), found)
                return match if match < end else None
            begin = datetime.combine(begin.date() + _DAY, time())
        return None

    def _has_day(self, day: date) -> bool:
        if day.month not in self.months:
            return False
        number, weekday = day.day in self.days, day.isoweekday() % 7 in self.weekdays
        return number or weekday if self.either else number and weekday

    def _time_from(self, begin: time) -> time | None:
        """The first time of a day, not before another."""
        for hour in self.hours:
            if hour > begin.hour:
                return time(hour, self.minutes[0], self.seconds[0])
            if hour == begin.hour:
                for minute in self.minutes:
                    if minute > begin.minute:
                        return time(hour, minute, self.seconds[0])
                    if minute == begin.minute:
                        for second in self.seconds:
                            if second >= begin.second:
                                return time(hour, minute, second)
        return None


def _whole(moment: datetime) -> datetime:
    """The first whole second that is not before a time, in UTC."""
    moment = moment.astimezone(UTC)
    return moment.replace(microsecond=0) + _SECOND if moment.microsecond else moment


def _change(zone: tzinfo, begin: datetime, offset: timedelta) -> datetime | None:
    """When within the day after a time the zone's distance to UTC changes, if it does."""

    def changed(seconds: int) -> bool:
        return (begin + timedelta(seconds=seconds)).astimezone(zone).utcoffset() != offset

    same, other = 0, 86_400
    if not changed(other):
        return None
    while other - same > 1:
        middle = (same + other) // 2
        same, other = (same, middle) if changed(middle) else (middle, other)
    return begin + timedelta(seconds=other)


# Reading expressions

_FIELDS = 6
_DESCRIPTORS = {
    "@yearly": "0 0 0 1 1 *",
    "@annually": "0 0 0 1 1 *",
    "@monthly": "0 0 0 1 * *",
    "@weekly": "0 0 0 * * 0",
    "@daily": "0 0 0 * * *",
    "@midnight": "0 0 0 * * *",
    "@hourly": "0 0 * * * *",
}
_EVERY = "@every "
_DURATION = re.compile(r"(?:\d+(?:\.\d*)?|\.\d+)(?:ns|us|µs|μs|ms|s|m|h)", re.ASCII)
_UNITS = {"ns": 1e-9, "us": 1e-6, "µs": 1e-6, "μs": 1e-6, "ms": 1e-3, "s": 1, "m": 60, "h": 3600}
_MONTHS = {
    "jan": 1, "feb": 2, "mar": 3, "apr": 4, "may": 5, "jun": 6,
    "jul": 7, "aug": 8, "sep": 9, "oct": 10, "nov": 11, "dec": 12,
}  # fmt: skip
_WEEKDAYS = {"sun": 0, "mon": 1, "tue": 2, "wed": 3, "thu": 4, "fri": 5, "sat": 6}
_MOST_DIGITS = 9


class _Values(NamedTuple):
    numbers: tuple[int, ...]
    starred: bool


def read_expression(text: str, zone: tzinfo) -> Timetable:
    """The timetable of a cron expression: six fields or a descriptor, in a zone unless it names one itself.

    Raises:
        BadRequest: it cannot be read; the text says why.
    """
    if text.startswith(("TZ=", "CRON_TZ=")):
        name, blank, text = text.partition("=")[2].partition(" ")
        if not blank:
            raise BadRequest(f"nothing follows the time zone {name}")
        try:
            zone = read_zone(name)
        except BadRequest as error:
            raise BadRequest(f"provided bad location {name}: {error.message}") from error
    text = text.strip()
    if not text:
        raise BadRequest("empty cron expression string")
    if text.startswith(_EVERY):
        return Interval(_duration(text), whole=True)
    if text.startswith("@"):
        if text not in _DESCRIPTORS:
            raise BadRequest(f"unrecognized descriptor: {text}")
        text = _DESCRIPTORS[text]
    fields = text.split()
    if len(fields) != _FIELDS:
        raise BadRequest(f"expected exactly {_FIELDS} fields, found {len(fields)}: [{' '.join(fields)}]")
    seconds, minutes = _values(fields[0], 0, 59), _values(fields[1], 0, 59)
    hours, days = _values(fields[2], 0, 23), _values(fields[3], 1, 31)
    months, weekdays = _values(fields[4], 1, 12, _MONTHS), _values(fields[5], 0, 6, _WEEKDAYS)
    return Expression(
        seconds=seconds.numbers,
        minutes=minutes.numbers,
        hours=hours.numbers,
        days=frozenset(days.numbers),
        months=frozenset(months.numbers),
        weekdays=frozenset(weekdays.numbers),
        either=not (days.starred or weekdays.starred),
        zone=zone,
    )


def read_zone(name: str) -> tzinfo:
    """The time zone of a name of the IANA; raise `BadRequest` when there is none."""
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError) as error:
        raise BadRequest(f"unknown time zone {name}") from error


def _values(field: str, low: int, high: int, names: Mapping[str, int] | None = None) -> _Values:
    """The numbers that a field matches, and whether it leaves them open."""
    numbers: set[int] = set()
    starred = False
    for item in field.split(","):
        span, slash, step_text = item.partition("/")
        if "/" in step_text:
            raise BadRequest(f"too many slashes: {item}")
        step = _number(step_text) if slash else 1
        if step < 1:
            raise BadRequest(f"step of range should be a positive number: {item}")
        if span in ("*", "?"):
            begin, end = low, high
            starred |= step == 1
        else:
            first, hyphen, last = span.partition("-")
            if "-" in last:
                raise BadRequest(f"too many hyphens: {item}")
            begin = _number(first, names)
            end = _number(last, names) if hyphen else high if slash else begin
        if begin < low:
            raise BadRequest(f"beginning of range ({begin}) below minimum ({low}): {item}")
        if end > high:
            raise BadRequest(f"end of range ({end}) above maximum ({high}): {item}")
        if begin > end:
            raise BadRequest(f"beginning of range ({begin}) beyond end of range ({end}): {item}")
        numbers.update(range(begin, end + 1, step))
    return _Values(tuple(sorted(numbers)), starred)


def _number(text: str, names: Mapping[str, int] | None = None) -> int:
    if names and text.lower() in names:
        return names[text.lower()]
    digits = text.removeprefix("-")
    if not (digits.isascii() and digits.isdigit() and len(digits) <= _MOST_DIGITS):
        raise BadRequest(f"failed to parse int from {text}: invalid syntax")
    if text != digits:
        raise BadRequest(f"negative number ({text}) not allowed: {text}")
    return int(digits)


def _duration(text: str) -> timedelta:
    """The period of ``@every``, in whole seconds and at least one."""
    amount = text.removeprefix(_EVERY).strip()
    parts = _DURATION.findall(amount)
    if not parts or "".join(parts) != amount:
        raise BadRequest(f'failed to parse duration {text}: invalid duration "{amount}"')
    seconds = sum(float(part.rstrip("nsuµμmh")) * _UNITS[part.lstrip("0123456789.")] for part in parts)
    if seconds > MAX_INTERVAL:
        raise BadRequest(f"failed to parse duration {text}: more than {MAX_INTERVAL} seconds")
    # What is a whole number of seconds in writing may be a little less in binary.
    return timedelta(seconds=max(1, int(seconds + 1e-9)))
