"""Workflows in the database. How the end of a process is passed on in its workflow is with the processes."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Sequence
from datetime import UTC, datetime
from functools import cached_property
from typing import NamedTuple

import msgspec
from msgspec import Raw

from kolony.model.base import NO_TIME, ColonyName
from kolony.model.processes import Process
from kolony.model.workflows import Workflow
from kolony_apiserver.store.database import Row, records
from kolony_apiserver.store.processes import (
    Change,
    Processes,
    Submission,
    settlement,
    submission_records,
)
from kolony_apiserver.store.repository import Repository

_VALUES = msgspec.json.Decoder(list[Raw])
_EVER = datetime(9999, 1, 1, tzinfo=UTC)
_CHUNK = 5_000
"""Most rows of one statement: what is sent at once stays in bounds."""


class Dependency(msgspec.Struct, frozen=True, kw_only=True):
    """A process that waits for another: ``nth`` among those it waits for, ``rank`` its place in the workflow."""

    parentid: str
    childid: str
    nth: int
    rank: int


class Graph:
    """Who waits for whom: the states of all processes in the order of the specification, and the children of each."""

    def __init__(self) -> None:
        self.states: dict[str, int] = {}
        self.children: dict[str, list[str]] = defaultdict(list)

    @cached_property
    def roots(self) -> list[str]:
        """The processes that wait for nobody."""
        waiting = {child for children in self.children.values() for child in children}
        return [processid for processid in self.states if processid not in waiting]

    @cached_property
    def depths(self) -> dict[str, int]:
        """Every process, depth first from the roots, with the depth at which it is met first."""
        depths: dict[str, int] = {}
        ahead = [(root, 0) for root in reversed(self.roots)]
        while ahead:
            processid, depth = ahead.pop()
            if processid not in depths:
                depths[processid] = depth
                ahead += [(child, depth + 1) for child in reversed(self.children.get(processid, []))]
        return depths


class Locked(NamedTuple):
    """A workflow that nobody else changes until the transaction ends."""

    state: int
    size: int


class Workflows(Repository):
    """Queries about workflows."""

    async def add(
        self,
        workflow: Workflow,
        processes: Sequence[Process[Raw]],
        classids: Sequence[int],
        dependencies: Sequence[Dependency],
        *,
        key: str,
    ) -> bool:
        """Store a workflow with its processes, whose classes are held; false when its key was used."""
        added = await self.session.value(
            "add_workflow",
            workflowid=workflow.processgraphid,
            colony=workflow.colonyname,
            initiatorid=workflow.initiatorid,
            initiatorname=workflow.initiatorname,
            now=workflow.submissiontime,
            size=len(processes),
            key=key,
        )
        if added is None:
            return False
        await self._add_processes(processes, classids, rank=0)
        await self._add_dependencies(workflow.processgraphid, dependencies)
        return True

    async def _add_processes(self, processes: Sequence[Process[Raw]], classids: Sequence[int], *, rank: int) -> None:
        for start in range(0, len(processes), _CHUNK):
            end = start + _CHUNK
            chunk = Submission(processes=processes[start:end], classids=classids[start:end])
            await Processes(self.session).add(submission_records([chunk], rank=rank + start))

    async def _add_dependencies(self, workflowid: str, dependencies: Sequence[Dependency]) -> None:
        for start in range(0, len(dependencies), _CHUNK):
            chunk = records(dependencies[start : start + _CHUNK])
            await self.session.run("add_dependencies", workflowid=workflowid, dependencies=chunk)

    async def colony_of(self, workflowid: str) -> ColonyName | None:
        """The colony of a workflow, found by key alone."""
        name: ColonyName | None = await self.session.value("workflow_colony", workflowid=workflowid)
        return name

    async def state(self, workflowid: str) -> int | None:
        """The state of a workflow; `None` when there is none of that id."""
        state: int | None = await self.session.value("workflow_state", workflowid=workflowid)
        return state

    async def get(self, colony: str, workflowid: str) -> tuple[Workflow, Graph] | None:
        """One workflow of a colony and its graph."""
        return await self.session.one("get_workflow", _drawn, workflowid=workflowid, colony=colony)

    async def find(self, colony: str, *, state: int, count: int) -> list[Workflow]:
        """Workflows in one state, the newest first."""
        return await self.session.all(
            "find_workflows", lambda row: _drawn(row)[0], colony=colony, state=state, count=count
        )

    async def labels(self, workflowid: str) -> dict[str, str]:
        """The names of the nodes, by the ids of their processes."""
        return dict(
            await self.session.all(
                "find_labels", lambda row: (row["processid"], row["label"] or ""), workflowid=workflowid
            )
        )

    async def leaf_outputs(self, workflowid: str) -> list[Raw]:
        """What the processes without children put out, in depth-first order."""
        outputs = dict(
            await self.session.all(
                "find_leaf_outputs",
                lambda row: (row["processid"], _VALUES.decode(row["output"])),
                workflowid=workflowid,
            )
        )
        graph = await self.session.one("get_graph", _graph, workflowid=workflowid) or Graph()
        return [value for processid in graph.depths for value in outputs.get(processid, [])]

    async def lock(self, workflowid: str) -> Locked | None:
        """Keep everyone else from changing a workflow; `None` when it is gone."""
        return await self.session.one("lock_workflow", lambda row: Locked(**row), workflowid=workflowid)

    async def settle(self, processids: Sequence[str], *, now: datetime) -> list[Change]:
        """Pass on the end of processes in their workflows; which others it changed."""
        lock, *steps = settlement(processids, now)
        await self.session.run(lock.name, **lock.parameters)
        return [
            change
            for step in steps
            for change in await self.session.all(step.name, lambda row: Change(**row), **step.parameters)
        ]

    async def unsettled(self, limit: int) -> list[str]:
        """Processes whose end was not passed on."""
        return await self.session.all("find_unsettled", lambda row: str(row["processid"]), limit=limit)

    async def cancel(self, workflowid: str, locked: Locked, *, now: datetime) -> list[Change]:
        """Cancel what waits or runs of a locked workflow; a workflow of which nothing does stays as it is."""
        cancelled = await self.session.all("cancel_nodes", lambda row: Change(**row), workflowid=workflowid, now=now)
        if cancelled or locked.state < 2:
            await self.session.run("cancel_workflow", workflowid=workflowid, now=now)
        return cancelled

    async def remove(self, workflowids: Sequence[str]) -> None:
        """Delete locked workflows with their processes."""
        await self.session.run("remove_nodes", workflowids=list(workflowids))
        await self.session.run("remove_dependencies", workflowids=list(workflowids))
        await self.session.run("remove_workflows", workflowids=list(workflowids))

    async def remove_all(
        self, colony: str, states: Collection[int], *, before: datetime = _EVER, limit: int | None = None
    ) -> int:
        """Delete workflows of a colony in some states, submitted before a time; how many."""
        found = await self.session.all(
            "lock_found_workflows",
            lambda row: str(row["workflowid"]),
            colony=colony,
            states=list(states),
            before=before,
            limit=limit,
        )
        if found:
            await self.remove(found)
        return len(found)

    async def grow(
        self, process: Process[Raw], classid: int, *, parentid: str, childid: str, insert: bool, rank: int
    ) -> bool:
        """Add a process below a running one of a locked workflow, before another process or all children of that one.

        False when the other process does not wait for parents; then the transaction is of no use.
        """
        workflowid = process.processgraphid
        await self._add_processes([process], [-classid], rank=rank)
        if insert:
            await self.session.run(
                "hand_over_children", workflowid=workflowid, from_parent=parentid, to_parent=process.processid
            )
        elif (
            childid
            and await self.session.value(
                "put_before", workflowid=workflowid, parentid=process.processid, childid=childid
            )
            is None
        ):
            return False
        await self._add_dependencies(
            workflowid, [Dependency(parentid=parentid, childid=process.processid, nth=0, rank=rank)]
        )
        await self.session.run("grow_workflow", workflowid=workflowid)
        return True


def _graph(row: Row) -> Graph:
    graph = Graph()
    graph.states.update(row["nodes"] or [])
    for parentid, childid in row["edges"] or []:
        children = graph.children[parentid]
        # whoever waits twice for the same is one child
        if childid not in children[-1:]:
            children.append(childid)
    return graph


def _drawn(row: Row) -> tuple[Workflow, Graph]:
    graph = _graph(row)
    workflow = Workflow(
        processgraphid=row["workflowid"],
        initiatorid=row["initiatorid"],
        initiatorname=row["initiatorname"],
        colonyname=row["colonyname"],
        rootprocessids=graph.roots,
        state=row["state"],
        submissiontime=row["submissiontime"],
        starttime=row["starttime"] or NO_TIME,
        endtime=row["endtime"] or NO_TIME,
        processids=list(graph.depths),
    )
    return workflow, graph
