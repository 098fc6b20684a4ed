"""Fixtures of the queue: a room of one server."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
from rooms import Room, open_room
from storage import Storage


@pytest.fixture
async def room(storage: Storage) -> AsyncIterator[Room]:
    async with open_room(storage) as room:
        yield room
