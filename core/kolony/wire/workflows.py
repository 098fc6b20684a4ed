"""Messages about workflows."""

from __future__ import annotations

from typing import Generic

from kolony.model.base import Int64, V
from kolony.model.functionspecs import FunctionSpec
from kolony.model.processes import Process
from kolony.model.workflows import Workflow, WorkflowSpec
from kolony.wire.message import Message

MAX_COUNT = 100
"""Most workflows of one list."""


class SubmitWorkflow(Message[Workflow], Generic[V], tag="submitworkflowspecmsg"):
    """Submit a workflow (approved member).

    A submit that repeats the caller's ``idempotencykey`` in a colony answers with the workflow of the first.
    """

    failure = "Failed to submit workflow"
    malformed = "Failed to submit workkflow, invalid JSON"
    spec: WorkflowSpec[V] | None = None
    idempotencykey: str = ""


class AddChild(Message[Process[V]], Generic[V], tag="addchildmsg"):
    """Add a process below one that runs (the executor that runs it).

    With ``childprocessid`` the new process comes between the two; with ``insert`` it takes over all children.
    A call that repeats an ``idempotencykey`` in a workflow, by whichever executor, answers with the child of the first.
    """

    failure = "Failed to add child to processgraph"
    processgraphid: str = ""
    parentprocessid: str = ""
    childprocessid: str = ""
    spec: FunctionSpec[V] | None = None
    insert: bool = False
    idempotencykey: str = ""


class GetWorkflow(Message[Workflow], tag="getprocessgraphmsg"):
    """Look up a workflow (approved member)."""

    failure = "Failed to get processgraph"
    processgraphid: str = ""


class GetWorkflows(Message[list[Workflow]], tag="getprocessgraphsmsg"):
    """List workflows in one state, newest first (approved member)."""

    failure = "Failed to get processgraphs"
    colonyname: str = ""
    count: Int64 = 0
    state: Int64 = 0


class CancelWorkflow(Message[None], tag="cancelprocessgraphmsg"):
    """Cancel what waits or runs of a workflow (approved member)."""

    failure = "Failed to cancel processgraph"
    processgraphid: str = ""


class RemoveWorkflow(Message[None], tag="removeprocessgraphmsg"):
    """Delete a workflow that does not run, with its processes (approved member)."""

    failure = "Failed to remove processgraph"
    processgraphid: str = ""
    all: bool = False


class RemoveAllWorkflows(Message[None], tag="removeallprocessgraphsmsg"):
    """Delete the workflows in one state, or all with -1, with their processes (colony owner)."""

    failure = "Failed to remove all processgraphs"
    colonyname: str = ""
    state: Int64 = 0
