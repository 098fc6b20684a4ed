"""Workflows: submitting graphs of functions, following them, ending them, and letting them grow."""

from __future__ import annotations

import asyncio
import secrets
import time
from collections.abc import AsyncGenerator, Iterable
from contextlib import aclosing
from typing import Any, Unpack

from kolony.errors import WaitTimeout
from kolony.model.functionspecs import FunctionSpec
from kolony.model.processes import Process, ProcessState
from kolony.model.workflows import Workflow, WorkflowSpec
from kolony.sdk.api import Api, M, method, stream
from kolony.sdk.graphs import Graph, workflow_spec
from kolony.sdk.settings import Key
from kolony.sdk.specs import SpecOptions, in_colony, named, spec_of
from kolony.sdk.watching import FINAL
from kolony.wire.workflows import (
    MAX_COUNT,
    AddChild,
    CancelWorkflow,
    GetWorkflow,
    GetWorkflows,
    RemoveAllWorkflows,
    RemoveWorkflow,
    SubmitWorkflow,
)

_FIRST_PAUSE_SECONDS, _LAST_PAUSE_SECONDS = 0.1, 2.0
_PAUSE_PER_LOOK, _LONGEST_PAUSE_SECONDS = 10, 30.0
"""A look at a large workflow takes long; the pause after it is so many times longer, up to a limit."""


class Workflows(Api[M]):
    """Workflows of a colony: graphs of processes, each of which waits for its parents.

    Submits carry an idempotency key, as those of processes do.
    """

    @method
    async def submit(
        self,
        workflow: Graph | WorkflowSpec | Iterable[FunctionSpec],
        *,
        idempotencykey: str = "",
        colony: str = "",
        key: Key | None = None,
    ) -> Workflow:
        """Submit a workflow, whole or not at all (member).

        The answer has the processes in the order of the specification, and no ``nodes`` yet.
        """
        named = workflow.colonyname if isinstance(workflow, WorkflowSpec) else ""
        message = SubmitWorkflow(
            spec=workflow_spec(workflow, self._colony(colony or named)),
            idempotencykey=idempotencykey or secrets.token_hex(16),
        )
        return await self._call(message, key)

    @method
    async def get(self, processgraphid: str, *, key: Key | None = None) -> Workflow:
        """Look up a workflow, with its nodes and their states (member)."""
        return await self._call(GetWorkflow(processgraphid=processgraphid), key)

    @method
    async def find(
        self,
        state: int = ProcessState.WAITING,
        *,
        count: int = MAX_COUNT,
        colony: str = "",
        key: Key | None = None,
    ) -> list[Workflow]:
        """Workflows in a state, newest first, without their nodes (member)."""
        return await self._call(GetWorkflows(colonyname=self._colony(colony), count=count, state=state), key)

    @method
    async def wait(self, processgraphid: str, *, timeout: float | None = None, key: Key | None = None) -> Workflow:
        """Wait until a workflow has succeeded, failed or been cancelled, and return it (member).

        One that failed may have nodes that go on: those that do not depend on the one that failed.

        Raises:
            WaitTimeout: it has not ended after ``timeout`` seconds.
        """
        try:
            async with asyncio.timeout(timeout), aclosing(self._steps(processgraphid, key)) as steps:
                async for workflow in steps:
                    if workflow.state in FINAL:
                        return workflow
        except TimeoutError:
            raise WaitTimeout(f"workflow {processgraphid} has not ended after {timeout:g} seconds") from None
        raise AssertionError("a watched workflow ends in a final state")

    @stream
    async def watch(self, processgraphid: str, *, key: Key | None = None) -> AsyncGenerator[Workflow, None]:
        """The workflow as it is now, then each time that it or a node is seen in another state, until it has ended.

        Nothing tells of workflows, so the workflow is read again and again, less often while nothing happens (member).
        """
        async with aclosing(self._steps(processgraphid, key)) as steps:
            async for workflow in steps:
                yield workflow

    @method
    async def cancel(self, processgraphid: str, *, key: Key | None = None) -> None:
        """Cancel what waits and what runs of a workflow (member)."""
        await self._call(CancelWorkflow(processgraphid=processgraphid), key, once=True)

    @method
    async def remove(self, processgraphid: str, *, key: Key | None = None) -> None:
        """Delete a workflow that does not run, with its processes (member)."""
        await self._call(RemoveWorkflow(processgraphid=processgraphid), key, once=True)

    @method
    async def remove_all(self, state: int, *, colony: str = "", key: Key | None = None) -> None:
        """Delete the workflows in one state, or all with -1, the running ones too, with their processes (owner)."""
        message = RemoveAllWorkflows(colonyname=self._colony(colony), state=state)
        await self._call(message, key or self._keys.colony)

    @method
    async def add_child(
        self,
        processgraphid: str,
        parentprocessid: str,
        function: FunctionSpec | str,
        *args: Any,
        name: str = "",
        childprocessid: str = "",
        insert: bool = False,
        idempotencykey: str = "",
        key: Key | None = None,
        **options: Unpack[SpecOptions],
    ) -> Process:
        """Add a process that waits for one that runs (the executor that runs it).

        The function is given as in `Processes.submit`. With ``childprocessid`` that process waits for the new one as
        well; with ``insert`` all children of the parent wait for the new one in the parent's place.
        """
        spec = named(spec_of(function, *args, **options), name)
        message = AddChild(
            processgraphid=processgraphid,
            parentprocessid=parentprocessid,
            childprocessid=childprocessid,
            insert=insert,
            spec=in_colony(spec, self._colony(spec.conditions.colonyname)),
            idempotencykey=idempotencykey or secrets.token_hex(16),
        )
        return await self._call(message, key)

    async def _steps(self, processgraphid: str, key: Key | None) -> AsyncGenerator[Workflow, None]:
        seen: object = None
        pause = _FIRST_PAUSE_SECONDS
        while True:
            asked = time.monotonic()
            workflow = await self._call(GetWorkflow(processgraphid=processgraphid), key)
            took = time.monotonic() - asked
            found = (workflow.state, {node.id: node.state for node in workflow.nodes})
            if found != seen:
                seen, pause = found, _FIRST_PAUSE_SECONDS
                yield workflow
            if workflow.state in FINAL:
                return
            await asyncio.sleep(max(pause, min(_PAUSE_PER_LOOK * took, _LONGEST_PAUSE_SECONDS)))
            pause = min(2 * pause, _LAST_PAUSE_SECONDS)
