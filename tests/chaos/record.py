"""What the clients know: what was acknowledged to them, what they were refused, and what they were told wrongly."""

from __future__ import annotations

import asyncio
import time
from bisect import bisect_left
from collections import Counter, defaultdict
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum


class Invariant(StrEnum):
    """What always has to hold."""

    LOST = "I1 acknowledged and lost, or in no legal state"
    DOUBLED = "I1 submitted once and stored twice"
    STUCK = "I2 not final in time"
    TWO_HOLDERS = "I3 two executors hold one process"
    STALE_CLOSE = "I4 close of an old attempt accepted"
    ORDER = "I5 child before its parents, or failure not passed on"
    SLOTS = "I6 cron slots doubled or skipped"
    PACKS = "I7 packed arguments lost or doubled"
    OLD_TERM = "I9 written by a server that does not lead"
    INTRUSION = "I10 replayed, expired, unsigned or unauthorised call accepted"
    RETRIES = "I11 retried too often, or reopened"
    CRASH = "server ended by itself"


class Step(StrEnum):
    """Where an executor is killed."""

    BEFORE_ANSWER = "executor killed before its claim is answered"
    AFTER_CLAIM = "executor killed after its claim"
    MID_RUN = "executor killed in the middle of a run"
    CLOSING = "executor killed before its close is answered"


@dataclass(frozen=True)
class Given:
    """An assignment that an executor was told of."""

    executor: str
    told: float
    start: datetime
    deadline: datetime


@dataclass
class Fault:
    """A fault, and when it happened by the clock of the machine."""

    name: str
    at: float
    lasting: bool = False
    """Whether it happened to the cluster, and not to a client or a single connection."""


@dataclass
class Record:
    """What all clients together have seen."""

    acknowledged: Counter[str] = field(default_factory=Counter)
    """Calls that were answered with success, by what they asked for."""
    refused: Counter[str] = field(default_factory=Counter)
    """Calls that had to be refused and were, by why."""
    failed: list[str] = field(default_factory=list)
    """Calls that failed though they were repeated for as long as a client has patience."""
    unknown: int = 0
    """Calls that must not be done twice and got no answer."""
    broken: dict[Invariant, list[str]] = field(default_factory=lambda: defaultdict(list))
    faults: list[Fault] = field(default_factory=list)

    submitted: dict[str, str] = field(default_factory=dict)
    """The process of each token that was submitted, or none while that is not known."""
    workflows: dict[str, list[str]] = field(default_factory=dict)
    """The tokens of each workflow that was submitted."""
    grown: set[str] = field(default_factory=set)
    """Tokens of processes that were added to workflows."""
    swept: set[str] = field(default_factory=set)
    """Processes that executors held and lost, as only the failure of their workflow explains."""
    forbidden: set[str] = field(default_factory=set)
    """Tokens of submits that had to be refused."""
    given: dict[str, dict[int, Given]] = field(default_factory=lambda: defaultdict(dict))
    """Assignments by process and attempt."""
    closed: dict[str, tuple[int, bool]] = field(default_factory=dict)
    """Closes that were acknowledged: the attempt, and whether it was a success."""
    packed: dict[str, bool] = field(default_factory=dict)
    """Packed arguments, and whether that was acknowledged."""
    starts: list[float] = field(default_factory=list)
    """When the assignments began that executors were told of, by the clock of the machine."""

    def __post_init__(self) -> None:
        self._waiting: dict[str, asyncio.Event] = {}

    def fail(self, what: str, error: Exception) -> None:
        """Note a call that failed, and the last fault before."""
        fault = next((fault for fault in reversed(self.faults) if fault.lasting), None)
        since = f", {time.time() - fault.at:.1f} s after {fault.name}" if fault else ""
        self.failed.append(f"{what}: {error!r}{since}")

    def breach(self, invariant: Invariant, text: str) -> None:
        """Note that something did not hold."""
        self.broken[invariant].append(text)

    def strike(self, name: str, *, lasting: bool = False) -> Fault:
        """Note that a fault happens now."""
        self.faults.append(Fault(name, time.time(), lasting))
        return self.faults[-1]

    def assign(self, processid: str, attempt: int, given: Given) -> None:
        """Note an assignment that an executor was told of."""
        attempts = self.given[processid]
        if attempt in attempts:
            self.breach(Invariant.TWO_HOLDERS, f"{processid} was given out twice in attempt {attempt}")
        if self.closed.get(processid, (attempt,))[0] < attempt:
            self.breach(Invariant.RETRIES, f"{processid} was closed and then given out in attempt {attempt}")
        attempts[attempt] = given
        self.acknowledged["assign"] += 1
        self.starts.append(given.start.timestamp())
        if event := self._waiting.pop(processid, None):
            event.set()

    def closes(self, processid: str, attempt: int, *, sent: float, success: bool) -> None:
        """Note a close that was acknowledged, and when it was sent."""
        self.acknowledged["close"] += 1
        later = [other for other, given in self.given[processid].items() if other > attempt and given.told < sent]
        if later:
            self.breach(Invariant.STALE_CLOSE, f"{processid}: attempt {attempt} closed after attempt {later} began")
        before = self.closed.setdefault(processid, (attempt, success))
        if before != (attempt, success):
            self.breach(Invariant.TWO_HOLDERS, f"{processid}: closed as {before} and as {(attempt, success)}")

    async def given_again(self, processid: str, attempt: int, patience: float) -> bool:
        """Wait until a later attempt of a process has begun; whether it has."""
        try:
            async with asyncio.timeout(patience):
                while max(self.given[processid], default=0) <= attempt:
                    await self._waiting.setdefault(processid, asyncio.Event()).wait()
        except TimeoutError:
            return False
        return True

    def recovery(self, fault: Fault) -> float | None:
        """Seconds from a fault to the first assignment that began after it and was told to an executor."""
        self.starts.sort()
        place = bisect_left(self.starts, fault.at)
        return self.starts[place] - fault.at if place < len(self.starts) else None
