"""Silent executors: removed, and their work queued again."""

from __future__ import annotations

from datetime import timedelta

from kolony_apiserver.services import executors
from kolony_apiserver.services.context import LeaderUnit, Parts
from kolony_apiserver.settings import Settings

_AT_ONCE = 100


def interval(settings: Settings) -> float:
    """Seconds between two looks at who waits here, several in the time after which silence counts."""
    return min(settings.cleanup_interval, settings.stale_after / 3)


async def note_waiting(parts: Parts) -> None:
    """Note that the executors that wait on this server are not silent, so that the leader spares them."""
    parts.contacts.still_here(parts.room.present())
    await parts.contacts.tick()


async def tick(parts: Parts, term: int) -> None:
    """Remove every executor that was heard from once, but not within the last while; one that waits is not silent."""
    await note_waiting(parts)
    before = parts.clock.now() - timedelta(seconds=parts.settings.stale_after)
    while True:
        async with LeaderUnit(parts, term) as context:
            stale = await context.store.executors.find_stale(before=before, limit=_AT_ONCE)
            for each in stale:
                await executors.unregister(context, each.colonyname, each.executorname)
        if len(stale) < _AT_ONCE:
            return
