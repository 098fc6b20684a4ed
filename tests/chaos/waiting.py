"""Waiting for what only asking again can tell."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

_POLL = 0.05


async def until(condition: Callable[[], Awaitable[bool]], patience: float) -> bool:
    """Wait until something holds, for so many seconds at most; whether it does."""
    try:
        async with asyncio.timeout(patience):
            while True:
                if await condition():
                    return True
                await asyncio.sleep(_POLL)
    except TimeoutError:
        return False
