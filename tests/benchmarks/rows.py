"""The rows of the benchmark, each a function that measures and returns figures."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable, Sequence
from functools import partial

import clusters
from graphs import SHAPES
from load import Timing
from queues import Demand, Queue, Target
from report import FLOOR, PRODUCT, Figure, handoff_figures, percentile
from stage import Bench, open_stage, progress
from targets import FloorTarget, ProductTarget

from kolony.crypto import PrivateKey, recover

OF_FLOOR = 0.85
"""Least share of the floor's speed that the product has with every feature on."""

OF_SHORT_QUEUE = 0.8
"""Least share of the short queue's rate that a deep queue is drained at."""

PROBES = 50
"""Hand-offs while many executors are parked."""

RECOVERIES = 2_000

WORKFLOW, SMALL_GRAPH = 3, 10
"""Nodes of the workflows that are run by the hundreds, and of those that large ones are compared with."""

OF_SMALL_GRAPH = 1.25
"""Most time that closing a node of a large workflow takes, as a multiple of the time in a small one."""

Row = Callable[[Bench], Awaitable[list[Figure]]]


async def submit(bench: Bench) -> list[Figure]:
    """16 connections submit processes as fast as they can."""

    async def sample(target: Target) -> Timing:
        return await (await target.queue()).submit(bench.sizes.submits)

    timings = await bench.interleaved("submit", {n: partial(sample, t) for n, t in bench.short.targets.items()})
    return [
        Figure(row="submit", name="rate", unit="/s", samples=_rates(timings), bound=2_500, of_floor=OF_FLOOR),
        _latency("submit", "p50", timings, 0.5),
        _latency("submit", "p99", timings, 0.99),
    ]


async def cycle(bench: Bench) -> list[Figure]:
    """16 executors assign and close what waits in a short queue."""
    runs = {n: partial(_short_cycle, bench, t) for n, t in bench.short.targets.items()}
    timings = await bench.interleaved("cycle", runs)
    return [
        Figure(row="cycle", name="rate", unit="/s", samples=_rates(timings), bound=1_200, of_floor=OF_FLOOR),
        _latency("cycle", "assign p50", timings, 0.5),
        _latency("cycle", "assign p99", timings, 0.99),
    ]


async def handoff(bench: Bench) -> list[Figure]:
    """A process is submitted while 16 executors hang in assign; until one of them holds it."""

    async def sample(target: Target) -> list[float]:
        return await (await target.queue()).handoffs(bench.sizes.handoffs)

    seconds = await bench.interleaved("handoff", {n: partial(sample, t) for n, t in bench.short.targets.items()})
    return handoff_figures("handoff", seconds, p50=3.5, p99=8, of_floor=OF_FLOOR)


async def freshness(bench: Bench) -> list[Figure]:
    """Each message carries a time and a nonce, compared with messages that are signed one by one just as well."""
    targets = {name: target for name, target in bench.short.targets.items() if name in (PRODUCT, FLOOR)}

    async def submits(target: Target, fresh: bool) -> Timing:
        return await (await target.queue()).submit(bench.sizes.submits, fresh=fresh)

    async def cycles(target: Target, fresh: bool) -> Timing:
        return await _short_cycle(bench, target, fresh=fresh)

    figures = []
    for kind, sample in {"submit": submits, "cycle": cycles}.items():
        row = f"{kind}-fresh"
        runs = {(n, fresh): partial(sample, t, fresh) for n, t in targets.items() for fresh in (False, True)}
        timings = await bench.interleaved(row, runs)
        plain = {name: timings[name, False] for name in targets}
        figures += _compared(row, "of the rate without", {name: timings[name, True] for name in targets}, plain)
    return figures


async def signatures(bench: Bench) -> list[Figure]:
    """What recovering the caller from a signature costs, in this process: the server cannot do without."""
    key = PrivateKey.generate()
    payloads = [f"payload {number}".encode() for number in range(RECOVERIES)]
    signed = [(payload, key.sign(payload)) for payload in payloads]
    samples = []
    for _round in range(bench.sizes.rounds):
        start = time.perf_counter()
        for payload, signature in signed:
            recover(payload, signature)
        samples.append((time.perf_counter() - start) / RECOVERIES * 1e6)
    note = "a submit has one, a cycle two"
    return [
        Figure(
            row="signatures", name="recovery", unit=" µs", samples={PRODUCT: samples}, more_is_better=False, note=note
        )
    ]


async def backlog_match(bench: Bench) -> list[Figure]:
    """Many processes wait that the executors can run."""
    return await _deep(bench, "backlog-match", bench.sizes.backlog, Demand.MATCHING)


async def backlog_nomatch(bench: Bench) -> list[Figure]:
    """Many processes wait for executors of another type."""
    return await _deep(bench, "backlog-nomatch", bench.sizes.backlog, Demand.OTHER_TYPE)


async def classes_match(bench: Bench) -> list[Figure]:
    """Each waiting process asks for another amount of CPU; the executors can run all."""
    return await _deep(bench, "classes-match", bench.sizes.classes, Demand.CPU)


async def classes_nomatch(bench: Bench) -> list[Figure]:
    """Each waiting process names another executor, and none of those that ask."""
    return await _deep(bench, "classes-nomatch", bench.sizes.classes, Demand.NAMES)


async def parked(bench: Bench) -> list[Figure]:
    """A server while many executors hang in assign: its memory, and hand-offs to them and to others beside them.

    In the end all of them are given work.
    """
    count = bench.sizes.parked
    before: dict[str, list[float]] = {}
    during: dict[str, list[float]] = {}
    among: dict[str, list[float]] = {}
    beside: dict[str, list[float]] = {}

    async def measure(name: str, target: ProductTarget | FloorTarget) -> None:
        async def when_parked() -> None:
            during[name] = [target.server.memory() / 1e6]
            beside[name] = [1000 * percentile(await (await target.queue()).handoffs(PROBES), 0.5)]

        before[name] = [target.server.memory() / 1e6]
        queue = await target.queue(count)
        among[name] = [1000 * percentile(await queue.handoffs(PROBES, parked=when_parked), 0.5)]

    async with open_stage(bench.dsn, only=(PRODUCT, FLOOR)) as stage:
        for name, target in stage.targets.items():
            assert isinstance(target, ProductTarget | FloorTarget)
            progress(f"parked: {count:,} executors at {name}")
            await measure(name, target)

    def figure(name: str, unit: str, samples: dict[str, list[float]], bound: float | None = None) -> Figure:
        return Figure(
            row="parked",
            name=name,
            unit=unit,
            samples=samples,
            more_is_better=False,
            bound=bound,
            note=f"{count:,} executors",
        )

    return [
        figure("memory at start", " MB", before),
        figure("memory", " MB", during, bound=200),
        figure("hand-off among them", " ms", among),
        figure("hand-off beside them", " ms", beside),
    ]


async def workflows(bench: Bench) -> list[Figure]:
    """16 executors run workflows of three nodes while they are submitted, beside single processes in the same way."""
    target = bench.short.targets[PRODUCT]
    assert isinstance(target, ProductTarget)

    async def sample(nodes: int) -> Timing:
        return await (await target.queue()).run(bench.sizes.workflows * WORKFLOW // nodes, nodes=nodes)

    timings = await bench.interleaved("workflows", {nodes: partial(sample, nodes) for nodes in (1, WORKFLOW)})
    single = [timing.rate for timing in timings[1]]
    nodes = [timing.rate for timing in timings[WORKFLOW]]
    shares = [rate / whole for rate, whole in zip(nodes, single, strict=True)]
    note = f"{WORKFLOW} nodes in a row"
    return [
        Figure(
            row="workflows", name="graphs", unit="/s", samples={PRODUCT: [rate / WORKFLOW for rate in nodes]}, note=note
        ),
        Figure(row="workflows", name="nodes", unit="/s", samples={PRODUCT: nodes}, note=note),
        Figure(row="workflows", name="single processes", unit="/s", samples={PRODUCT: single}),
        Figure(row="workflows", name="nodes per single process", unit="", samples={PRODUCT: shares}, comparable=False),
    ]


async def graphs(bench: Bench) -> list[Figure]:
    """Nodes are closed one by one in large workflows of several shapes and in small ones; then the large ones end."""
    size, count = bench.sizes.graph, bench.sizes.closes
    figures = []
    for name, shape in SHAPES.items():
        async with open_stage(bench.dsn, only=(PRODUCT,)) as stage:
            target = stage.targets[PRODUCT]
            assert isinstance(target, ProductTarget)
            large, small = await target.queue(), await target.queue()
            progress(f"graphs: {size:,} nodes, {name}")
            submitted = await large.submit_workflow(shape(size))
            for _ in range(1 + (bench.sizes.rounds + 1) * count // SMALL_GRAPH):
                await small.submit_workflow(shape(SMALL_GRAPH))
            await stage.settle()
            for queue in (large, small):
                # with these the first node of a wide one, which releases all others
                await queue.closes(count)
            runs = {queue: partial(queue.closes, count) for queue in (large, small)}
            timings = await bench.interleaved(f"graphs, {name}", runs)
            done = (bench.sizes.rounds + 1) * count
            progress(f"graphs: the other {size - done:,} nodes, {name}")
            rest = await large.cycle(size - done)
        figures += _closes(f"graphs-{name}", f"{size:,} nodes", timings[large], timings[small])
        figures.append(Figure(row=f"graphs-{name}", name="to the end", unit="/s", samples={PRODUCT: [rest.rate]}))
        figures.append(
            Figure(row=f"graphs-{name}", name="submit", unit=" s", samples={PRODUCT: [submitted]}, more_is_better=False)
        )
    return figures


def _closes(row: str, note: str, large: list[Timing], small: list[Timing]) -> list[Figure]:
    medians = [[1000 * percentile(timing.latencies, 0.5) for timing in timings] for timings in (large, small)]
    shares = [one / other for one, other in zip(*medians, strict=True)]

    def figure(name: str, unit: str, samples: list[float], note: str, bound: float | None = None) -> Figure:
        return Figure(
            row=row, name=name, unit=unit, samples={PRODUCT: samples}, more_is_better=False, bound=bound, note=note
        )

    return [
        figure("close p50", " ms", medians[0], note),
        figure("close p50, small", " ms", medians[1], f"{SMALL_GRAPH} nodes"),
        figure("of the small one's", "", shares, note, bound=OF_SMALL_GRAPH),
    ]


ROWS: dict[str, Row] = {
    "submit": submit,
    "cycle": cycle,
    "handoff": handoff,
    "freshness": freshness,
    "signatures": signatures,
    "backlog-match": backlog_match,
    "backlog-nomatch": backlog_nomatch,
    "classes-match": classes_match,
    "classes-nomatch": classes_nomatch,
    "parked": parked,
    "workflows": workflows,
    "graphs": graphs,
    "servers": clusters.servers,
    "exclusive": clusters.exclusive,
    "handoff-across": clusters.handoff_across,
    "failover": clusters.failover,
}


async def _deep(bench: Bench, row: str, count: int, demand: Demand) -> list[Figure]:
    """Cycles while ``count`` others wait, compared with a short queue that is measured in the same rounds.

    The first cycles after a load and its checkpoint are not counted: they pay for logging whole pages, which
    comes once per page and checkpoint and not with every cycle.
    """
    async with open_stage(bench.dsn) as stage:
        queues: list[Queue] = []
        runs: dict[tuple[str, bool], Callable[[], Awaitable[Timing]]] = {}
        for name, target in stage.targets.items():
            progress(f"{row}: {count:,} processes into {name}")
            queue = await target.queue()
            await queue.fill(count, demand)
            runs[name, False] = partial(_short_cycle, bench, bench.short.targets[name])
            runs[name, True] = partial(_deep_cycle, queue, demand, bench.sizes.cycles)
            queues.append(queue)
        await stage.settle()
        for queue in queues:
            await _deep_cycle(queue, demand, bench.sizes.warm_up)
        timings = await bench.interleaved(row, runs)
    deep = {name: timings[name, True] for name in stage.targets}
    short = {name: timings[name, False] for name in stage.targets}
    return _compared(row, "of the short queue", deep, short, bound=OF_SHORT_QUEUE, note=f"{count:,} waiting")


async def _short_cycle(bench: Bench, target: Target, *, fresh: bool = False) -> Timing:
    queue = await target.queue()
    await queue.fill(bench.sizes.cycles)
    return await queue.cycle(bench.sizes.cycles, fresh=fresh)


async def _deep_cycle(queue: Queue, demand: Demand, count: int) -> Timing:
    if not demand.matches:
        await queue.fill(count)
    return await queue.cycle(count)


def _compared(
    row: str,
    share: str,
    timings: dict[str, list[Timing]],
    reference: dict[str, list[Timing]],
    *,
    bound: float | None = None,
    note: str = "",
) -> list[Figure]:
    """The rates, and their share of the reference's rates in the same rounds."""
    rates, references = _rates(timings), _rates(reference)
    shares = {name: [rate / whole for rate, whole in zip(rates[name], references[name], strict=True)] for name in rates}
    return [
        Figure(row=row, name="rate", unit="/s", samples=rates, of_floor=OF_FLOOR, note=note),
        Figure(row=row, name=share, unit="", samples=shares, bound=bound, comparable=False, note=note),
    ]


def _rates(timings: dict[str, list[Timing]]) -> dict[str, Sequence[float]]:
    return {name: [timing.rate for timing in rounds] for name, rounds in timings.items()}


def _latency(row: str, name: str, timings: dict[str, list[Timing]], share: float) -> Figure:
    samples = {
        target: [1000 * percentile(timing.latencies, share) for timing in rounds] for target, rounds in timings.items()
    }
    return Figure(row=row, name=name, unit=" ms", samples=samples, more_is_better=False)
