"""The worker: offers Python functions to a colony and runs what the colony asks of them.

A worker has as many slots as it runs functions at once. Each slot asks for a process, waits in the server until there
is one, runs it, closes it, and asks again. When all slots are busy nobody asks, so the worker gives signs of life of
its own. The whole goes through four states:

    starting -> polling -> draining -> stopped

`Worker.stop` (or SIGTERM, or SIGINT) begins the draining: nothing more is asked for, and what runs may end. What
still runs when the time for that is up, or at a second `stop`, is cancelled and given back: to the queue if the
worker leaves the colony, otherwise as failed.
"""

from __future__ import annotations

import asyncio
import logging
import secrets
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar, Unpack, overload

from kolony.crypto import PrivateKey
from kolony.errors import ConfigurationError, KolonyError
from kolony.model.base import sparse
from kolony.model.executors import Capabilities, Executor
from kolony.sdk.client import AsyncClient
from kolony.sdk.keyfiles import read_key, write_key
from kolony.sdk.settings import ExecutorSettings, Options, Settings
from kolony.sdk.worker.enrolment import enrol, leave, offer, recognise
from kolony.sdk.worker.functions import Offer
from kolony.sdk.worker.slots import Slots, Terms, unless

logger = logging.getLogger("kolony.worker")

F = TypeVar("F", bound=Callable[..., Any])


class Worker:
    """An executor of Python functions.

    With the colony owner's key (COLONIES_COLONY_PRVKEY, or ``colony_key``) it enrols itself, under a key of its own
    making: one from ``key_file``, which is made when it does not exist, or else one that lives as long as the worker,
    which then leaves the colony when it stops. Without the owner's key it is the approved executor that
    COLONIES_PRVKEY belongs to. A ``key`` that is given in the call is used in either case.

    Settings come from the environment; options, the fields of `Settings`, win over them.
    """

    def __init__(
        self,
        name: str = "",
        type: str = "",
        *,
        concurrency: int = 1,
        key_file: Path | str | None = None,
        locationname: str = "",
        capabilities: Capabilities | None = None,
        availablecpu: str = "",
        availablemem: str = "",
        drain_seconds: float = 20.0,
        alive_seconds: float = 30.0,
        **options: Unpack[Options],
    ) -> None:
        """Describe the worker; nothing is done before `run` or `serve`.

        Args:
            name: of the executor; else COLONIES_EXECUTOR_NAME, else one made of the type.
            type: of the executor, which processes ask for; else COLONIES_EXECUTOR_TYPE.
            concurrency: how many functions run at once.
            key_file: where the worker keeps its own key.
            locationname: where the executor is.
            capabilities: what the executor says it has.
            availablecpu: most CPU that one process may ask for, such as ``2000m``.
            availablemem: most memory that one process may ask for, such as ``4Gi``.
            drain_seconds: how long running functions may go on after a stop; the default leaves time to give the
                rest back within the 30 seconds of a Kubernetes pod.
            alive_seconds: pause between signs of life when all slots are busy; the server waits ten minutes.
            options: fields of `Settings`.
        """
        if concurrency < 1:
            raise ConfigurationError("a worker runs at least one function at once")
        if key_file and options.get("key"):
            raise ConfigurationError("a worker has one key: give it the key, or the file that holds it")
        env = ExecutorSettings.from_env()
        self._settings = Settings.from_env(**options)
        self._type = type or env.type
        self._name = name or env.name
        self._key_given = options.get("key") is not None
        self._key_file = Path(key_file) if key_file else None
        self._locationname = locationname
        self._capabilities = capabilities or Capabilities()
        self._limits = (availablecpu, availablemem)
        self._concurrency = concurrency
        self._drain_seconds = drain_seconds
        self._alive_seconds = alive_seconds
        self._offers: dict[str, Offer] = {}
        self._loop: asyncio.AbstractEventLoop | None = None
        self._stopping, self._halting = asyncio.Event(), asyncio.Event()
        self.enrolled = asyncio.Event()
        """Set once the worker is an executor of the colony and its functions are offered."""

    @overload
    def function(self, function: F) -> F: ...
    @overload
    def function(self, *, name: str) -> Callable[[F], F]: ...
    def function(self, function: Callable[..., Any] | None = None, *, name: str = "") -> Any:
        """Offer the decorated function, under its own name or another.

        A coroutine runs on the worker's loop, any other function in a thread. What it returns is the output of the
        process: the values of a list or tuple, nothing for ``None``, else the one value. If it raises, the process
        fails with the text of the error, and the traceback is in its log.
        """

        def register(function: Callable[..., Any]) -> Callable[..., Any]:
            offered = name or function.__name__
            if offered in self._offers:
                raise ConfigurationError(f"the worker offers a function named {offered!r} already")
            self._offers[offered] = Offer(offered, function)
            return function

        return register(function) if function else register

    def run(self) -> None:
        """Serve until SIGTERM or SIGINT, then drain; blocks. For the main thread of a program.

        Raises:
            SystemExit: the worker cannot do its work; the text says why.
        """
        logging.basicConfig(format="%(asctime)s %(levelname)s %(message)s")
        if not logger.level:
            logger.setLevel(logging.INFO)
        try:
            asyncio.run(self._serve_until_signal())
        except KolonyError as error:
            sys.exit(f"error: {error.message}")

    async def serve(self) -> None:
        """Serve until `stop`, then drain.

        Raises:
            ConfigurationError: the worker cannot become an executor of the colony.
            KolonyError: the server refuses to give it work.
        """
        self._loop = asyncio.get_running_loop()
        key, new = self._own_key()
        leaves = new and self._key_file is None
        wanted = self._wanted(key)
        async with AsyncClient(self._settings, key=key) as client:
            try:
                executor = await unless(self._stopping, self._join(client, wanted))
                if executor:
                    self.enrolled.set()
                    slots = Slots(client, executor, self._offers, self._terms(leaves))
                    await slots.serve(self._stopping, self._halting)
            finally:
                if leaves:
                    await leave(client, wanted)
                logger.info("stopped")

    def stop(self) -> None:
        """Begin to drain; called again, stop at once. May be called from any thread."""
        if self._loop is None:
            self._stop()
        else:
            self._loop.call_soon_threadsafe(self._stop)

    def _stop(self) -> None:
        (self._halting if self._stopping.is_set() else self._stopping).set()

    async def _serve_until_signal(self) -> None:
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self.stop)
        await self.serve()

    def _own_key(self) -> tuple[PrivateKey, bool]:
        """The key of the executor, and whether it was made just now."""
        key = self._settings.key
        if self._key_file and self._key_file.exists():
            return read_key(self._key_file), False
        if key and (self._key_given or not self._settings.colony_key):
            return PrivateKey(key) if isinstance(key, str) else key, False
        if not self._settings.colony_key:
            raise ConfigurationError(
                "no key: set COLONIES_COLONY_PRVKEY so that the worker can enrol itself, or COLONIES_PRVKEY to the key "
                "of an approved executor"
            )
        made = PrivateKey.generate()
        if self._key_file:
            write_key(self._key_file, made)
        return made, True

    def _wanted(self, key: PrivateKey) -> Executor:
        enrols = bool(self._settings.colony_key)
        if enrols and not self._type:
            raise ConfigurationError("no type of executor: name one, or set COLONIES_EXECUTOR_TYPE")
        name = self._name or (f"{self._type}-{secrets.token_hex(4)}" if enrols else "")
        return Executor(
            executorid=key.identity,
            executorname=name,
            executortype=self._type,
            colonyname=self._settings.colony,
            locationname=sparse(self._locationname),
            capabilities=self._capabilities,
        )

    async def _join(self, client: AsyncClient, wanted: Executor) -> Executor:
        """Become an executor of the colony that offers the functions."""
        executor = await (enrol if self._settings.colony_key else recognise)(client, wanted)
        await offer(client, executor, self._offers.values())
        logger.info("executor %s (%s) offers %s", executor.executorname, executor.executortype, ", ".join(self._offers))
        return executor

    def _terms(self, leaves: bool) -> Terms:
        cpu, mem = self._limits
        return Terms(
            concurrency=self._concurrency,
            availablecpu=cpu,
            availablemem=mem,
            alive_seconds=self._alive_seconds,
            drain_seconds=self._drain_seconds,
            leaves=leaves,
            adopts=self._key_file is not None,
        )
