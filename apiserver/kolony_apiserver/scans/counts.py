"""Counters: changes added up, and the gauges that are read from them."""

from __future__ import annotations

from collections.abc import Iterable

from kolony.model.processes import ProcessState
from kolony_apiserver.services.context import SERVER, LeaderUnit, Parts, UnitOfWork
from kolony_apiserver.store.counts import Count

INTERVAL = 1.0
GAUGE_INTERVAL = 5.0
_AT_ONCE = 10_000


async def fold(parts: Parts, term: int) -> None:
    """Add up all changes there are."""
    while True:
        async with LeaderUnit(parts, term) as context:
            folded = await context.store.counts.fold(_AT_ONCE)
        if folded < _AT_ONCE:
            return


async def measure(parts: Parts) -> None:
    """Set the gauges that come from the database, on whichever server."""
    async with UnitOfWork(parts, SERVER) as context:
        counts = await context.store.counts.by_state()
        oldest = await context.store.counts.oldest_waiting()
        silence = await context.store.counts.silence()
        overdue = await context.store.crons.overdue_since()
        pending = await context.store.generators.pending()
    now = parts.clock.now()
    parts.metrics.measured.show(
        processes=_named(counts.processes),
        workflows=_named(counts.workflows),
        oldest_waiting={
            each.colonyname: (now - each.submissiontime).total_seconds() if each.submissiontime else 0
            for each in oldest
        },
        last_seen={(each.colonyname, each.executortype): (now - each.heard).total_seconds() for each in silence},
        cron_lag=max(0.0, (now - overdue).total_seconds()) if overdue else 0.0,
        generator_pending=pending,
    )


def _named(counts: Iterable[Count]) -> dict[tuple[str, str], int]:
    return {(each.colonyname, ProcessState(each.state).name.lower()): each.total for each in counts}
