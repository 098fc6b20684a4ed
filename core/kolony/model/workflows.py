"""Workflows: graphs of processes, each of which waits for its parents. The protocol calls them process graphs."""

from __future__ import annotations

from datetime import datetime
from typing import Generic

from kolony.model.base import NO_TIME, Int64, Model, V
from kolony.model.functionspecs import FunctionSpec
from kolony.model.processes import ProcessState

BACKGROUNDS = {
    ProcessState.WAITING: "#eee8d8",
    ProcessState.RUNNING: "#4689cd",
    ProcessState.SUCCESS: "#92d050",
    ProcessState.FAILED: "#cb4239",
    ProcessState.CANCELLED: "#f5a623",
}
"""The colours of drawn processes; nothing else on the wire says their states together."""

_STATES = {colour: state for state, colour in BACKGROUNDS.items()}


class WorkflowSpec(Model, Generic[V]):
    """What to run: the nodes of a graph, each with a name of its own and the names of its parents.

    The order of ``conditions.dependencies`` is the order in which outputs of parents become the input of a node.
    """

    colonyname: str = ""
    functionspecs: list[FunctionSpec[V]] = []


class Label(Model):
    """What is written on a node."""

    label: str = ""


class Position(Model):
    """Where a node is drawn, in pixels."""

    x: Int64 = 0
    y: Int64 = 0


class Style(Model):
    """Colours of a node."""

    color: str = ""
    background: str = ""


class Node(Model):
    """A process as it is drawn; ``type`` is ``input`` without parents, else ``output`` without children."""

    id: str = ""
    data: Label = Label()
    position: Position = Position()
    type: str = ""
    style: Style = Style()

    @property
    def name(self) -> str:
        """The name of the node."""
        return self.data.label

    @property
    def state(self) -> ProcessState:
        """The state of the process."""
        return _STATES.get(self.style.background, ProcessState.WAITING)


class Edge(Model):
    """A dependency as it is drawn, ``animated`` while the parent runs."""

    id: str = ""
    source: str = ""
    target: str = ""
    animated: bool = False


class Workflow(Model):
    """A graph of processes and its state, which has the values of `ProcessState`.

    ``processids`` are all processes, depth first from the roots; in the answer to a submit they are in the order of
    the specification. ``nodes`` and ``edges`` come only with a single workflow that was looked up.
    """

    processgraphid: str = ""
    initiatorid: str = ""
    initiatorname: str = ""
    colonyname: str = ""
    rootprocessids: list[str] = []
    state: Int64 = ProcessState.WAITING
    submissiontime: datetime = NO_TIME
    starttime: datetime = NO_TIME
    endtime: datetime = NO_TIME
    processids: list[str] = []
    nodes: list[Node] = []
    edges: list[Edge] = []
