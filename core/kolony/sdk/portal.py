"""An event loop in a thread of its own: how blocking callers use asynchronous code."""

from __future__ import annotations

import asyncio
import atexit
import threading
from collections.abc import AsyncGenerator, Coroutine, Iterator
from typing import Any, TypeVar

T = TypeVar("T")

_CANCEL_SECONDS = 1.0
"""How long an interrupted caller waits for what it cancelled."""


class Portal:
    """Runs coroutines on a background loop; any number of threads may use it at once.

    A portal that nobody closed does not keep the program alive: its thread is a daemon, and it is closed at exit.
    """

    def __init__(self) -> None:
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="kolony-client", daemon=True)
        self._thread.start()
        atexit.register(self.close)

    def run(self, coroutine: Coroutine[Any, Any, T]) -> T:
        """Run the coroutine and return its result; when the caller is interrupted, it is cancelled first."""
        if self._loop.is_closed():
            coroutine.close()
            raise RuntimeError("the client is closed")
        ended = threading.Event()
        future = asyncio.run_coroutine_threadsafe(_signalling(coroutine, ended), self._loop)
        try:
            return future.result()
        except BaseException:
            if future.cancel():
                ended.wait(_CANCEL_SECONDS)
            raise

    def iterate(self, items: AsyncGenerator[T, None]) -> Iterator[T]:
        """The items, fetched one at a time as they are asked for."""
        try:
            while True:
                try:
                    yield self.run(_next(items))
                except StopAsyncIteration:
                    return
        finally:
            self._leave(items)

    def close(self) -> None:
        """Cancel what runs and stop the loop; closing again does nothing."""
        if self._loop.is_closed():
            return
        atexit.unregister(self.close)
        self.run(_finish())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    def _leave(self, items: AsyncGenerator[Any, None]) -> None:
        """End a generator; an iterator that nobody closed gets here from the garbage collector, in any thread."""
        if self._loop.is_closed():
            return
        left = asyncio.run_coroutine_threadsafe(_close(items), self._loop)
        if threading.current_thread() is not self._thread:
            left.result()


async def _signalling(coroutine: Coroutine[Any, Any, T], ended: threading.Event) -> T:
    try:
        return await coroutine
    finally:
        ended.set()


async def _finish() -> None:
    others = asyncio.all_tasks() - {asyncio.current_task()}
    for task in others:
        task.cancel()
    await asyncio.gather(*others, return_exceptions=True)
    await asyncio.get_running_loop().shutdown_asyncgens()


async def _next(items: AsyncGenerator[T, None]) -> T:
    return await anext(items)


async def _close(items: AsyncGenerator[Any, None]) -> None:
    await items.aclose()
