"""Subscriptions to processes, and their delivery inside this server.

A subscription wants one state, of one process or of all processes of a colony for an executor type. Each gets every
event that fits, once, wherever it is heard from; a subscriber that falls behind by more than `BACKLOG` events loses the
oldest of them, as it must check the process after its timeout anyway.
"""

from __future__ import annotations

import asyncio
from collections import Counter, defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import NamedTuple, Protocol

from msgspec import Raw
from msgspec.structs import replace

from kolony.model.base import NO_TIME
from kolony.model.processes import Process, ProcessState

BACKLOG = 200
_REMEMBERED = 1_000
"""Events that a subscription remembers in order not to deliver them again."""
_ALWAYS = datetime.min.replace(tzinfo=UTC)


class Event(NamedTuple):
    """A process is in another state."""

    processid: str
    colonyname: str
    executortype: str
    state: int


class Topic(NamedTuple):
    """A state of one process of a colony, or of all its processes for an executor type; the other name is empty."""

    colonyname: str
    processid: str
    executortype: str
    state: int


Followed = tuple[str, int]
"""A colony and a state to which somebody subscribes."""


class Elsewhere(Protocol):
    """The subscriptions of other servers."""

    def followed(self, followed: Followed) -> None:
        """Let them know that somebody subscribes here."""

    def changed(self, event: Event) -> None:
        """Tell them of a change that is committed, if somebody wants to know."""


class Queue(asyncio.Queue[Process[Raw]]):
    """The events of one subscription, made at a time."""

    def __init__(self, made: datetime) -> None:
        super().__init__(BACKLOG)
        self.made = made
        self._known: dict[tuple[str, int, int, bool], None] = {}

    def deliver(self, process: Process[Raw]) -> None:
        """Add an event, unless it was delivered before."""
        # A process waits twice in one attempt: for its parents, and when they have ended.
        event = (process.processid, process.state, process.attempt, process.waitforparents)
        if event in self._known:
            return
        self._known[event] = None
        if len(self._known) > _REMEMBERED:
            del self._known[next(iter(self._known))]
        if self.full():
            self.get_nowait()
        self.put_nowait(process)


class Hub:
    """The subscriptions of this server."""

    def __init__(self) -> None:
        self.elsewhere: Elsewhere | None = None
        """The subscriptions of other servers, if there are any."""
        self.followed: Counter[Followed] = Counter()
        """How many subscriptions there are."""
        self._queues: defaultdict[Topic, set[Queue]] = defaultdict(set)

    @contextmanager
    def subscribe(self, topic: Topic, made: datetime = _ALWAYS) -> Iterator[Queue]:
        """Receive the events of a topic while the block runs."""
        queue = Queue(made)
        followed = (topic.colonyname, topic.state)
        self._queues[topic].add(queue)
        self.followed[followed] += 1
        if self.elsewhere is not None:
            self.elsewhere.followed(followed)
        try:
            yield queue
        finally:
            self._queues[topic].discard(queue)
            if not self._queues[topic]:
                del self._queues[topic]
            self.followed[followed] -= 1
            if not self.followed[followed]:
                del self.followed[followed]

    def topics(self) -> list[Topic]:
        """What somebody subscribes to."""
        return list(self._queues)

    def wanted(self, event: Event) -> bool:
        """Whether anybody here wants to know of this, so that nobody loads a process for nothing."""
        return bool(self._queues) and any(topic in self._queues for topic in _topics(event))

    def tell(self, event: Event) -> None:
        """Tell the subscribers of other servers."""
        if self.elsewhere is not None:
            self.elsewhere.changed(event)

    def publish(self, process: Process[Raw]) -> None:
        """Tell everybody who wants to know of the current state of a process."""
        self.tell(_event(process))
        self.deliver(process)

    def deliver(self, process: Process[Raw], *, since: datetime | None = None) -> None:
        """Deliver the current state of a process to those here who want it.

        With ``since``, the time of the event, those who follow all of a type hear only of what came after they asked.
        """
        if not self._queues:
            return
        for topic in _topics(_event(process)):
            for queue in self._queues.get(topic, ()):
                if since is None or topic.processid or queue.made <= since:
                    queue.deliver(process)


def process_topic(colonyname: str, processid: str, state: int) -> Topic:
    """The topic of one process."""
    return Topic(colonyname, processid, "", state)


def type_topic(colonyname: str, executortype: str, state: int) -> Topic:
    """The topic of all processes of a colony for an executor type."""
    return Topic(colonyname, "", executortype, state)


def _event(process: Process[Raw]) -> Event:
    conditions = process.spec.conditions
    return Event(process.processid, conditions.colonyname, conditions.executortype, process.state)


def _topics(event: Event) -> tuple[Topic, Topic]:
    processid, colonyname, executortype, state = event
    return process_topic(colonyname, processid, state), type_topic(colonyname, executortype, state)


def as_it_was(process: Process[Raw], state: int) -> Process[Raw]:
    """A process as it was in a state that it may have left since."""
    if process.state == state:
        return process
    if state == ProcessState.WAITING:
        before = process.attempt - process.isassigned
        return replace(
            process,
            state=state,
            attempt=before,
            isassigned=False,
            assignedexecutorid="",
            starttime=NO_TIME,
            endtime=NO_TIME,
            execdeadline=NO_TIME,
            output=[],
            errors=[],
        )
    return replace(process, state=state, endtime=NO_TIME, output=[], errors=[])


def came_into(process: Process[Raw], state: int) -> datetime | None:
    """When a process came into a state, as far as it tells; `None` when it has not, or left it behind for good."""
    if state == ProcessState.WAITING:
        return None if process.waitforparents else process.submissiontime
    if state == ProcessState.RUNNING:
        return process.starttime if process.isassigned else None
    return process.endtime if process.state == state else None
