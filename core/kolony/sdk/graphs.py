"""Workflows built in Python: nodes, and arrows from each node to those that wait for it.

    graph = Graph()
    split = graph.call("split", executortype="cli")
    count = graph.map("count", ["a", "b", "c"], executortype="cli")
    merge = graph.call("merge", executortype="cli")
    split >> count >> merge
    client.workflows.submit(graph)

An arrow joins nodes and lists of nodes, and gives what stands on its right: ``a >> [b, c] >> d`` is a diamond. Between
two lists it goes from each to each. The arrows into a node, in the order in which they were drawn, are the order in
which outputs of its parents become its input. What cannot be a workflow is refused where it is said.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator
from itertools import count
from typing import Any, Unpack, overload

from msgspec.structs import replace

from kolony.errors import BadRequest
from kolony.model.functionspecs import FunctionSpec
from kolony.model.workflows import WorkflowSpec
from kolony.sdk.specs import SpecOptions, spec_of


class Graph:
    """A workflow in the making."""

    def __init__(self) -> None:
        self._nodes: dict[str, Node] = {}
        self._numbers: defaultdict[str, Iterator[int]] = defaultdict(lambda: count(1))

    def call(self, function: FunctionSpec | str, *args: Any, name: str = "", **options: Unpack[SpecOptions]) -> Node:
        """Add a node: a call of a function, which is given as in `Processes.submit`.

        Without a ``name``, here or in a specification, it is named after the function.

        Raises:
            BadRequest: there is a node of that name.
        """
        spec = spec_of(function, *args, **options)
        if spec.conditions.dependencies:
            raise BadRequest(f"node {spec.nodename or spec.funcname!r} names its parents itself; draw arrows instead")
        return self._add(spec, name or spec.nodename or self._name(spec.funcname))

    def map(self, function: str, items: Iterable[Any], *, name: str = "", **options: Unpack[SpecOptions]) -> Nodes:
        """Add a node for each item, which is the argument of the function, named ``name-1``, ``name-2`` and so on."""
        base = name or function
        return Nodes(self._add(spec_of(function, item, **options), self._name(base, numbered=True)) for item in items)

    def spec(self, colony: str = "") -> WorkflowSpec:
        """What is submitted: the nodes in the order in which they were added."""
        return WorkflowSpec(colonyname=colony, functionspecs=[node.spec for node in self._nodes.values()])

    def _add(self, spec: FunctionSpec, name: str) -> Node:
        if name in self._nodes:
            raise BadRequest(f"there is a node {name!r} already")
        node = self._nodes[name] = Node(self, replace(spec, nodename=name))
        return node

    def _name(self, base: str, *, numbered: bool = False) -> str:
        """A free name: the base itself for the first node that asks, unless all are to be numbered."""
        names = (f"{base}-{number}" if numbered or number > 1 else base for number in self._numbers[base])
        return next(name for name in names if name not in self._nodes)


def workflow_spec(workflow: Graph | WorkflowSpec | Iterable[FunctionSpec], colony: str) -> WorkflowSpec:
    """The specification of a workflow for a colony: of a graph, of a list of nodes, or the one that it is."""
    if isinstance(workflow, Graph):
        return workflow.spec(colony)
    if isinstance(workflow, WorkflowSpec):
        return replace(workflow, colonyname=colony)
    return WorkflowSpec(colonyname=colony, functionspecs=list(workflow))


class _Joining:
    """What arrows begin and end at."""

    def _members(self) -> Iterable[Node]:
        raise NotImplementedError

    @overload
    def __rshift__(self, others: Node) -> Node: ...
    @overload
    def __rshift__(self, others: Iterable[Node]) -> Nodes: ...
    def __rshift__(self, others: Node | Iterable[Node]) -> Node | Nodes:
        """Let others wait for this."""
        ends = others if isinstance(others, Node) else _nodes(others)
        for child in ends._members():
            for parent in self._members():
                child._wait_for(parent)
        return ends


class Node(_Joining):
    """One function of a workflow; made by `Graph.call` and `Graph.map`."""

    def __init__(self, graph: Graph, spec: FunctionSpec) -> None:
        self._graph = graph
        self._spec = spec
        # dictionaries are sets that remember the order
        self._parents: dict[Node, None] = {}
        self._children: dict[Node, None] = {}

    @property
    def name(self) -> str:
        """Its name in the workflow."""
        return self._spec.nodename

    @property
    def spec(self) -> FunctionSpec:
        """What is submitted for it."""
        parents = [parent.name for parent in self._parents]
        return replace(self._spec, conditions=replace(self._spec.conditions, dependencies=parents))

    def __rrshift__(self, others: Iterable[Node]) -> Node:
        """Wait for a list of others."""
        return _nodes(others) >> self

    def __repr__(self) -> str:
        return f"<node {self.name!r}>"

    def _members(self) -> Iterable[Node]:
        return (self,)

    def _wait_for(self, parent: Node) -> None:
        if parent._graph is not self._graph:
            raise BadRequest(f"nodes {parent.name!r} and {self.name!r} are of different graphs")
        if parent in self._parents:
            raise BadRequest(f"node {self.name!r} waits for {parent.name!r} already")
        if _leads(self, parent):
            raise BadRequest(f"node {self.name!r} cannot wait for {parent.name!r}, which waits for it: a cycle")
        self._parents[parent] = parent._children[self] = None


class Nodes(tuple[Node, ...], _Joining):
    """Several nodes of a workflow."""

    def __rrshift__(self, others: Iterable[Node]) -> Nodes:
        """Wait for a list of others."""
        return _nodes(others) >> self

    def _members(self) -> Iterable[Node]:
        return self


def _nodes(items: Iterable[Node]) -> Nodes:
    nodes = Nodes(items)
    for node in nodes:
        if not isinstance(node, Node):
            raise TypeError(f"an arrow joins nodes, not {node!r}")
    return nodes


def _leads(start: Node, goal: Node) -> bool:
    """Whether arrows lead from one node to another.

    Looks down from the one and up from the other in turn, until either side has seen all: a new node, which has no
    children or no parents yet, costs nothing, however large the graph is.
    """
    down = _reached(start, lambda node: node._children)
    up = _reached(goal, lambda node: node._parents)
    return any(lower is goal or upper is start for lower, upper in zip(down, up, strict=False))


def _reached(start: Node, neighbours: Callable[[Node], Iterable[Node]]) -> Iterator[Node]:
    """The node, and each that can be reached from it, once."""
    yield start
    seen, found = {start}, [start]
    for node in found:
        for each in neighbours(node):
            if each not in seen:
                seen.add(each)
                found.append(each)
                yield each
