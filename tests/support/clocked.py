"""A server in this process whose time stands still until a test moves it, and whose scans run when a test says so."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import json
import threading
import time
from collections.abc import Awaitable, Callable, Iterator
from concurrent.futures import Future
from datetime import UTC, datetime, timedelta, tzinfo
from pathlib import Path
from types import TracebackType
from typing import Any, Self, TypeVar

from colonies import START_TIMEOUT, Colony, Rpc, create_colony, envelope, free_port

from kolony.crypto import PrivateKey
from kolony_apiserver.clock import from_ns, to_ns
from kolony_apiserver.rpc.dispatch import Dispatcher
from kolony_apiserver.scans import counts, deadlines, executors, retention
from kolony_apiserver.server import open_parts
from kolony_apiserver.services.context import Parts
from kolony_apiserver.settings import Settings
from kolony_apiserver.web.app import create_app
from kolony_apiserver.web.listener import Listener

T = TypeVar("T")
Scan = Callable[[Parts, int], Awaitable[None]]

WORK_TIMEOUT = 120.0
"""Seconds for work on the thread of a server, which may be thousands of calls on a busy machine."""


class SetClock:
    """A clock that stands until it is moved."""

    def __init__(self) -> None:
        self.zone: tzinfo = UTC
        self._now_ns = to_ns(datetime.now(UTC))
        self._last_ns = 0

    def now(self) -> datetime:
        return from_ns(self._now_ns)

    def now_ns(self) -> int:
        self._last_ns = max(self._last_ns + 1, self._now_ns)
        return self._last_ns

    def monotonic(self) -> float:
        return time.monotonic()

    def follow(self, database_now: datetime) -> None:
        """Whatever the database says, the test sets the time."""

    def set(self, now: datetime) -> None:
        """Make it this time, which may be earlier."""
        self._now_ns = to_ns(now)

    def advance(self, seconds: float) -> None:
        """Let time pass."""
        self._now_ns += timedelta(seconds=seconds) // timedelta(microseconds=1) * 1000


class _Unsignalled(Listener):
    """A listener outside of the main thread, where no signal arrives."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


class ClockedServer:
    """A server on a thread of its own, over HTTP like any other, without loops: its clock and its scans are the test's.

    It serves where a `RunningServer` does as far as colonies go.
    """

    def __init__(self, dsn: str, **settings: Any) -> None:
        self.clock = SetClock()
        self.server_key = PrivateKey.generate()
        self.host = "127.0.0.1"
        self.port = free_port()
        self.dsn = dsn
        self.log = Path("/dev/null")
        self._settings = Settings(
            dsn=dsn, host=self.host, port=self.port, server_id=self.server_key.identity, drain_timeout=1, **settings
        )
        self._started: Future[None] = Future()
        self._thread = threading.Thread(target=lambda: asyncio.run(self._serve()), name="clocked server")

    def __enter__(self) -> Self:
        self._thread.start()
        self._started.result(START_TIMEOUT)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._listener.should_exit = True
        self._thread.join(START_TIMEOUT)

    async def _serve(self) -> None:
        try:
            async with open_parts(self._settings, clock=self.clock, loops=False) as self.parts:
                self._loop = asyncio.get_running_loop()
                self._listener = _Unsignalled(
                    create_app(self.parts, lambda: True),
                    self._settings,
                    unready=lambda: None,
                    drain=self._drain,
                    beside=self._beside,
                )
                await self._listener.serve()
        except BaseException as error:
            if self._started.done():
                raise
            self._started.set_exception(error)

    async def _drain(self) -> None:
        self.parts.desk.shut()

    @contextlib.asynccontextmanager
    async def _beside(self) -> Any:
        self._started.set_result(None)
        yield

    @property
    def rpc(self) -> Rpc:
        return Rpc(self.host, self.port)

    def colony(self) -> Colony:
        """A new colony with a user."""
        return create_colony(self)  # type: ignore[arg-type]

    def run(self, work: Callable[[Parts], Awaitable[T]]) -> T:
        """Do something with the parts of the server, on its thread."""

        async def done() -> T:
            return await work(self.parts)

        return asyncio.run_coroutine_threadsafe(done(), self._loop).result(WORK_TIMEOUT)

    def ask_all(self, messages: list[dict[str, Any]], key: PrivateKey) -> list[Any]:
        """Send calls that have to succeed, a hundred at a time, without a connection for each; their payloads."""
        bodies = [json.dumps(envelope(message, key)).encode() for message in messages]

        async def ask(parts: Parts) -> list[tuple[int, bytes]]:
            answer = Dispatcher(parts).answer
            calls = [bodies[start : start + 100] for start in range(0, len(bodies), 100)]
            return [reply for some in calls for reply in await asyncio.gather(*map(answer, some))]

        replies = self.run(ask)
        assert {status for status, _ in replies} <= {200}
        return [json.loads(base64.b64decode(json.loads(reply)["payload"])) for _, reply in replies]

    def scan(self, *scans: Scan) -> None:
        """Run scans now, one after the other, as the leader does."""

        async def run(parts: Parts, tick: Scan) -> None:
            await tick(parts, (await parts.roster.refresh()).term)

        for tick in scans:
            self.run(lambda parts, tick=tick: run(parts, tick))  # type: ignore[misc]

    def apply_limits(self, *, after: float = 0) -> None:
        """Let time pass, then let the server look for limits that have passed."""
        self.clock.advance(after)
        self.scan(deadlines.tick)

    def remove_silent_executors(self, *, after: float = 0) -> None:
        """Let time pass, then let the server look for executors that have been silent."""
        self.clock.advance(after)
        self.scan(executors.tick)

    def apply_retention(self, *, after: float = 0) -> None:
        """Let time pass, then let the server delete what is too old."""
        self.clock.advance(after)
        self.scan(retention.tick)

    def fold_counts(self) -> None:
        """Add up the counters."""
        self.scan(counts.fold)

    def parked(self) -> int:
        """How many assign calls are in the waiting room."""
        return len(self.parts.room)


def eventually(condition: Callable[[], T], *, within: float = 20.0) -> T:
    """Wait until a condition holds; its value."""
    deadline = time.monotonic() + within
    while not (value := condition()):
        if time.monotonic() > deadline:
            raise AssertionError("what was awaited did not happen")
        time.sleep(0.005)  # between two looks
    return value
