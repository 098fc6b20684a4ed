"""What all targets of the benchmark have in common: queues that can be filled, loaded and counted."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Awaitable, Callable
from enum import Enum
from typing import Any, NamedTuple, Protocol

from connections import WrongReply
from load import Timing

EXECUTORS = 16


class Demand(Enum):
    """What the processes ask for that a queue is filled with."""

    MATCHING = "the executors' type"
    OTHER_TYPE = "a type that no executor has"
    CPU = "the executors' type, and each another amount of CPU, which all executors have"
    NAMES = "the executors' type, and each another executor, none of which exists"

    def conditions(self, number: int) -> dict[str, Any]:
        """Conditions of the ``number``-th process, as far as they differ from those the executors match."""
        match self:
            case Demand.MATCHING:
                return {}
            case Demand.OTHER_TYPE:
                return {"executortype": "other"}
            case Demand.CPU:
                return {"cpu": f"{number + 1}m"}
            case Demand.NAMES:
                return {"executornames": [f"absent-{number}"]}

    @property
    def matches(self) -> bool:
        """Whether the executors can run it."""
        return self in (Demand.MATCHING, Demand.CPU)

    @property
    def distinct(self) -> bool:
        """Whether each process is a requirement class of its own."""
        return self in (Demand.CPU, Demand.NAMES)


class Census(NamedTuple):
    """How many processes of a colony are in each state."""

    waiting: int = 0
    running: int = 0
    successful: int = 0


class Queue(ABC):
    """The queue of one colony with idle executors.

    After each load the target's own count of the processes is compared with what the load did.
    """

    def __init__(self) -> None:
        self._expected = Census()

    async def fill(self, count: int, demand: Demand = Demand.MATCHING) -> None:
        """Add waiting processes the fastest way there is."""
        await self._fill(count, demand)
        await self._audit(submitted=count)

    async def submit(self, count: int, *, fresh: bool = False) -> Timing:
        """Submit processes one by one from 16 concurrent callers."""
        timing = await self._submit(count, fresh=fresh)
        await self._audit(submitted=count)
        return timing

    async def cycle(self, count: int, *, fresh: bool = False) -> Timing:
        """Assign and close processes with all executors; as many must be waiting."""
        timing = await self._cycle(count, fresh=fresh)
        await self._audit(closed=count)
        return timing

    async def handoffs(self, count: int, *, parked: Callable[[], Awaitable[None]] | None = None) -> list[float]:
        """Seconds from the submit of a process until an idle executor holds it, for one process at a time.

        ``parked`` is called when all executors hang in assign, and they do until it returns.
        """
        seconds, served = await self._handoffs(count, parked or _nothing)
        await self._audit(submitted=served, closed=served)
        return seconds

    async def _audit(self, *, submitted: int = 0, closed: int = 0) -> None:
        self._expected = Census(
            waiting=self._expected.waiting + submitted - closed, successful=self._expected.successful + closed
        )
        census = await self._census()
        if census != self._expected:
            raise WrongReply(f"there should be {self._expected}, and there is {census}")

    @abstractmethod
    async def _fill(self, count: int, demand: Demand) -> None: ...

    @abstractmethod
    async def _submit(self, count: int, *, fresh: bool) -> Timing: ...

    @abstractmethod
    async def _cycle(self, count: int, *, fresh: bool) -> Timing: ...

    @abstractmethod
    async def _handoffs(self, count: int, parked: Callable[[], Awaitable[None]]) -> tuple[list[float], int]:
        """The seconds of each hand-off, and how many processes were run in all."""

    @abstractmethod
    async def _census(self) -> Census: ...


async def _nothing() -> None:
    pass


class Target(Protocol):
    """Something that keeps queues: the product, the floor, or PostgreSQL alone."""

    async def queue(self, executors: int = EXECUTORS) -> Queue:
        """An empty queue of a new colony."""
