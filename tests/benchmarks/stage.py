"""What a run of the benchmark plays on: sets of targets, each on databases of its own, and how long it plays."""

from __future__ import annotations

import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Collection, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from typing import TypeVar

from postgres import raw_target
from queues import Target
from report import FLOOR, PRODUCT, RAW
from servers import database, floor_server, product_server, settle, why_no_floor
from targets import FloorTarget, ProductTarget

from kolony.crypto import PrivateKey

K = TypeVar("K")
T = TypeVar("T")


@dataclass(frozen=True, kw_only=True)
class Sizes:
    """How much is measured."""

    rounds: int = 5
    """Samples of each figure; they alternate between the targets, so that noise hits all alike."""

    submits: int = 3_000
    cycles: int = 2_000
    handoffs: int = 400
    """Processes in one sample."""

    backlog: int = 1_000_000
    """Processes that wait in a deep queue."""

    classes: int = 100_000
    """Requirement classes that wait, a process in each."""

    warm_up: int = 10_000
    """Cycles in a deep queue before those that count."""

    parked: int = 2_000
    """Executors that hang in assign at once."""

    workflows: int = 500
    """Workflows of three nodes in one sample."""

    graph: int = 100_000
    """Nodes of a large workflow."""

    closes: int = 400
    """Nodes closed one after the other in one sample."""


QUICK = Sizes(
    rounds=3,
    submits=600,
    cycles=500,
    handoffs=40,
    backlog=20_000,
    classes=5_000,
    warm_up=500,
    parked=400,
    workflows=100,
    graph=2_000,
    closes=50,
)


@dataclass(frozen=True)
class Stage:
    """The targets, and the connection string of each one's database."""

    targets: Mapping[str, Target]
    databases: Mapping[str, str]

    async def settle(self) -> None:
        """Let the databases recover from a large load."""
        for dsn in self.databases.values():
            await settle(dsn)


@dataclass(frozen=True)
class Bench:
    """One run: where PostgreSQL is, how much to measure, and the targets whose queues are short."""

    dsn: str
    sizes: Sizes
    short: Stage

    async def interleaved(self, row: str, runs: Mapping[K, Callable[[], Awaitable[T]]]) -> dict[K, list[T]]:
        """Run each in each round, beginning with another one every time; the results in the order of the rounds."""
        results: dict[K, list[T]] = {key: [] for key in runs}
        keys = list(runs)
        for number in range(self.sizes.rounds):
            first = number % len(keys)
            progress(f"{row}: round {number + 1} of {self.sizes.rounds}")
            for key in keys[first:] + keys[:first]:
                results[key].append(await runs[key]())
        return results


@asynccontextmanager
async def open_stage(dsn: str, *, only: Collection[str] = (PRODUCT, FLOOR, RAW)) -> AsyncIterator[Stage]:
    """The product, the floor where it is there, and PostgreSQL alone, on new databases behind ``dsn``."""
    async with AsyncExitStack() as stack:
        names = [name for name in only if name != FLOOR or not why_no_floor()]
        databases = {name: await stack.enter_async_context(database(dsn)) for name in names}
        targets: dict[str, Target] = {}
        if PRODUCT in databases:
            targets[PRODUCT] = await stack.enter_async_context(product_target(databases[PRODUCT]))
        if FLOOR in databases:
            server = await stack.enter_async_context(floor_server(databases[FLOOR]))
            targets[FLOOR] = FloorTarget(server, databases[FLOOR])
        if RAW in databases:
            targets[RAW] = await stack.enter_async_context(raw_target(databases[RAW]))
        yield Stage(targets, databases)


@asynccontextmanager
async def product_target(dsn: str, count: int = 1, **settings: str) -> AsyncIterator[ProductTarget]:
    """The product: so many servers on one database."""
    owner = PrivateKey.generate()
    async with AsyncExitStack() as stack:
        servers = [
            await stack.enter_async_context(product_server(dsn, owner.identity, **settings)) for _ in range(count)
        ]
        yield ProductTarget(servers, owner)


def progress(text: str) -> None:
    """Say on stderr how far the run is."""
    print(text, file=sys.stderr, flush=True)
