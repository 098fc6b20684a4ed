"""The rows about several servers that are one: what each further one costs, and how long nobody leads."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from functools import partial

from connections import WrongReply
from load import Timing, open_connections
from queues import EXECUTORS
from report import PRODUCT, Figure, handoff_figures
from servers import database
from stage import Bench, product_target
from targets import ProductQueue, ProductTarget

COUNTS = (1, 2, 4)
CALLERS = 64
"""Connections that submit, and executors, where several servers share them: as many for each as one has elsewhere."""

OF_ONE_SERVER, EXCLUSIVE_OF_ONE_SERVER = 0.85, 0.7
"""Least share of one server's rate that several have together: where all assign, and where only the leader does."""

HANDOFF_ACROSS = 6
"""Most milliseconds from a submit on one server until an executor that hangs at another one holds the process."""

OUTAGES = {signal.SIGKILL: 3.0, signal.SIGTERM: 0.5}
"""Most seconds until somebody is assigned a process again, by what the leader is sent."""

_EXCLUSIVE = {"COLONIES_EXCLUSIVE_ASSIGN": "true"}
_WARM_UP = 200
"""Processes run before those that count: each sample has servers that were just started."""

_SURVIVORS = 2


async def servers(bench: Bench) -> list[Figure]:
    """64 connections spread over the servers submit, and 64 executors drain what they submitted."""

    async def sample(count: int) -> tuple[Timing, Timing]:
        async with database(bench.dsn) as dsn, product_target(dsn, count) as target:
            queue = await _warm_queue(target)
            return await queue.submit(bench.sizes.submits), await queue.cycle(bench.sizes.submits)

    timings = await bench.interleaved("servers", {count: partial(sample, count) for count in COUNTS})
    figures = []
    for number, name in enumerate(("submit", "drain")):
        rates = {count: [timing[number].rate for timing in rounds] for count, rounds in timings.items()}
        figures += _of_one_server("servers", name, rates, OF_ONE_SERVER)
    return figures


async def exclusive(bench: Bench) -> list[Figure]:
    """Only the leader assigns, and all executors ask the others; beside one server without that."""

    async def alone() -> float:
        async with database(bench.dsn) as dsn, product_target(dsn) as target:
            return await _drain(bench, target)

    async def through_followers(count: int) -> float:
        async with database(bench.dsn) as dsn, product_target(dsn, count, **_EXCLUSIVE) as target:
            leader = await target.leader()
            rate = await _drain(bench, target.without(leader))
            if await target.leader() != leader:
                raise WrongReply("another server leads than at the start")
            return rate

    runs: dict[int, Callable[[], Awaitable[float]]] = {
        count: partial(through_followers, count) if count > 1 else alone for count in COUNTS
    }
    rates = await bench.interleaved("exclusive", runs)
    return _of_one_server("exclusive", "drain", rates, EXCLUSIVE_OF_ONE_SERVER)


async def handoff_across(bench: Bench) -> list[Figure]:
    """A process is submitted to one server while 16 executors hang in assign at another one."""

    async def sample() -> list[float]:
        async with database(bench.dsn) as dsn, product_target(dsn, 2) as target:
            return await (await _warm_queue(target, EXECUTORS)).handoffs(bench.sizes.handoffs)

    seconds = await bench.interleaved("handoff-across", {PRODUCT: sample})
    return handoff_figures("handoff-across", seconds, p50=HANDOFF_ACROSS)


async def failover(bench: Bench) -> list[Figure]:
    """The leader is killed or told to stop while an executor at another server asks for one process after the other."""

    async def sample(sent: signal.Signals) -> float:
        async with database(bench.dsn) as dsn, product_target(dsn, 1 + _SURVIVORS, **_EXCLUSIVE) as target:
            leader = await target.leader()
            survivors = target.without(leader)
            queue = await _warm_queue(survivors)
            await queue.fill(bench.sizes.cycles)
            async with open_connections([survivors.servers[0].endpoint], 1) as [connection]:
                os.kill(leader.pid, sent)
                start = time.perf_counter()
                # A leader that is told to stop may still hand out a little. What counts is assigned by another one.
                while not await survivors.leads(connection):
                    await queue.assign(connection)
                await queue.assign(connection)
                return time.perf_counter() - start

    seconds = await bench.interleaved("failover", {sent: partial(sample, sent) for sent in OUTAGES})
    return [
        Figure(
            row="failover",
            name=f"{sent.name}, {name}",
            unit=" s",
            samples={PRODUCT: samples},
            more_is_better=False,
            bound=OUTAGES[sent],
            note=f"{len(seconds[sent])} samples",
        )
        for sent in OUTAGES
        for name, samples in {"median": seconds[sent], "longest": [max(seconds[sent])]}.items()
    ]


async def _drain(bench: Bench, target: ProductTarget) -> float:
    queue = await _warm_queue(target)
    await queue.fill(bench.sizes.cycles)
    return (await queue.cycle(bench.sizes.cycles)).rate


async def _warm_queue(target: ProductTarget, callers: int = CALLERS) -> ProductQueue:
    """An empty queue of so many executors and submitting connections, on servers that have done everything before."""
    queue = await target.queue(callers, callers=callers)
    await queue.submit(_WARM_UP)
    await queue.cycle(_WARM_UP)
    return queue


def _of_one_server(row: str, name: str, rates: Mapping[int, Sequence[float]], bound: float) -> list[Figure]:
    """The rates, and their share of one server's rate in the same round."""
    figures = []
    for count, samples in rates.items():
        note = f"{count} server{'s' * (count > 1)}"
        figures.append(Figure(row=row, name=name, unit="/s", samples={PRODUCT: samples}, note=note))
        if count > 1:
            shares = [rate / one for rate, one in zip(samples, rates[1], strict=True)]
            figures.append(
                Figure(
                    row=row,
                    name=f"{name}, of one server's",
                    unit="",
                    samples={PRODUCT: shares},
                    bound=bound,
                    comparable=False,
                    note=note,
                )
            )
    return figures
