"""Lanes: one connection, whoever asks."""

from __future__ import annotations

import asyncio

from kolony_apiserver.store.database import Database
from kolony_apiserver.store.migrate import migrate


async def test_those_who_share_a_lane_wait_for_one_another(database_dsn: str) -> None:
    await asyncio.to_thread(migrate, database_dsn)
    lane = Database(database_dsn).lane()

    async def ask() -> None:
        for _ in range(200):
            assert await lane.all("paused_colonies") == []

    try:
        async with asyncio.timeout(30):
            await asyncio.gather(*(ask() for _ in range(4)))
    finally:
        await lane.close()


async def test_a_lane_whose_connection_broke_has_no_session(database_dsn: str) -> None:
    await asyncio.to_thread(migrate, database_dsn)
    lane = Database(database_dsn).lane()
    await lane.all("paused_colonies")
    assert lane.pid
    await lane.close()
    assert lane.pid == 0
