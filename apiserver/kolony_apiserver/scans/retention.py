"""What is deleted with age.

Successful processes and workflows, and logs, where the settings say so; and always what is remembered for a while only.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from datetime import timedelta

from kolony.model.processes import ProcessState
from kolony_apiserver.clock import to_ns
from kolony_apiserver.services.context import Context, LeaderUnit, Parts

INTERVAL = 60.0
_AT_ONCE = 1_000
_WORKFLOWS_AT_ONCE = 10
_CLASS_AGE = timedelta(minutes=1)
_CHANGE_AGE = timedelta(minutes=5)
_LOST_SERVER_AGE = 3_600.0


async def tick(parts: Parts, term: int) -> None:
    """Delete all that is too old, in bounded transactions."""
    settings, now = parts.settings, parts.clock.now()
    if settings.retention:
        before = now - timedelta(seconds=settings.retention_age)
        async with LeaderUnit(parts, term) as context:
            colonies = await context.store.colonies.find()
        for colony in colonies:
            name = colony.name
            await _until_done(
                parts,
                term,
                lambda context, name=name: context.store.deadlines.remove_old_processes(  # type: ignore[misc]
                    name, before=before, limit=_AT_ONCE
                ),
            )
            await _until_done(
                parts,
                term,
                lambda context, name=name: context.store.workflows.remove_all(  # type: ignore[misc]
                    name, [ProcessState.SUCCESS], before=before, limit=_WORKFLOWS_AT_ONCE
                ),
                at_once=_WORKFLOWS_AT_ONCE,
            )
            await _until_done(
                parts,
                term,
                lambda context, name=name: context.store.deadlines.remove_old_logs(  # type: ignore[misc]
                    name, before=to_ns(before), limit=_AT_ONCE
                ),
            )
    await _until_done(
        parts,
        term,
        lambda context: context.store.deadlines.remove_old_submissions(
            before=now - timedelta(seconds=settings.idempotency_window), limit=_AT_ONCE
        ),
    )
    await _until_done(
        parts,
        term,
        lambda context: context.store.deadlines.remove_old_nonces(
            before=now - 2 * timedelta(seconds=settings.freshness_window), limit=_AT_ONCE
        ),
    )
    await _until_done(parts, term, lambda context: _remove_classes(context))
    async with LeaderUnit(parts, term) as context:
        await context.store.members.forget_old_changes(before=now - _CHANGE_AGE)
        await context.store.servers.remove_lost(within=_LOST_SERVER_AGE)


async def _remove_classes(context: Context) -> int:
    before = context.parts.clock.now() - _CLASS_AGE
    removed = await context.store.assignments.remove_empty_classes(before=before, limit=_AT_ONCE)
    await context.store.counts.remove_classes(removed)
    context.after_commit(lambda: context.parts.room.forget_classes(removed))
    return len(removed)


async def _until_done(
    parts: Parts, term: int, step: Callable[[Context], Awaitable[int]], *, at_once: int = _AT_ONCE
) -> None:
    while True:
        async with LeaderUnit(parts, term) as context:
            done = await step(context)
        if done < at_once:
            return
