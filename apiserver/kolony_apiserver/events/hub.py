"""Subscriptions to processes, and their delivery inside this server.

A subscription wants one state, of one process or of all processes of a colony for an executor type. Each gets every
event that fits; a subscriber that falls behind by more than `BACKLOG` events loses the oldest of them, as it must
check the process after its timeout anyway.
"""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager

from msgspec import Raw

from kolony.model.processes import Process

BACKLOG = 200

Topic = tuple[str, str, int]
"""A process id and the empty text, or a colony and an executor type; and the state."""

Queue = asyncio.Queue[Process[Raw]]


class Hub:
    """The subscriptions of this server."""

    def __init__(self) -> None:
        self._queues: defaultdict[Topic, set[Queue]] = defaultdict(set)

    @contextmanager
    def subscribe(self, topic: Topic) -> Iterator[Queue]:
        """Receive the events of a topic while the block runs."""
        queue: Queue = asyncio.Queue(BACKLOG)
        self._queues[topic].add(queue)
        try:
            yield queue
        finally:
            self._queues[topic].discard(queue)
            if not self._queues[topic]:
                del self._queues[topic]

    def wanted(self, *, processid: str, colonyname: str, executortype: str, state: int) -> bool:
        """Whether anybody wants to know of this, so that nobody loads a process for nothing."""
        return bool(self._queues) and (
            (processid, "", state) in self._queues or (colonyname, executortype, state) in self._queues
        )

    def publish(self, process: Process[Raw]) -> None:
        """Deliver the current state of a process to those who want it."""
        if not self._queues:
            return
        conditions = process.spec.conditions
        for topic in (
            (process.processid, "", process.state),
            (conditions.colonyname, conditions.executortype, process.state),
        ):
            for queue in self._queues.get(topic, ()):
                if queue.full():
                    queue.get_nowait()
                queue.put_nowait(process)


def process_topic(processid: str, state: int) -> Topic:
    """The topic of one process."""
    return (processid, "", state)


def type_topic(colonyname: str, executortype: str, state: int) -> Topic:
    """The topic of all processes of a colony for an executor type."""
    return (colonyname, executortype, state)
