"""Group commit: calls that arrive while a statement runs share the next one.

A lone call waits for nobody; under load the number of commits falls as the rate rises. When a batch fails
because of what is in it, its members run one by one, so that a bad call spoils nobody else's.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import Generic, TypeVar

from kolony.errors import KolonyError

In = TypeVar("In")
Out = TypeVar("Out")

MAX_BATCH = 512


class Batch(Generic[In, Out]):
    """Collects items and runs them together; ``run`` gives one result per item, in order."""

    def __init__(self, run: Callable[[Sequence[In]], Awaitable[Sequence[Out]]]) -> None:
        self._run = run
        self._waiting: list[tuple[In, asyncio.Future[Out]]] = []
        self._task: asyncio.Task[None] | None = None

    async def add(self, item: In) -> Out:
        """Run the item with whatever else is waiting; its result once it is committed."""
        future: asyncio.Future[Out] = asyncio.get_running_loop().create_future()
        self._waiting.append((item, future))
        if self._task is None:
            self._task = asyncio.create_task(self._drain())
        return await future

    async def finish(self) -> None:
        """Wait until nothing is waiting or running."""
        while self._task is not None:
            await self._task

    async def _drain(self) -> None:
        try:
            while self._waiting:
                members, self._waiting = self._waiting[:MAX_BATCH], self._waiting[MAX_BATCH:]
                await self._settle(members)
        finally:
            self._task = None

    async def _settle(self, members: list[tuple[In, asyncio.Future[Out]]]) -> None:
        try:
            results = await self._run([item for item, _ in members])
        except Exception as error:
            # An error of the server's (a lost connection, say) hits all alike and leaves open what was stored.
            if len(members) > 1 and isinstance(error, KolonyError) and error.status < 500:
                for member in members:
                    await self._settle([member])
                return
            for _, future in members:
                if not future.done():
                    future.set_exception(error)
            return
        for (_, future), result in zip(members, results, strict=True):
            if not future.done():
                future.set_result(result)
