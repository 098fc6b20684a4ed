"""Workflows drawn as trees, also while they run."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence

from rich.console import Console
from rich.live import Live
from rich.text import Text
from rich.tree import Tree

from kolony.cli.output import STYLES, console, state_name
from kolony.cli.picking import SHOWN_DIGITS
from kolony.cli.processes import took
from kolony.errors import NotFound
from kolony.model.processes import Process, ProcessState
from kolony.model.workflows import Node, Workflow
from kolony.sdk.client import Client

_MOST_LINES = 200
_MOST_EXPLAINED = 100
_LEVEL_WIDTH, _NAME_WIDTH = 4, 24

Failures = Mapping[str, Process]
"""Processes that failed themselves, by id."""


def follow(client: Client, processgraphid: str) -> Workflow:
    """Draw a workflow on standard error until it has ended, and return it."""
    screen = console(stderr=True)
    # in a file or a pipe only what is printed last is seen
    with Live(console=screen, auto_refresh=False, transient=True) as live:
        for workflow in client.workflows.watch(processgraphid):
            live.update(draw(workflow, width=screen.width), refresh=True)
    show(client, workflow, screen)
    return workflow


def show(client: Client, workflow: Workflow, screen: Console) -> None:
    """Draw a workflow, and say why nodes failed."""
    screen.print(draw(workflow, failures(client, workflow), width=screen.width))


def failures(client: Client, workflow: Workflow) -> dict[str, Process]:
    """The processes that failed themselves, and not with the others; in a large workflow, of the first that failed."""
    failed = [node.id for node in workflow.nodes if node.state is ProcessState.FAILED]
    processes = (client.processes.get(processid) for processid in failed[:_MOST_EXPLAINED])
    try:
        return {process.processid: process for process in processes if process.errors}
    except NotFound:
        # removed meanwhile
        return {}


def draw(workflow: Workflow, failed: Failures | None = None, *, width: int) -> Tree:
    """The graph as a tree. A node with several parents is drawn below the first, and referred to below the others."""
    return _Drawing(workflow, failed or {}, levels=max((width - _NAME_WIDTH) // _LEVEL_WIDTH, 1)).tree()


class _Drawing:
    """A tree in the making."""

    def __init__(self, workflow: Workflow, failed: Failures, *, levels: int) -> None:
        self._workflow = workflow
        self._failed = failed
        self._levels = levels
        self._lines = _MOST_LINES
        self._nodes = {node.id: node for node in workflow.nodes}
        self._children: defaultdict[str, list[str]] = defaultdict(list)
        for edge in workflow.edges:
            self._children[edge.source].append(edge.target)
        self._drawn: set[str] = set()

    def tree(self) -> Tree:
        tree = Tree(self._heading(), guide_style="dim")
        self._grow(tree, self._workflow.rootprocessids, level=1)
        if hidden := [node for node in self._workflow.nodes if node.id not in self._drawn]:
            tree.add(Text(f"... and {len(hidden)} more: {_counts(hidden)}", "dim"))
        return tree

    def _grow(self, tree: Tree, ids: Sequence[str], *, level: int) -> None:
        for processid in ids:
            if self._lines == 0 or level > self._levels or processid not in self._nodes:
                continue
            self._lines -= 1
            if processid in self._drawn:
                tree.add(Text(f"-> {self._nodes[processid].name}", "dim"))
            else:
                self._drawn.add(processid)
                branch = tree.add(self._label(self._nodes[processid]))
                self._grow(branch, self._children[processid], level=level + 1)

    def _heading(self) -> Text:
        workflow = self._workflow
        ran = took(workflow)
        return Text.assemble(
            f"workflow {workflow.processgraphid[:SHOWN_DIGITS]} ",
            _state(workflow.state),
            f" after {ran}" if ran else "",
            f": {_counts(workflow.nodes)}" if workflow.nodes else "",
        )

    def _label(self, node: Node) -> Text:
        label = Text.assemble(node.name, " ", _state(node.state))
        if process := self._failed.get(node.id):
            label.append("\n".join(["", *process.errors]), STYLES[ProcessState.FAILED])
            label.append(f"\nprocess {node.id}", "dim")
        return label


def _state(state: int) -> tuple[str, str]:
    return state_name(state), STYLES[ProcessState(state)]


def _counts(nodes: Sequence[Node]) -> str:
    """How many nodes are in which state."""
    counted = Counter(node.state for node in nodes)
    return ", ".join(f"{counted[state]} {state_name(state)}" for state in ProcessState if counted[state])
