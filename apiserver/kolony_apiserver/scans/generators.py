"""Generators that have enough arguments, or have waited long enough with fewer."""

from __future__ import annotations

from kolony.errors import KolonyError
from kolony_apiserver.scans.due import work_on
from kolony_apiserver.services import generators
from kolony_apiserver.services.context import LeaderUnit, Parts
from kolony_apiserver.services.unattended import is_final

_AT_ONCE = 100


async def tick(parts: Parts, term: int) -> None:
    """Start every workflow that is due, in rounds of one for each generator, each in a transaction of its own."""
    while await _round(parts, term):
        pass


async def _round(parts: Parts, term: int) -> bool:
    """Start one workflow for each generator that is due; whether any was started."""
    now, last, started = parts.clock.now(), "", False

    async def check(generatorid: str) -> None:
        nonlocal started
        if await _check(parts, term, generatorid):
            started = True

    while True:
        async with LeaderUnit(parts, term) as context:
            found = await context.store.generators.find_due(now=now, after=last, limit=_AT_ONCE)
        await work_on(found, check)
        if len(found) < _AT_ONCE:
            return started
        last = found[-1]


async def _check(parts: Parts, term: int, generatorid: str) -> bool:
    try:
        async with LeaderUnit(parts, term) as context:
            return await generators.check(context, generatorid)
    except KolonyError as error:
        if not is_final(error):
            raise
        async with LeaderUnit(parts, term) as context:
            await generators.put_off(context, generatorid)
            generators.failed(context, generatorid, error)
        return False
