"""Every packed argument ends in one workflow, however many servers look, and wherever one of them dies."""

from __future__ import annotations

import asyncio
import json
from contextlib import suppress

import pytest
from sites import WORKFLOW, Site
from storage import together
from wires import Cut

from kolony.errors import Unavailable
from kolony.model.generators import Generator
from kolony.wire.generators import AddGenerator, PackGenerator
from kolony_apiserver.scans import generators
from kolony_apiserver.services import generators as rules
from kolony_apiserver.services.context import Parts

TRIGGER = 3


async def add(site: Site, parts: Parts, name: str = "g") -> str:
    generator = Generator(colonyname="colony", name=name, trigger=TRIGGER, workflowspec=WORKFLOW)
    return (await site.call(parts, rules.add, AddGenerator(generator=generator))).generatorid


async def pack(site: Site, parts: Parts, generatorid: str, *args: str) -> None:
    for arg in args:
        await site.call(parts, rules.pack, PackGenerator(generatorid=generatorid, arg=arg))


async def taken(site: Site) -> list[list[str]]:
    """The arguments of the workflows, in the order of their roots."""
    rows = await site.rows(
        "select p.spec from processes p join workflows using (workflowid)"
        " where p.spec::json ->> 'nodename' = 'a' order by p.prioritytime"
    )
    return [json.loads(row["spec"])["args"] for row in rows]


async def waiting(site: Site) -> list[str]:
    return [row["arg"] for row in await site.rows("select arg from packs order by generatorid, number")]


async def test_servers_that_look_while_others_pack_lose_and_repeat_nothing(site: Site) -> None:
    servers = [await site.server() for _ in range(3)]
    ids = [await add(site, servers[0], name=f"g{number}") for number in range(5)]
    done = asyncio.Event()

    async def client(number: int) -> None:
        parts = servers[number % 3]
        for nth in range(60):
            await pack(site, parts, ids[(number + nth) % 5], f"{number}.{nth}")

    async def pack_all() -> None:
        await together(*(client(number) for number in range(10)))
        done.set()

    async def look(parts: Parts) -> None:
        while not done.is_set():
            await generators.tick(parts, await site.term())
            await asyncio.sleep(0)
        await generators.tick(parts, await site.term())

    await together(pack_all(), *(look(parts) for parts in servers))
    await generators.tick(servers[0], await site.term())
    workflows = await taken(site)
    assert {len(args) for args in workflows} == {TRIGGER}
    packed = {f"{number}.{nth}" for number in range(10) for nth in range(60)}
    assert sorted(arg for args in workflows for arg in args) == sorted(packed - set(await waiting(site)))
    assert len(await waiting(site)) < 5 * TRIGGER
    assert await site.value("select sum(packed - taken) from generator_queues") == len(await waiting(site))


@pytest.mark.parametrize("cut", Cut)
async def test_a_server_that_dies_anywhere_loses_and_repeats_nothing(site: Site, cut: Cut) -> None:
    dying, living = await site.server(site.wire.dsn), await site.server()
    generatorid = await add(site, living)
    packed: list[str] = []
    statement = 0
    while not statement or site.wire.broken:
        site.wire.mend()
        dying.callers.forget_all()
        statement += 1
        # Enough for two workflows, so that it also dies between the two.
        new = [f"{statement}.{nth}" for nth in range(2 * TRIGGER)]
        await pack(site, living, generatorid, *new)
        packed += new
        site.wire.cut_at(statement, cut)
        with suppress(Unavailable):
            await generators.tick(dying, await site.term())
        await site.undone()
        await generators.tick(living, await site.term())
        assert [arg for args in await taken(site) for arg in args] == packed
        assert await waiting(site) == []
        site.clock.advance(1)
    assert statement > 20


@pytest.mark.parametrize("cut", Cut)
async def test_a_server_that_dies_while_it_packs_keeps_what_it_acknowledged(site: Site, cut: Cut) -> None:
    dying, living = await site.server(site.wire.dsn), await site.server()
    generatorid = await add(site, living)
    acknowledged, statement = [], 0
    while not acknowledged:
        site.wire.mend()
        statement += 1
        site.wire.cut_at(statement, cut)
        arg = str(statement)
        with suppress(Unavailable):
            await dying.packs.pack(rules.Pack(generatorid=generatorid, arg=arg), site.clock.now())
            acknowledged = [arg]
        await site.undone()
    stored = await waiting(site)
    # Of the last one that was cut off nobody knows; the rest never reached the database.
    assert stored in (acknowledged, [str(statement - 1), *acknowledged])
    assert (len(stored) == 2) == (cut is Cut.AFTER)
    assert await site.value("select packed from generator_queues") == len(stored)


async def test_packing_costs_the_same_however_much_waits(site: Site) -> None:
    """Thousands of arguments packed at once share few commits, and take numbers without a gap."""
    parts = await site.server()
    generatorid = await add(site, parts)
    await together(*(pack(site, parts, generatorid, str(number)) for number in range(2_000)))
    assert [row["number"] for row in await site.rows("select number from packs order by number")] == [*range(1, 2_001)]
    assert sorted(map(int, await waiting(site))) == [*range(2_000)]


async def test_calls_with_one_key_that_come_together_pack_once(site: Site) -> None:
    parts = await site.server()
    generatorid = await add(site, parts)
    message = PackGenerator(generatorid=generatorid, arg="a", idempotencykey="k")
    await together(*(site.call(parts, rules.pack, message) for _ in range(20)))
    assert await waiting(site) == ["a"]
    assert await site.value("select packed from generator_queues") == 1
