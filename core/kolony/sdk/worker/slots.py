"""The slots of a worker: each asks for a process, runs it, and asks again, until they are drained."""

from __future__ import annotations

import asyncio
import logging
import random
import time
from collections.abc import Coroutine, Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, TypeVar

from kolony.errors import AssignTimeout, ConnectionLost, KolonyError, NotFound, ServerError, Unavailable
from kolony.model.executors import Executor
from kolony.model.processes import Process, ProcessState
from kolony.sdk.client import AsyncClient
from kolony.sdk.retries import Retry
from kolony.sdk.worker.execution import Failure, close, execute
from kolony.sdk.worker.functions import Offer

T = TypeVar("T")

logger = logging.getLogger("kolony.worker")

_POLL_SECONDS = 50
"""How long one assign waits in the server: below the minute after which many proxies cut silent connections."""

_GIVE_BACK_SECONDS = 4.0
"""How long a cancelled process is tried to be failed, within what is left of a pod's life."""

_EVER_SECONDS = 100 * 365 * 86_400
_STOPPED = "the worker stopped before the function ended"
_PAUSE = Retry(first_delay=0.5, longest_delay=10.0)


@dataclass(frozen=True, kw_only=True, slots=True)
class Terms:
    """How the slots of a worker work."""

    concurrency: int
    """How many there are."""

    availablecpu: str
    """Most CPU that one process may ask for; empty is any."""

    availablemem: str
    """Most memory that one process may ask for; empty is any."""

    alive_seconds: float
    """Pause between signs of life while nobody asks for work."""

    drain_seconds: float
    """How long running functions may go on after a stop."""

    leaves: bool
    """Whether the executor is removed at the end, which puts what it runs back into the queue."""

    adopts: bool
    """Whether nobody else uses the key, so that what the server says the executor runs, this worker has to run."""


class Slots:
    """Runs processes of one executor."""

    def __init__(self, client: AsyncClient, executor: Executor, offers: Mapping[str, Offer], terms: Terms) -> None:
        self._client = client
        self._executor = executor
        self._offers = offers
        self._terms = terms
        self._running: set[str] = set()
        self._failure: Exception | None = None

    async def serve(self, stopping: asyncio.Event, halting: asyncio.Event) -> None:
        """Ask for processes and run them until ``stopping``; then let those that run end, but not after ``halting``.

        Raises:
            KolonyError: the server refuses to give this executor work, and will go on doing so.
        """
        slots = [asyncio.create_task(self._slot(stopping)) for _ in range(self._terms.concurrency)]
        keeper = asyncio.create_task(self._keep_alive(stopping))
        try:
            await stopping.wait()
            logger.info("draining: %d functions are running", len(self._running))
            await unless(halting, asyncio.wait(slots, timeout=self._terms.drain_seconds))
        finally:
            for task in (*slots, keeper):
                task.cancel()
            await asyncio.gather(*slots, keeper, return_exceptions=True)
        if self._failure:
            raise self._failure

    async def _slot(self, stopping: asyncio.Event) -> None:
        try:
            await self._run_strays()
            while not stopping.is_set():
                if process := await unless(stopping, self._next()):
                    await self._run(process)
            await self._run_strays()
        except Exception as error:
            # every slot would fail alike: the others end what they run, and the worker says why it stopped
            self._failure = self._failure or error
            stopping.set()

    async def _next(self) -> Process:
        """Wait for a process, through pauses of the colony and absences of the server."""
        failures = 0
        while True:
            asked = time.monotonic()
            try:
                return await self._client.assignments.assign(
                    _POLL_SECONDS,
                    availablecpu=self._terms.availablecpu,
                    availablemem=self._terms.availablemem,
                )
            except (NotFound, AssignTimeout):
                # usual, unless it comes without the wait that was asked for
                failures = failures + 1 if time.monotonic() - asked < 1 else 0
            except (ConnectionLost, Unavailable, ServerError) as error:
                failures += 1
                logger.warning("no work can be asked for now: %s", error)
            if failures:
                await asyncio.sleep(_PAUSE.delay(failures, random.random()))

    async def _run(self, process: Process) -> None:
        name, processid = process.spec.funcname, process.processid
        logger.info("process %s runs %s", processid, name)
        self._running.add(processid)
        try:
            await execute(self._client, process, self._offers.get(name))
        except asyncio.CancelledError:
            logger.warning("process %s: %s", processid, _STOPPED)
            if not self._terms.leaves:
                with suppress(TimeoutError):
                    async with asyncio.timeout(_GIVE_BACK_SECONDS):
                        await close(self._client, process, Failure([_STOPPED]))
            raise
        finally:
            self._running.discard(processid)

    async def _run_strays(self) -> None:
        """Run what was assigned to this executor without its knowing.

        The answer to a question that was just taken back is lost, and so is what a worker ran that broke down.
        """
        if not self._terms.adopts:
            return
        try:
            for stray in await self._assigned():
                # several slots look at once, and what they run ends meanwhile
                current = await self._client.processes.get(stray.processid)
                ours = current.state == ProcessState.RUNNING and current.attempt == stray.attempt
                if ours and current.processid not in self._running:
                    await self._run(current)
        except KolonyError as error:
            logger.warning("what this executor was running before cannot be found out: %s", error)

    async def _assigned(self) -> list[Process]:
        return await self._client.processes.history(
            ProcessState.RUNNING, _EVER_SECONDS, executorid=self._executor.executorid
        )

    async def _keep_alive(self, stopping: asyncio.Event) -> None:
        while True:
            await asyncio.sleep(self._terms.alive_seconds)
            if len(self._running) < self._terms.concurrency and not stopping.is_set():
                continue
            try:
                await self._client.assignments.paused()
            except KolonyError as error:
                logger.warning("no sign of life could be given: %s", error)


async def unless(event: asyncio.Event, coroutine: Coroutine[Any, Any, T]) -> T | None:
    """The result of a coroutine, which is cancelled when the event is set; what it has done by then counts."""
    work = asyncio.create_task(coroutine)
    stop = asyncio.create_task(event.wait())
    try:
        await asyncio.wait((work, stop), return_when=asyncio.FIRST_COMPLETED)
        work.cancel()
        await asyncio.wait((work,))
        return None if work.cancelled() else work.result()
    finally:
        stop.cancel()
        work.cancel()
