"""How a workflow is drawn: where its processes stand, and the lines between them."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping

from kolony.model.processes import ProcessState
from kolony.model.workflows import BACKGROUNDS, Edge, Label, Node, Position, Style
from kolony_apiserver.store.workflows import Graph

_WIDTH, _GAP, _HEIGHT = 150, 50, 80


def draw(graph: Graph, labels: Mapping[str, str]) -> tuple[list[Node], list[Edge]]:
    """The nodes in levels below the roots, each level centred, and the edges in the order of the walk."""
    levels: dict[int, list[str]] = defaultdict(list)
    for processid, depth in graph.depths.items():
        levels[depth].append(processid)
    widest = max((_width(level) for level in levels.values()), default=0)
    places = {
        processid: Position(x=nth * (_WIDTH + _GAP) + widest // 2 - _width(level) // 2, y=depth * _HEIGHT)
        for depth, level in levels.items()
        for nth, processid in enumerate(level)
    }
    roots = set(graph.roots)
    nodes = [
        Node(
            id=processid,
            data=Label(label=labels.get(processid, "")),
            position=places[processid],
            type="input" if processid in roots else "" if graph.children.get(processid) else "output",
            style=Style(background=BACKGROUNDS[ProcessState(graph.states[processid])]),
        )
        for processid in graph.depths
    ]
    edges = [
        Edge(
            id=f"{processid}-{child}",
            source=processid,
            target=child,
            animated=graph.states[processid] == ProcessState.RUNNING,
        )
        for processid in graph.depths
        for child in graph.children.get(processid, [])
    ]
    return nodes, edges


def _width(level: list[str]) -> int:
    return len(level) * _WIDTH + (len(level) - 1) * _GAP
