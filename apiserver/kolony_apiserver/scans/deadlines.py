"""Limits of processes: those that waited or ran too long, and what follows from that in workflows."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable

from kolony.model.processes import ProcessState
from kolony_apiserver.services.context import SERVER, Context, LeaderUnit, Parts, UnitOfWork
from kolony_apiserver.store.processes import Change

INTERVAL = 1.0
_AT_ONCE = 500


async def tick(parts: Parts, term: int) -> None:
    """Apply every limit that has passed, in bounded transactions."""
    await _until_done(
        parts, term, lambda context: context.store.deadlines.expire_waiting(now=parts.clock.now(), limit=_AT_ONCE)
    )
    await _until_done(
        parts, term, lambda context: context.store.deadlines.expire_running(now=parts.clock.now(), limit=_AT_ONCE)
    )
    await _settle(parts, term)


async def _until_done(parts: Parts, term: int, step: Callable[[Context], Awaitable[list[Change]]]) -> None:
    while True:
        async with LeaderUnit(parts, term) as context:
            expired = await step(context)
        for each in expired:
            if each.state == ProcessState.WAITING:
                parts.metrics.retries.inc()
            else:
                parts.metrics.closed.labels("failed").inc()
        await _tell(parts, expired)
        if len(expired) < _AT_ONCE:
            return


async def _settle(parts: Parts, term: int) -> None:
    """Pass on the ends of processes of workflows that nobody has passed on.

    In a transaction of its own, which locks the workflows before any process, as everyone does.
    """
    while True:
        async with LeaderUnit(parts, term) as context:
            ended = await context.store.workflows.unsettled(_AT_ONCE)
        if not ended:
            return
        async with LeaderUnit(parts, term) as context:
            changes = await context.store.workflows.settle(ended, now=parts.clock.now())
        await _tell(parts, changes)


async def _tell(parts: Parts, changes: Iterable[Change]) -> None:
    changes = list(changes)
    for each in changes:
        if each.is_queued:
            parts.room.arrived(each.classid, each.prioritytime)
    async with UnitOfWork(parts, SERVER) as context:
        await context.publish_changes(changes)
