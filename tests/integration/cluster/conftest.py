"""Fixtures of the cluster: servers that hear each other."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack

import pytest
from neighbours import Neighbour, open_neighbour
from storage import Storage

Start = Callable[..., Awaitable[Neighbour]]


@pytest.fixture
async def start(storage: Storage) -> AsyncIterator[Start]:
    """Starts servers on the database, each by its name."""
    async with AsyncExitStack() as stack:

        async def start(name: str, dsn: str = "") -> Neighbour:
            return await stack.enter_async_context(open_neighbour(storage, name, dsn))

        yield start


@pytest.fixture
async def here(start: Start) -> Neighbour:
    here = await start("here")
    await here.hears()
    return here


@pytest.fixture
async def there(start: Start, here: Neighbour) -> Neighbour:
    there = await start("there")
    await there.hears()
    return there
