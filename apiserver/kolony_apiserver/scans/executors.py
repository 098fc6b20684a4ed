"""Silent executors: removed, and their work queued again."""

from __future__ import annotations

from datetime import timedelta

from kolony_apiserver.membership import Caller
from kolony_apiserver.services import executors
from kolony_apiserver.services.context import Parts, UnitOfWork

_AT_ONCE = 100


async def tick(parts: Parts, server: Caller) -> None:
    """Remove every executor that was heard from once, but not within the last while; one that waits is not silent."""
    parts.contacts.still_here(parts.room.present())
    await parts.contacts.tick()
    before = parts.clock.now() - timedelta(seconds=parts.settings.stale_after)
    while True:
        async with UnitOfWork(parts, server) as context:
            stale = await context.store.executors.find_stale(before=before, limit=_AT_ONCE)
            for each in stale:
                await executors.unregister(context, each.colonyname, each.executorname)
        if len(stale) < _AT_ONCE:
            return
