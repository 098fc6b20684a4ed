"""Processes: function specifications that were submitted, from waiting to their end."""

from __future__ import annotations

from datetime import datetime
from enum import IntEnum
from typing import Generic

from msgspec import field

from kolony.model.attributes import Attribute
from kolony.model.base import NO_TIME, Int64, Model, V
from kolony.model.functionspecs import FunctionSpec


class ProcessState(IntEnum):
    """Life of a process; the last three are final."""

    WAITING = 0
    RUNNING = 1
    SUCCESS = 2
    FAILED = 3
    CANCELLED = 4


PRIORITY_STEP_NS = 86_400 * 10**9
"""Head start of one priority step: a day, in nanoseconds."""

EXEC_TIMEOUT = "Maximum execution time limit exceeded"
WAIT_TIMEOUT = "Maximum waiting time limit exceeded"


class Process(Model, Generic[V]):
    """A submitted function specification and its life.

    ``prioritytime`` (nanoseconds) orders the queue, smallest first. ``attempt`` counts the assignments: a close
    that names an older attempt is refused. ``isassigned`` and ``assignedexecutorid`` stay after the end.
    """

    processid: str = ""
    initiatorid: str = ""
    initiatorname: str = ""
    assignedexecutorid: str = ""
    isassigned: bool = False
    state: Int64 = ProcessState.WAITING
    prioritytime: Int64 = 0
    submissiontime: datetime = NO_TIME
    starttime: datetime = NO_TIME
    endtime: datetime = NO_TIME
    waitdeadline: datetime = NO_TIME
    execdeadline: datetime = NO_TIME
    retries: Int64 = 0
    attributes: list[Attribute] = []
    spec: FunctionSpec[V] = FunctionSpec()
    waitforparents: bool = False
    parents: list[str] = []
    children: list[str] = []
    processgraphid: str = ""
    input: list[V] = field(default_factory=list, name="in")
    output: list[V] = field(default_factory=list, name="out")
    errors: list[str] = []
    attempt: Int64 = 0


def priority_time(submission_ns: int, priority: int) -> int:
    """Place in the queue: submission in Unix nanoseconds, moved a day earlier for each step of priority."""
    return submission_ns - priority * PRIORITY_STEP_NS
