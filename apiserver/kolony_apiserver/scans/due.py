"""What is due: worked on a few at a time."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable
from typing import TypeVar

from kolony.errors import Unavailable

T = TypeVar("T")

_WORKERS = 4
"""How many are worked on at a time: their commits share waits for the disk, and calls keep most of the pool."""


async def work_on(items: Iterable[T], work: Callable[[T], Awaitable[None]]) -> None:
    """Do the work for each item; one that fails does not keep the others from their turn.

    Raises:
        Exception: the first failure. When the database is away, the rest is left.
    """
    waiting = iter(items)
    failures: list[Exception] = []

    async def worker() -> None:
        for item in waiting:
            try:
                await work(item)
            except Exception as error:
                failures.append(error)
                if isinstance(error, Unavailable):
                    return

    await asyncio.gather(*(worker() for _ in range(_WORKERS)))
    if failures:
        raise failures[0]
