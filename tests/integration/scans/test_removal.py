"""A colony that is removed while its crons and generators run: nobody waits in a circle, and nothing stays."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from functools import partial

from sites import WORKFLOW, Site
from storage import together, until

from kolony.errors import Conflict, NotFound
from kolony.model.crons import Cron
from kolony.model.generators import Generator
from kolony.wire.colonies import RemoveColony
from kolony.wire.crons import AddCron, RunCron
from kolony.wire.generators import AddGenerator, PackGenerator
from kolony_apiserver.scans import crons, generators
from kolony_apiserver.services import colonies
from kolony_apiserver.services import crons as cron_rules
from kolony_apiserver.services import generators as generator_rules
from kolony_apiserver.services.context import Parts

TABLES = ("colonies", "crons", "generators", "generator_queues", "packs", "workflows", "processes", "classes")


async def test_a_colony_removed_while_its_crons_and_generators_run(site: Site) -> None:
    first, second = await site.server(), await site.server()
    added = [
        await site.call(
            first,
            cron_rules.add,
            AddCron(cron=Cron(colonyname="colony", name=f"c{number}", interval=1, workflowspec=WORKFLOW)),
        )
        for number in range(10)
    ]
    packed = [
        await site.call(
            first,
            generator_rules.add,
            AddGenerator(generator=Generator(colonyname="colony", name=f"g{number}", trigger=1, workflowspec=WORKFLOW)),
        )
        for number in range(5)
    ]
    gone = asyncio.Event()

    async def look(parts: Parts) -> None:
        while not gone.is_set():
            site.clock.advance(1)
            await crons.tick(parts, await site.term())
            await generators.tick(parts, await site.term())
            await asyncio.sleep(0)

    async def call(parts: Parts) -> None:
        with suppress(NotFound, Conflict):
            while not gone.is_set():
                for generator in packed:
                    message = PackGenerator(generatorid=generator.generatorid, arg="a")
                    await site.call(parts, generator_rules.pack, message)
                await site.call(parts, cron_rules.run, RunCron(cronid=added[0].cronid))

    async def leave() -> None:
        try:
            await until(partial(site.value, "select count(*) > 100 from workflows"), within=30)
            await site.call(second, colonies.remove, RemoveColony(colonyname="colony"))
        finally:
            gone.set()

    async with asyncio.timeout(60):
        await together(look(first), look(second), call(first), call(second), leave())
    assert {table: await site.value(f"select count(*) from {table}") for table in TABLES} == dict.fromkeys(TABLES, 0)
