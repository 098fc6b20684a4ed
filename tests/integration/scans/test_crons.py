"""A slot of a cron is run once, however many servers look, and wherever one of them dies."""

from __future__ import annotations

from collections import Counter
from contextlib import suppress
from typing import Any

import pytest
from sites import WORKFLOW, Site
from storage import together
from wires import Cut

from kolony.errors import Unavailable
from kolony.model.crons import Cron
from kolony.wire.crons import AddCron, GetCron, RunCron
from kolony_apiserver.scans import crons
from kolony_apiserver.services import crons as rules
from kolony_apiserver.services.context import Parts


async def add(site: Site, parts: Parts, **fields: Any) -> Cron:
    cron = Cron(**{"colonyname": "colony", "interval": 10, "workflowspec": WORKFLOW, **fields})
    return await site.call(parts, rules.add, AddCron(cron=cron))


async def get(site: Site, parts: Parts, cron: Cron) -> Cron:
    return await site.call(parts, rules.get, GetCron(cronid=cron.cronid))


async def runs(site: Site) -> int:
    """How many workflows there are; each has both its processes."""
    workflows = await site.value("select count(*) from workflows")
    assert await site.value("select count(*) from processes") == 2 * workflows
    return int(workflows)


async def test_servers_that_look_at_once_run_a_slot_once(site: Site) -> None:
    servers = [await site.server() for _ in range(3)]
    crons_of = [await add(site, servers[0], name=f"c{number}") for number in range(150)]
    for slot in range(4):
        term = await site.term()
        await together(*(crons.tick(parts, term) for parts in servers))
        assert await runs(site) == slot * len(crons_of)
        site.clock.advance(10)
    started = Counter(row["initiatorname"] for row in await site.rows("select initiatorname from workflows"))
    assert started == {"alice": 3 * len(crons_of)}


@pytest.mark.parametrize("cut", Cut)
@pytest.mark.parametrize("policy", ["once", "all"])
async def test_a_server_that_dies_anywhere_leaves_no_slot_run_twice_or_not_at_all(
    site: Site, cut: Cut, policy: str
) -> None:
    dying, living = await site.server(site.wire.dsn), await site.server()
    cron = await add(site, living, missed=policy)
    await crons.tick(living, await site.term())
    begin = (await get(site, living, cron)).nextrun
    slots = statement = 0
    while not statement or site.wire.broken:
        # What it knows of members it reads anew, as a server does that goes on for longer.
        site.wire.mend()
        dying.callers.forget_all()
        statement += 1
        slots += 1
        site.clock.set(begin)
        site.clock.advance(10 * (slots - 1))
        site.wire.cut_at(statement, cut)
        with suppress(Unavailable):
            await crons.tick(dying, await site.term())
        await site.undone()
        await crons.tick(living, await site.term())
        assert await runs(site) == slots
    # To begin and look, and to begin, take, start and commit, are more than a few.
    assert statement > 10
    stored = await get(site, living, cron)
    assert (stored.nextrun - begin).total_seconds() == 10 * slots


async def test_runs_by_hand_and_by_time_do_not_mix_up_the_plan(site: Site) -> None:
    first, second = await site.server(), await site.server()
    cron = await add(site, first, waitforprevprocessgraph=True)
    await crons.tick(first, await site.term())
    site.clock.advance(10)
    by_hand = RunCron(cronid=cron.cronid)
    await together(
        crons.tick(first, await site.term()),
        site.call(second, rules.run, by_hand),
        site.call(first, rules.run, by_hand),
    )
    # Whoever came first started the workflow that the others would have to wait for.
    assert await runs(site) == 1
    await crons.tick(first, await site.term())
    await crons.tick(second, await site.term())
    assert await runs(site) == 1
