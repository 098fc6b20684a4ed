"""Counters: changes added up, and the gauges that are read from them."""

from __future__ import annotations

from kolony.model.processes import ProcessState
from kolony_apiserver.membership import Caller
from kolony_apiserver.services.context import Parts, UnitOfWork

INTERVAL = 1.0
GAUGE_INTERVAL = 5.0
_AT_ONCE = 10_000


async def fold(parts: Parts, server: Caller) -> None:
    """Add up all changes there are."""
    while True:
        async with UnitOfWork(parts, server) as context:
            folded = await context.store.counts.fold(_AT_ONCE)
        if folded < _AT_ONCE:
            return


async def measure(parts: Parts, server: Caller) -> None:
    """Set the gauges that come from the database."""
    async with UnitOfWork(parts, server) as context:
        counts = await context.store.counts.processes()
        oldest = await context.store.counts.oldest_waiting()
        silence = await context.store.counts.silence()
    now, metrics = parts.clock.now(), parts.metrics
    for gauge in (metrics.processes, metrics.oldest_waiting, metrics.executor_last_seen):
        gauge.clear()
    for each in counts:
        metrics.processes.labels(each.colonyname, ProcessState(each.state).name.lower()).set(each.processes)
    for waiting in oldest:
        age = (now - waiting.submissiontime).total_seconds() if waiting.submissiontime else 0
        metrics.oldest_waiting.labels(waiting.colonyname).set(age)
    for silent in silence:
        metrics.executor_last_seen.labels(silent.colonyname, silent.executortype).set(
            (now - silent.heard).total_seconds()
        )
    metrics.longpolls.set(len(parts.room))
    for state, size in parts.database.statistics().items():
        if state in ("pool_size", "pool_available", "requests_waiting"):
            metrics.pool.labels(state).set(size)
