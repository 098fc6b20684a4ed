"""Following one process from state to state without gaps.

Subscriptions say when to look; the process itself is always read. After each subscription is made it is read once
more, so a state that came before is not missed, and it is read now and then in any case: servers may lose events,
and some changes have none. Where no subscription can be made, reading often takes its place.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncGenerator, Collection
from contextlib import suppress

from kolony.errors import KolonyError
from kolony.model.processes import Process, ProcessState
from kolony.sdk.connection import Connection
from kolony.sdk.pubsub import subscribe
from kolony.sdk.retries import Retry
from kolony.sdk.settings import Key
from kolony.wire.processes import GetProcess
from kolony.wire.subscriptions import SubscribeProcess

FINAL = frozenset({ProcessState.SUCCESS, ProcessState.FAILED, ProcessState.CANCELLED})
"""The states that a process does not leave."""

_SUBSCRIPTION_SECONDS = 300
_RECHECK_SECONDS = 15.0
_FIRST_POLL_SECONDS, _LAST_POLL_SECONDS = 0.1, 2.0
_RECONNECT = Retry(first_delay=0.5, longest_delay=10.0)


async def watch(
    connection: Connection, processid: str, key: Key | None, states: Collection[ProcessState]
) -> AsyncGenerator[Process, None]:
    """The process as it is now, then whenever it is seen in another of the states, until it is final."""
    news = asyncio.Event()
    listeners: list[_Listener] = []
    seen: tuple[int, int] | None = None
    poll = _FIRST_POLL_SECONDS
    try:
        while True:
            news.clear()
            process = await connection.call(GetProcess(processid=processid), key=key)
            if seen is None or ((process.state, process.attempt) != seen and process.state in states):
                seen, poll = (process.state, process.attempt), _FIRST_POLL_SECONDS
                yield process
            if process.state in FINAL:
                return
            if not listeners:
                listeners = [
                    _Listener(connection, _subscription(process, state), key, news) for state in sorted(states)
                ]
            subscribed = all(listener.subscribed for listener in listeners)
            await _either(news, _RECHECK_SECONDS if subscribed else poll)
            poll = min(2 * poll, _LAST_POLL_SECONDS)
    finally:
        await asyncio.gather(*(listener.close() for listener in listeners))


class _Listener:
    """Sets ``news`` when the process gets to a state, and when a subscription to that begins."""

    def __init__(self, connection: Connection, message: SubscribeProcess, key: Key | None, news: asyncio.Event) -> None:
        self.subscribed = False
        self._news = news
        self._task = asyncio.create_task(self._listen(connection, message, key))

    async def close(self) -> None:
        self._task.cancel()
        await asyncio.gather(self._task, return_exceptions=True)

    async def _listen(self, connection: Connection, message: SubscribeProcess, key: Key | None) -> None:
        failures = 0
        while True:
            try:
                async with subscribe(connection, message, key) as events:
                    self.subscribed = True
                    self._news.set()
                    async for _ in events:
                        failures = 0
                        self._news.set()
            except KolonyError:
                failures += 1
            finally:
                self.subscribed = False
            await asyncio.sleep(_RECONNECT.delay(max(failures, 1), random.random()))


def _subscription(process: Process, state: ProcessState) -> SubscribeProcess:
    return SubscribeProcess(
        colonyname=process.spec.conditions.colonyname,
        processid=process.processid,
        state=state,
        timeout=_SUBSCRIPTION_SECONDS,
    )


async def _either(news: asyncio.Event, seconds: float) -> None:
    with suppress(TimeoutError):
        async with asyncio.timeout(seconds):
            await news.wait()
