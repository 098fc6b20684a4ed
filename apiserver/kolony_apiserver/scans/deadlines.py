"""Limits of processes: those that waited or ran too long."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from kolony.model.processes import ProcessState
from kolony_apiserver.membership import Caller
from kolony_apiserver.services.context import Context, Parts, UnitOfWork
from kolony_apiserver.store.deadlines import Expired

INTERVAL = 1.0
_AT_ONCE = 500


async def tick(parts: Parts, server: Caller) -> None:
    """Apply every limit that has passed, in bounded transactions."""
    await _until_done(
        parts, server, lambda context: context.store.deadlines.expire_waiting(now=parts.clock.now(), limit=_AT_ONCE)
    )
    await _until_done(
        parts, server, lambda context: context.store.deadlines.expire_running(now=parts.clock.now(), limit=_AT_ONCE)
    )


async def _until_done(parts: Parts, server: Caller, step: Callable[[Context], Awaitable[list[Expired]]]) -> None:
    while True:
        async with UnitOfWork(parts, server) as context:
            expired = await step(context)
        for each in expired:
            if each.state == ProcessState.WAITING:
                parts.metrics.retries.inc()
                parts.room.arrived(each.classid, each.prioritytime)
            else:
                parts.metrics.closed.labels("failed").inc()
        async with UnitOfWork(parts, server) as context:
            for each in expired:
                await context.publish(
                    processid=each.processid,
                    colonyname=each.colonyname,
                    executortype=each.executortype,
                    state=each.state,
                )
        if len(expired) < _AT_ONCE:
            return
