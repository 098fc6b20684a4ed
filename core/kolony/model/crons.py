"""Crons: workflows that start by time."""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum

from msgspec import UNSET

from kolony.model.base import NO_TIME, Int64, Model, Sparse


class MissedPolicy(StrEnum):
    """What becomes of slots that passed while nobody looked: none is run, one is, or all up to a bound."""

    SKIP = "skip"
    ONCE = "once"
    ALL = "all"


class Cron(Model):
    """A workflow specification and when it is run.

    A positive ``interval`` (seconds) counts; with -1 ``cronexpression`` does, six fields beginning with the second.
    ``workflowspec`` is JSON text. ``prevprocessgraphid`` is the workflow that was started last; with
    ``waitforprevprocessgraph`` the next one waits for its end. ``checkerperiod`` (milliseconds) is told by `get` only.

    Additions: ``timezone`` (IANA name) of the expression, ``paused``, and what becomes of slots that were missed;
    ``missedlimit`` bounds the runs that make up for them.
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
    missed: Sparse[MissedPolicy] = UNSET
    missedlimit: Sparse[Int64] = UNSET
