"""Crons: workflows that start by time."""

from __future__ import annotations

from datetime import datetime, timedelta, tzinfo
from enum import StrEnum
from typing import NamedTuple

from msgspec import UNSET

from kolony.errors import BadRequest
from kolony.model.base import NO_TIME, Int64, Model, Sparse
from kolony.model.timetables import MAX_INTERVAL, Interval, Randomly, Timetable, read_expression, read_zone

BY_EXPRESSION = -1
"""The interval of a cron that goes by its expression."""

ON_TIME = timedelta(minutes=1)
"""How late a slot may be found without being missed."""

MAX_MISSED, USUAL_MISSED = 1_000, 100
"""Most slots that are made up for, and how many where the cron does not say."""


class MissedPolicy(StrEnum):
    """What becomes of slots that passed while nobody looked, or while the previous workflow still ran.

    ``ONCE``: one run for all of them. ``SKIP``: none, but for the newest one when it is less than a minute old.
    ``ALL``: a run for each of the newest ones, oldest first, up to a bound.
    """

    ONCE = "once"
    SKIP = "skip"
    ALL = "all"


class Cron(Model):
    """A workflow specification and when it is run.

    A positive ``interval`` (seconds) counts; with -1 ``cronexpression`` does, six fields beginning with the second.
    With ``random`` a run comes at a random time within the interval. ``workflowspec`` is JSON text.
    ``prevprocessgraphid`` is the workflow that was started last; with ``waitforprevprocessgraph`` the next one waits
    for its end. ``checkerperiod`` (milliseconds) is told by `get` only.

    Additions: ``timezone`` (IANA name) of the expression, ``paused``, and what becomes of slots that were ``missed``
    (a `MissedPolicy`, ``once`` when it is empty); ``missedlimit`` bounds the runs that make up for them.
    """

    cronid: str = ""
    initiatorid: str = ""
    initiatorname: str = ""
    colonyname: str = ""
    name: str = ""
    cronexpression: str = ""
    interval: Int64 = 0
    random: bool = False
    nextrun: datetime = NO_TIME
    lastrun: datetime = NO_TIME
    workflowspec: str = ""
    prevprocessgraphid: str = ""
    waitforprevprocessgraph: bool = False
    checkerperiod: Int64 = 0
    timezone: Sparse[str] = UNSET
    paused: Sparse[bool] = UNSET
    missed: Sparse[str] = UNSET
    missedlimit: Sparse[Int64] = UNSET


class Turn(NamedTuple):
    """What a cron that is due does: run or not, and which slot comes next, if one does."""

    runs: bool
    nextrun: datetime | None


def timetable_of(cron: Cron, zone: tzinfo) -> Timetable:
    """When a cron is due; an expression that names no zone means the cron's, or else this one.

    Raises:
        BadRequest: its interval, expression or zone cannot be used; the text says why.
    """
    if cron.timezone:
        zone = read_zone(cron.timezone)
    if cron.interval == BY_EXPRESSION:
        timetable = read_expression(cron.cronexpression, zone)
        if cron.random:
            raise BadRequest("Random cron is only supported when specifying intervals")
        return timetable
    if cron.interval < 1:
        raise BadRequest("Cron interval must be -1 (disabled) or larger than 0")
    if cron.interval > MAX_INTERVAL:
        raise BadRequest(f"Cron interval must be at most {MAX_INTERVAL} seconds")
    period = timedelta(seconds=cron.interval)
    return Randomly(period) if cron.random else Interval(period)


def policy_of(cron: Cron) -> MissedPolicy:
    """What becomes of missed slots; raise `BadRequest` when it, or its bound, is none that there is."""
    if not 0 <= (cron.missedlimit or 0) <= MAX_MISSED:
        raise BadRequest(f"missedlimit must be between 1 and {MAX_MISSED}, or 0 for {USUAL_MISSED}")
    try:
        return MissedPolicy(cron.missed or MissedPolicy.ONCE)
    except ValueError:
        raise BadRequest(f"missed must be one of {', '.join(MissedPolicy)}") from None


def turn(cron: Cron, timetable: Timetable, now: datetime) -> Turn:
    """What a cron does whose next run has come."""
    upcoming = timetable.next(cron.nextrun, now)
    match policy_of(cron):
        case MissedPolicy.ALL:
            passed = timetable.passed(cron.nextrun, now, cron.missedlimit or USUAL_MISSED)
            return Turn(bool(passed), passed[1] if len(passed) > 1 else upcoming)
        case MissedPolicy.SKIP:
            newest = timetable.passed(cron.nextrun, now, 1)
            return Turn(bool(newest) and now - newest[0] <= ON_TIME, upcoming)
        case MissedPolicy.ONCE:
            return Turn(True, upcoming)
