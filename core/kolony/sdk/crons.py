"""Crons."""

from __future__ import annotations

from collections.abc import Iterable

import msgspec
from msgspec.structs import replace

from kolony.model.crons import BY_EXPRESSION, Cron
from kolony.model.functionspecs import FunctionSpec
from kolony.model.workflows import WorkflowSpec
from kolony.sdk.api import Api, M, method
from kolony.sdk.graphs import Graph, workflow_spec
from kolony.sdk.settings import Key
from kolony.wire.crons import AddCron, GetCron, GetCrons, PauseCron, RemoveCron, ResumeCron, RunCron, UpdateCron

ALL = 2**31 - 1
"""A count that no list reaches."""

Workflow = Graph | WorkflowSpec | Iterable[FunctionSpec]
"""What a cron starts."""


class Crons(Api[M]):
    """Crons of a colony. Any member may do anything with any of them."""

    @method
    async def add(self, cron: Cron, workflow: Workflow | None = None, *, key: Key | None = None) -> Cron:
        """Add a cron that starts a workflow (member); without an interval it goes by its expression.

        The workflow may also stand in the cron as text.
        """
        return await self._call(AddCron(cron=self._complete(cron, workflow)), key, once=True)

    @method
    async def get(self, cronid: str, *, key: Key | None = None) -> Cron:
        """Look up a cron (member)."""
        return await self._call(GetCron(cronid=cronid), key)

    @method
    async def find(self, *, count: int = ALL, colony: str = "", key: Key | None = None) -> list[Cron]:
        """The crons of a colony, the oldest first (member)."""
        return await self._call(GetCrons(colonyname=self._colony(colony), count=count), key)

    @method
    async def run(self, cronid: str, *, key: Key | None = None) -> Cron:
        """Run a cron now (member); its ``prevprocessgraphid`` is the workflow that was started.

        Nothing is started while a cron waits for its previous workflow, or when its workflow cannot be started.
        """
        return await self._call(RunCron(cronid=cronid), key, once=True)

    @method
    async def pause(self, cronid: str, *, key: Key | None = None) -> Cron:
        """Let a cron rest; times that pass meanwhile are not made up for (member)."""
        return await self._call(PauseCron(cronid=cronid), key)

    @method
    async def resume(self, cronid: str, *, key: Key | None = None) -> Cron:
        """Let a cron run again (member)."""
        return await self._call(ResumeCron(cronid=cronid), key)

    @method
    async def update(self, cron: Cron, workflow: Workflow | None = None, *, key: Key | None = None) -> Cron:
        """Replace all that is said about a cron, found by its id (member); the caller becomes its initiator."""
        return await self._call(UpdateCron(cron=self._complete(cron, workflow)), key)

    @method
    async def remove(self, cronid: str, *, key: Key | None = None) -> None:
        """Remove a cron; workflows that it started go on (member)."""
        await self._call(RemoveCron(cronid=cronid), key, once=True)

    def _complete(self, cron: Cron, workflow: Workflow | None) -> Cron:
        colony = self._colony(cron.colonyname)
        return replace(
            cron,
            colonyname=colony,
            interval=cron.interval or BY_EXPRESSION,
            workflowspec=cron.workflowspec if workflow is None else workflow_text(workflow, colony),
        )


def workflow_text(workflow: Workflow, colony: str) -> str:
    """The JSON text of a workflow for a colony, unless it names one itself, as crons and generators hold it."""
    named = workflow.colonyname if isinstance(workflow, WorkflowSpec) else ""
    return msgspec.json.encode(workflow_spec(workflow, named or colony)).decode()
