"""Crons that are due: planned, or run."""

from __future__ import annotations

from datetime import UTC, datetime

from kolony.errors import KolonyError
from kolony_apiserver.scans.due import work_on
from kolony_apiserver.services import crons
from kolony_apiserver.services.context import LeaderUnit, Parts
from kolony_apiserver.services.unattended import is_final
from kolony_apiserver.store.crons import DueCron

_AT_ONCE = 100
_BEFORE_ALL = DueCron("", datetime(2000, 1, 1, tzinfo=UTC))


async def tick(parts: Parts, term: int) -> None:
    """Look at every cron that is due, each in a transaction of its own."""
    now, last = parts.clock.now(), _BEFORE_ALL
    while True:
        async with LeaderUnit(parts, term) as context:
            found = await context.store.crons.find_due(now=now, after=last, limit=_AT_ONCE)
        await work_on(found, lambda due: _look_at(parts, term, due))
        if len(found) < _AT_ONCE:
            return
        last = found[-1]


async def _look_at(parts: Parts, term: int, due: DueCron) -> None:
    again: DueCron | None = due
    while again is not None:
        again = await _check(parts, term, again)


async def _check(parts: Parts, term: int, due: DueCron) -> DueCron | None:
    try:
        async with LeaderUnit(parts, term) as context:
            return await crons.check(context, due)
    except KolonyError as error:
        if not is_final(error):
            raise
        # The transaction is undone, but its slot is over: it could only fail again.
        async with LeaderUnit(parts, term) as context:
            await crons.pass_over(context, due)
            crons.failed(context, due.cronid, error)
        return None
