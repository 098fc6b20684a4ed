"""Processes: submitting work, looking at it, waiting for it, and ending it."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import AsyncGenerator, Iterable
from contextlib import aclosing
from typing import Any, Unpack

from kolony.errors import WaitTimeout
from kolony.model.functionspecs import FunctionSpec
from kolony.model.processes import Process, ProcessState
from kolony.sdk.api import Api, M, method, stream
from kolony.sdk.settings import Key
from kolony.sdk.specs import SpecOptions, in_colony, spec_of
from kolony.sdk.watching import FINAL, watch
from kolony.wire.processes import (
    MAX_COUNT,
    CancelProcess,
    CloseFailed,
    CloseSuccessful,
    GetProcess,
    GetProcesses,
    GetProcessHistory,
    RemoveAllProcesses,
    RemoveProcess,
    SetOutput,
    SubmitFunctionSpec,
    SubmitFunctionSpecs,
)


class Processes(Api[M]):
    """Processes of a colony.

    Submits carry an idempotency key, made once for each call: however often the connection breaks, a call submits
    its work once. Give a key of your own to make that true for repeated calls as well.
    """

    @method
    async def submit(
        self,
        function: FunctionSpec | str,
        *args: Any,
        idempotencykey: str = "",
        key: Key | None = None,
        **options: Unpack[SpecOptions],
    ) -> Process:
        """Submit work (member): a specification, or the name of a function and its arguments.

        Options such as ``executortype`` and ``priority`` win over what a specification says.
        """
        spec = spec_of(function, *args, **options)
        message = SubmitFunctionSpec(
            spec=in_colony(spec, self._colony(spec.conditions.colonyname)),
            idempotencykey=idempotencykey or secrets.token_hex(16),
        )
        return await self._call(message, key)

    @method
    async def submit_many(
        self,
        specs: Iterable[FunctionSpec],
        *,
        idempotencykey: str = "",
        colony: str = "",
        key: Key | None = None,
    ) -> list[Process]:
        """Submit many specifications at once, all or none, answered in their order (member)."""
        colony = self._colony(colony)
        message = SubmitFunctionSpecs(
            colonyname=colony,
            specs=[in_colony(spec, colony) for spec in specs],
            idempotencykey=idempotencykey or secrets.token_hex(16),
        )
        return await self._call(message, key)

    @method
    async def get(self, processid: str, *, key: Key | None = None) -> Process:
        """Look up a process (member)."""
        return await self._call(GetProcess(processid=processid), key)

    @method
    async def find(
        self,
        state: int = ProcessState.WAITING,
        *,
        count: int = MAX_COUNT,
        executortype: str = "",
        initiator: str = "",
        label: str = "",
        colony: str = "",
        key: Key | None = None,
    ) -> list[Process]:
        """Processes in a state (member).

        Waiting ones are in the order of the queue, running ones oldest start first, ended ones newest end first.
        One filter counts: the first of those given.
        """
        message = GetProcesses(
            colonyname=self._colony(colony),
            count=count,
            state=state,
            executortype=executortype,
            label=label,
            initiator=initiator,
        )
        return await self._call(message, key)

    @method
    async def history(
        self, state: int, seconds: int, *, executorid: str = "", colony: str = "", key: Key | None = None
    ) -> list[Process]:
        """Processes in a state that were submitted within the last seconds, oldest first (member)."""
        message = GetProcessHistory(
            colonyname=self._colony(colony), executorid=executorid, seconds=seconds, state=state
        )
        return await self._call(message, key)

    @method
    async def wait(self, processid: str, *, timeout: float | None = None, key: Key | None = None) -> Process:
        """Wait until a process has ended, and return it (member).

        Raises:
            WaitTimeout: it has not ended after ``timeout`` seconds.
        """
        try:
            async with asyncio.timeout(timeout):
                async with aclosing(watch(self._connection, processid, key, FINAL)) as steps:
                    async for process in steps:
                        if process.state in FINAL:
                            return process
        except TimeoutError:
            raise WaitTimeout(f"process {processid} has not ended after {timeout:g} seconds") from None
        raise AssertionError("a watched process ends in a final state")

    @stream
    async def watch(self, processid: str, *, key: Key | None = None) -> AsyncGenerator[Process, None]:
        """The process as it is now, then each time it is seen in another state, until it has ended (member)."""
        async with aclosing(watch(self._connection, processid, key, tuple(ProcessState))) as steps:
            async for process in steps:
                yield process

    @method
    async def close(
        self, processid: str, out: Iterable[Any] = (), *, attempt: int | None = None, key: Key | None = None
    ) -> None:
        """Finish a process with its output (the executor that runs it).

        Without output, what was set before stays. With an ``attempt`` it counts only for that assignment.
        """
        await self._call(CloseSuccessful(processid=processid, out=list(out), attempt=attempt), key)

    @method
    async def fail(
        self, processid: str, errors: Iterable[str], *, attempt: int | None = None, key: Key | None = None
    ) -> None:
        """Fail a process, for good (the executor that runs it).

        The server refuses to fail what has failed. So if the connection broke before the first reply came, the
        repeated call may be refused although the process has failed as it should.
        """
        await self._call(CloseFailed(processid=processid, errors=list(errors), attempt=attempt), key)

    @method
    async def set_output(
        self, processid: str, out: Iterable[Any], *, attempt: int | None = None, key: Key | None = None
    ) -> None:
        """Replace the output of a running process (the executor that runs it, in this attempt if one is named)."""
        await self._call(SetOutput(processid=processid, out=list(out), attempt=attempt), key)

    @method
    async def cancel(self, processid: str, *, key: Key | None = None) -> None:
        """Cancel a waiting or running process (member)."""
        await self._call(CancelProcess(processid=processid), key, once=True)

    @method
    async def remove(self, processid: str, *, key: Key | None = None) -> None:
        """Delete a process that does not run (member)."""
        await self._call(RemoveProcess(processid=processid), key, once=True)

    @method
    async def remove_all(self, state: int, *, colony: str = "", key: Key | None = None) -> None:
        """Delete the processes in one state, or all with -1, the running ones too (colony owner)."""
        message = RemoveAllProcesses(colonyname=self._colony(colony), state=state)
        await self._call(message, key or self._keys.colony)
