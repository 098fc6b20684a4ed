"""Workflows at random, against a model of them in memory.

A state machine of hypothesis submits random graphs, runs their nodes, lets them fail, run out of time and wait too
long, cancels, removes and adds children, over HTTP on a running server whose clock it sets. After each step all that
the server says about the workflows has to be what the model says. The model knows the rules by which states follow
from each other by name; each is taken at least once per run: a fixed story does, before the random ones begin.
"""

from __future__ import annotations

import os
import secrets
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, TypeVar

import pytest
from clocked import ClockedServer
from colonies import Answer, Colony, KeptRpc, create_database
from hypothesis import HealthCheck, seed, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from kolony.crypto import PrivateKey

T = TypeVar("T")

WAITING, RUNNING, SUCCESS, FAILED, CANCELLED = STATES = range(5)
STATE_NAMES = ("waiting", "running", "successful", "failed", "cancelled")
BACKGROUNDS = ("#eee8d8", "#4689cd", "#92d050", "#cb4239", "#f5a623")
NAMES = ("e0", "e1")
MOST = 30
"""Processes at one time; a list shows a hundred, and one submit adds up to seven."""

RULES = {
    # running
    "the first assignment runs the graph",
    "an assignment in a failed graph changes nothing",
    "a pause between nodes keeps the graph running",
    "a success among others that run keeps the graph running",
    "the last success ends the graph",
    "a success in a failed graph changes nothing",
    "the last parent releases its child",
    "a child waits for its other parents",
    "a child is released in a failed graph",
    # failing
    "an inner node that fails takes what waits with it",
    "an inner node that fails takes what runs with it",
    "an inner node that fails takes what was successful with it",
    "an inner node fails in a failed graph",
    "a leaf that fails leaves the rest as it is",
    "a leaf that got a child fails as an inner node",
    "an execution that is tried again keeps the graph running",
    "a second execution keeps the start of the graph",
    "an inner node ran out of time",
    "a leaf ran out of time",
    "an inner node waited too long",
    "a leaf waited too long",
    "a leaf that waited too long fails a graph that never ran",
    "a lost executor keeps the graph running",
    # cancelling and removing
    "cancel a graph that waits",
    "cancel a graph that runs",
    "cancel what goes on in a failed graph",
    "cancel a successful graph in vain",
    "cancel a failed graph in vain",
    "cancel a cancelled graph in vain",
    "a close after the graph failed is refused",
    "a close after the graph was cancelled is refused",
    "remove a graph that does not run",
    "a graph that runs is not removed",
    "remove all graphs in a state",
    # growing
    "a child is added below its parent",
    "a child is added between its parent and another",
    "a child is added above all children of its parent",
    "a child is added in a failed graph",
    "no child is added below what does not run",
}
"""What can happen to the state of a graph."""

INDEX = st.integers(0, 99)
"""Chooses among what there is at that moment."""

WORK = st.sampled_from(["take", "succeed", "take", "succeed", "take", "succeed", "fail", "meddle"])
"""What executors do, and how often."""

LIMITS = st.fixed_dictionaries(
    {
        "maxwaittime": st.sampled_from([0, 0, 0, 0, 0, 12]),
        "maxexectime": st.sampled_from([0, 6]),
        "maxretries": st.sampled_from([0, 1, -1]),
    }
)
NO_LIMITS = {"maxwaittime": 0, "maxexectime": 0, "maxretries": 0}


@st.composite
def specifications(draw: st.DrawFn) -> list[tuple[str, list[str], dict[str, int]]]:
    """The nodes of a random graph in a random order: name, names of the parents, limits."""
    size = draw(st.integers(1, 7))
    nodes = []
    for number in range(size):
        above = draw(st.lists(st.integers(0, number - 1), max_size=3, unique=True)) if number else []
        nodes.append((f"n{number}", [f"n{each}" for each in above], draw(LIMITS)))
    return list(draw(st.permutations(nodes)))


def pick(index: int, preferred: list[T], others: list[T]) -> T:
    """One of those that are preferred, if there are any."""
    choice = preferred or others
    return choice[index % len(choice)]


@dataclass(eq=False)
class Node:
    """A process as the model has it; a time that is not set is `None`."""

    processid: str
    graph: Graph
    prioritytime: int
    waitdeadline: datetime | None
    limits: dict[str, int]
    parents: list[Node] = field(default_factory=list)
    children: list[Node] = field(default_factory=list)
    state: int = WAITING
    waits: bool = False
    executorid: str = ""
    execdeadline: datetime | None = None
    retries: int = 0
    runs: int = 0
    out: list[Any] = field(default_factory=list)
    given: list[Any] = field(default_factory=list)
    was_leaf: bool = False
    """It had no children until one was added."""

    @property
    def input(self) -> list[Any]:
        """What the parents put out, in their order."""
        return [value for parent in self.parents for value in parent.out]

    def shown(self) -> dict[str, Any]:
        """What a reader of the process is to see."""
        return {
            "processid": self.processid,
            "processgraphid": self.graph.processgraphid,
            "state": self.state,
            "waitforparents": self.waits,
            "parents": [each.processid for each in self.parents],
            "children": [each.processid for each in self.children],
            "isassigned": self.executorid != "",
            "assignedexecutorid": self.executorid,
            "retries": self.retries,
            "out": self.out,
        }


@dataclass(eq=False)
class Graph:
    """A workflow as the model has it."""

    processgraphid: str
    nodes: list[Node] = field(default_factory=list)
    state: int = WAITING
    starttime: datetime | None = None
    endtime: datetime | None = None

    @property
    def roots(self) -> list[Node]:
        return [node for node in self.nodes if not node.parents]

    def in_state(self, *states: int) -> list[Node]:
        return [node for node in self.nodes if node.state in states]

    def walk(self) -> list[Node]:
        """All nodes, depth first."""
        met: dict[Node, None] = {}

        def visit(node: Node) -> None:
            if node not in met:
                met[node] = None
                for child in node.children:
                    visit(child)

        for root in self.roots:
            visit(root)
        return list(met)

    def recalculate(self, now: datetime) -> None:
        """What the states of the nodes mean for each other and for the graph."""
        if any(parent.state == FAILED for node in self.nodes for parent in node.parents):
            for node in self.nodes:
                node.state = FAILED
        for node in self.nodes:
            if node.parents and all(parent.state == SUCCESS for parent in node.parents):
                node.waits = False
        states = {node.state for node in self.nodes}
        if FAILED in states:
            self.state = FAILED
        elif CANCELLED in states:
            self.state = CANCELLED
        elif states == {SUCCESS}:
            self.state = SUCCESS
        elif states & {SUCCESS, RUNNING}:
            self.state = RUNNING
            self.starttime = self.starttime or now
        if self.state > RUNNING:
            self.endtime = self.endtime or now

    def shown(self) -> dict[str, Any]:
        """What a reader of the workflow is to see."""
        walk = self.walk()
        return {
            "state": self.state,
            "starttime": self.starttime,
            "endtime": self.endtime,
            "rootprocessids": [node.processid for node in self.roots],
            "processids": [node.processid for node in walk],
            "nodes": {node.processid: (kind(node), BACKGROUNDS[node.state]) for node in walk},
            "edges": [
                (node.processid, child.processid, node.state == RUNNING) for node in walk for child in node.children
            ],
        }


def kind(node: Node) -> str:
    if not node.parents:
        return "input"
    return "" if node.children else "output"


def node_as_shown(process: dict[str, Any]) -> dict[str, Any]:
    """A process of a reply, in the terms of the model."""
    names = (
        "processid",
        "processgraphid",
        "state",
        "waitforparents",
        "parents",
        "children",
        "isassigned",
        "assignedexecutorid",
        "retries",
        "out",
    )
    return {name: process[name] for name in names}


def graph_as_shown(workflow: dict[str, Any]) -> dict[str, Any]:
    """A workflow of a reply, in the terms of the model."""
    return {
        "state": workflow["state"],
        "starttime": moment(workflow["starttime"]),
        "endtime": moment(workflow["endtime"]),
        "rootprocessids": workflow["rootprocessids"],
        "processids": workflow["processids"],
        "nodes": {node["id"]: (node["type"], node["style"]["background"]) for node in workflow["nodes"]},
        "edges": [(edge["source"], edge["target"], edge["animated"]) for edge in workflow["edges"]],
    }


def moment(text: str) -> datetime | None:
    found = datetime.fromisoformat(text)
    return None if found.year == 1 else found


class Workflows(RuleBasedStateMachine):
    """One colony, its executors, and what becomes of its workflows."""

    server: ClockedServer
    taken: Counter[str]

    def __init__(self) -> None:
        super().__init__()
        self.colony: Colony = self.server.colony()
        self.rpc = KeptRpc(self.server.host, self.server.port)
        self.graphs: list[Graph] = []
        self.keys: dict[str, PrivateKey] = {name: self.colony.add_executor(name) for name in NAMES}

    @property
    def now(self) -> datetime:
        return self.server.clock.now()

    @property
    def nodes(self) -> list[Node]:
        return [node for graph in self.graphs for node in graph.nodes]

    def in_state(self, *states: int) -> list[Node]:
        return [node for node in self.nodes if node.state in states]

    def take(self, *rules: str) -> None:
        for each in rules:
            assert each in RULES, each
            self.taken[each] += 1

    def by_user(self, msgtype: str, **fields: Any) -> Answer:
        return self.rpc.call(msgtype, self.colony.user_key, **fields)

    def holder(self, node: Node) -> PrivateKey:
        """The executor that runs a node or ran it last; some executor if it is lost or nobody's."""
        return next((key for key in self.keys.values() if key.identity == node.executorid), self.keys["e0"])

    # Submitting

    @initialize(specification=specifications())
    def begin(self, specification: list[tuple[str, list[str], dict[str, int]]]) -> None:
        self.submit(specification)

    @precondition(lambda self: len(self.nodes) < MOST)
    @rule(specification=specifications())
    def submit_one(self, specification: list[tuple[str, list[str], dict[str, int]]]) -> None:
        self.submit(specification)

    def submit(self, specification: list[tuple[str, list[str], dict[str, int]]]) -> Graph:
        specs = [
            {
                "nodename": name,
                "funcname": "work",
                "conditions": {"executortype": "cli", "dependencies": parents},
                **limits,
            }
            for name, parents, limits in specification
        ]
        answer = self.by_user("submitworkflowspecmsg", spec={"colonyname": self.colony.name, "functionspecs": specs})
        assert answer.status == 200
        graph = Graph(answer.payload["processgraphid"])
        listed = self.rpc.ok(
            "getprocessesmsg", self.colony.user_key, colonyname=self.colony.name, count=100, state=WAITING
        )
        stored = {each["processid"]: each for each in listed}
        nodes = {}
        for (name, _, limits), processid in zip(specification, answer.payload["processids"], strict=True):
            process = stored[processid]
            assert process["spec"]["nodename"] == name
            nodes[name] = Node(processid, graph, process["prioritytime"], moment(process["waitdeadline"]), limits)
        for name, parents, _ in specification:
            nodes[name].waits = bool(parents)
            for parent in parents:
                nodes[name].parents.append(nodes[parent])
                nodes[parent].children.append(nodes[name])
        graph.nodes = list(nodes.values())
        self.graphs.append(graph)
        return graph

    # What executors do

    @rule(actions=st.lists(st.tuples(WORK, INDEX), min_size=3, max_size=10))
    def work(self, actions: list[tuple[str, int]]) -> None:
        for number, (what, index) in enumerate(actions):
            if number:
                self.the_server_agrees()
            self.act(what, index)

    def act(self, what: str, index: int) -> None:
        running = self.in_state(RUNNING)
        out = ([], ["x"], ["y", 1])[index % 3]
        match what:
            case "take":
                self.assign(NAMES[index % len(NAMES)])
            case "meddle" if self.nodes:
                self.finish(pick(index, self.in_state(SUCCESS, FAILED, CANCELLED), self.nodes), out)
            case "fail" if running:
                self.fail(running[index % len(running)])
            case "succeed" if running:
                self.finish(running[index % len(running)], out)

    def assign(self, name: str) -> Node | None:
        key = self.keys[name]
        answer = self.rpc.call("assignprocessmsg", key, colonyname=self.colony.name, timeout=-1)
        fitting = [node for node in self.in_state(WAITING) if not node.waits]
        if not fitting:
            assert answer.status == 404
            return None
        assert answer.status == 200
        # the time stands still, so that several may be the first
        first = min(each.prioritytime for each in fitting)
        [node] = [each for each in fitting if each.processid == answer.payload["processid"]]
        assert node.prioritytime == first
        graph = node.graph
        if graph.state == WAITING:
            self.take("the first assignment runs the graph")
        elif graph.state == FAILED:
            self.take("an assignment in a failed graph changes nothing")
        if node.runs:
            self.take("a second execution keeps the start of the graph")
        node.state, node.executorid, node.execdeadline = RUNNING, key.identity, moment(answer.payload["execdeadline"])
        node.runs += 1
        node.given = node.input
        graph.recalculate(self.now)
        assert node_as_shown(answer.payload) == node.shown()
        assert answer.payload["in"] == node.given
        return node

    def finish(self, node: Node, out: list[Any]) -> None:
        """Close as successful, whatever state the process is in."""
        fields = {"processid": node.processid, "out": out}
        answer = self.rpc.call("closesuccessfulmsg", self.holder(node), **fields)
        graph = node.graph
        if node.state != RUNNING:
            if node.executorid != self.holder(node).identity:
                assert answer.status == 403
            elif node.state == SUCCESS:
                assert answer.status == 200
            else:
                assert answer.status == 400
                self.take(f"a close after the graph {'failed' if node.state == FAILED else 'was cancelled'} is refused")
            return
        assert answer.status == 200
        waiting = [child for child in node.children if child.waits and child.state == WAITING]
        node.state, node.out = SUCCESS, out or node.out
        was = graph.state
        graph.recalculate(self.now)
        if was == FAILED:
            self.take("a success in a failed graph changes nothing")
        elif graph.state == SUCCESS:
            self.take("the last success ends the graph")
        elif graph.in_state(RUNNING):
            self.take("a success among others that run keeps the graph running")
        else:
            self.take("a pause between nodes keeps the graph running")
        for child in waiting:
            if child.waits:
                self.take("a child waits for its other parents")
            else:
                self.take("the last parent releases its child")
                if was == FAILED:
                    self.take("a child is released in a failed graph")

    def fail(self, node: Node) -> None:
        fields = {"processid": node.processid, "errors": ["no"]}
        assert self.rpc.call("closefailedmsg", self.holder(node), **fields).status == 200
        self.failed(node)
        node.graph.recalculate(self.now)

    def failed(self, node: Node) -> None:
        """Note a failure, before it is passed on."""
        graph = node.graph
        node.state = FAILED
        if not node.children:
            if graph.in_state(WAITING, RUNNING, SUCCESS):
                self.take("a leaf that fails leaves the rest as it is")
            return
        for state, what in ((WAITING, "waits"), (RUNNING, "runs"), (SUCCESS, "was successful")):
            if graph.in_state(state):
                self.take(f"an inner node that fails takes what {what} with it")
        if graph.state == FAILED:
            self.take("an inner node fails in a failed graph")
        if node.was_leaf:
            self.take("a leaf that got a child fails as an inner node")

    @precondition(lambda self: self.in_state(RUNNING) and len(self.nodes) < MOST)
    @rule(index=INDEX, how=st.sampled_from(["below", "between", "above all"]), limits=LIMITS)
    def grow(self, index: int, how: str, limits: dict[str, int]) -> None:
        self.add(pick(index, self.in_state(RUNNING), self.nodes), how, index, limits)

    def add(self, parent: Node, how: str, index: int, limits: dict[str, int]) -> Node | None:
        graph = parent.graph
        below = [node for node in graph.in_state(WAITING) if node.waits]
        child = below[index % len(below)] if how == "between" and below else None
        conditions = {"colonyname": self.colony.name, "executortype": "cli"}
        message = {
            "processgraphid": graph.processgraphid,
            "parentprocessid": parent.processid,
            "childprocessid": child.processid if child else "",
            "insert": how == "above all",
            "spec": {"nodename": "added", "funcname": "work", "conditions": conditions, **limits},
        }
        answer = self.rpc.call("addchildmsg", self.holder(parent), **message)
        if parent.state != RUNNING:
            assert answer.status == 400
            self.take("no child is added below what does not run")
            return None
        assert answer.status == 200
        process = answer.payload
        node = Node(process["processid"], graph, process["prioritytime"], moment(process["waitdeadline"]), limits)
        node.waits = True
        parent.was_leaf = parent.was_leaf or not parent.children
        if how == "above all":
            node.children, parent.children = parent.children, [node]
            for each in node.children:
                each.parents = [*(other for other in each.parents if other is not parent), node]
            self.take("a child is added above all children of its parent")
        else:
            parent.children.append(node)
            self.take(f"a child is added {'between its parent and another' if child else 'below its parent'}")
        if child:
            node.children.append(child)
            child.parents.append(node)
        node.parents.append(parent)
        graph.nodes.append(node)
        if graph.state == FAILED:
            self.take("a child is added in a failed graph")
        assert node_as_shown(process) == node.shown()
        return node

    # What users and owners do

    @precondition(lambda self: self.graphs)
    @rule(
        index=INDEX,
        what=st.sampled_from(["lose", "cancel what runs", "cancel what ended", "cancel", "remove", "remove all"]),
    )
    def interfere(self, index: int, what: str) -> None:
        runs = [graph for graph in self.graphs if graph.in_state(RUNNING)]
        ended = [graph for graph in self.graphs if graph.state > RUNNING]
        match what:
            case "cancel what runs":
                self.cancel(pick(index, runs, self.graphs))
            case "cancel":
                self.cancel(pick(index, [], self.graphs))
            case "cancel what ended":
                self.cancel(pick(index, ended, self.graphs))
            case "remove":
                self.remove(pick(index, [], self.graphs))
            case "remove all":
                self.remove_all((SUCCESS, FAILED, CANCELLED, WAITING)[index % 4])
            case _:
                self.lose(NAMES[index % len(NAMES)])

    def cancel(self, graph: Graph) -> None:
        assert self.by_user("cancelprocessgraphmsg", processgraphid=graph.processgraphid).status == 200
        going_on = graph.in_state(WAITING, RUNNING)
        if not going_on:
            self.take(f"cancel a {STATE_NAMES[graph.state]} graph in vain")
            return
        match graph.state:
            case 0:
                self.take("cancel a graph that waits")
            case 1:
                self.take("cancel a graph that runs")
            case _:
                self.take("cancel what goes on in a failed graph")
        for node in going_on:
            node.state = CANCELLED
        graph.state, graph.endtime = CANCELLED, self.now

    def remove(self, graph: Graph) -> None:
        answer = self.by_user("removeprocessgraphmsg", processgraphid=graph.processgraphid)
        if graph.state == RUNNING:
            assert answer.status == 400
            self.take("a graph that runs is not removed")
            return
        assert answer.status == 200
        self.take("remove a graph that does not run")
        self.forget([graph])

    def remove_all(self, state: int) -> None:
        names = {"colonyname": self.colony.name, "state": state}
        self.rpc.ok("removeallprocessgraphsmsg", self.colony.colony_key, **names)
        self.take("remove all graphs in a state")
        self.forget([graph for graph in self.graphs if graph.state == state])

    def forget(self, graphs: Iterable[Graph]) -> None:
        gone = list(graphs)
        self.graphs = [graph for graph in self.graphs if graph not in gone]
        for graph in gone:
            assert self.by_user("getprocessgraphmsg", processgraphid=graph.processgraphid).status == 500

    def lose(self, name: str) -> None:
        """Register an executor again: what it runs returns to the queue."""
        lost = self.keys[name].identity
        self.keys[name] = self.colony.add_executor(name)
        for node in self.in_state(RUNNING):
            if node.executorid == lost:
                node.state, node.executorid = WAITING, ""
                if node.graph.state == RUNNING:
                    self.take("a lost executor keeps the graph running")

    # What time does

    @rule(what=st.sampled_from(["a moment", "next limit", "a moment", "counts"]))
    def let_time_pass(self, what: str) -> None:
        match what:
            case "next limit":
                limits = self.limits() or [self.now]
                self.let_limits_pass(max((min(limits) - self.now).total_seconds(), 0) + 0.001)
            case "a moment":
                self.let_limits_pass(1)
            case _:
                self.server.fold_counts()

    def limits(self) -> list[datetime]:
        """The limits that something waits or runs against."""
        waits = [node.waitdeadline for node in self.in_state(WAITING)]
        runs = [node.execdeadline for node in self.in_state(RUNNING)]
        return [limit for limit in waits + runs if limit is not None]

    def let_limits_pass(self, seconds: float) -> None:
        self.server.apply_limits(after=seconds)
        late = [node for node in self.in_state(WAITING) if node.waitdeadline and node.waitdeadline < self.now]
        over = [node for node in self.in_state(RUNNING) if node.execdeadline and node.execdeadline < self.now]
        retried = [node for node in over if not 0 <= node.limits["maxretries"] <= node.retries]
        for node in retried:
            node.state, node.executorid = WAITING, ""
            node.retries += 1
        for node in late:
            self.take(f"{'an inner node' if node.children else 'a leaf'} waited too long")
            if not node.children and node.graph.state == WAITING:
                self.take("a leaf that waited too long fails a graph that never ran")
            self.failed(node)
        for node in over:
            if node not in retried:
                self.take(f"{'an inner node' if node.children else 'a leaf'} ran out of time")
                self.failed(node)
        for graph in {node.graph for node in (*late, *over) if node.state == FAILED}:
            graph.recalculate(self.now)
        for node in retried:
            if node.graph.state == RUNNING:
                self.take("an execution that is tried again keeps the graph running")
        # a wait that begins anew ends later
        self.read_new_deadlines([node for node in retried if node.state == WAITING and node.waitdeadline])

    def read_new_deadlines(self, nodes: list[Node]) -> None:
        for node in nodes:
            process = self.rpc.ok("getprocessmsg", self.colony.user_key, processid=node.processid)
            node.waitdeadline = moment(process["waitdeadline"])

    # What has to hold after each step

    @invariant()
    def the_server_agrees(self) -> None:
        of = {"colonyname": self.colony.name}
        questions = [{"msgtype": "getprocessesmsg", **of, "count": 100, "state": state} for state in STATES]
        questions += [{"msgtype": "getprocessgraphmsg", "processgraphid": each.processgraphid} for each in self.graphs]
        questions += [{"msgtype": "getcolonystatsmsg", **of}]
        *answers, counts = self.server.ask_all(questions, self.colony.user_key)
        processes, drawn = answers[: len(STATES)], answers[len(STATES) :]
        for state, name in enumerate(STATE_NAMES):
            self.the_processes_agree(state, processes[state] or [])
            assert counts[f"{name}processes"] == len(self.in_state(state))
            assert counts[f"{name}workflows"] == sum(graph.state == state for graph in self.graphs)
        for graph, found in zip(self.graphs, drawn, strict=True):
            assert graph_as_shown(found) == graph.shown()
        # no two steps have the same time
        self.server.clock.advance(0.001)

    def the_processes_agree(self, state: int, listed: list[dict[str, Any]]) -> None:
        expected = {node.processid: node for node in self.in_state(state)}
        shown = {each["processid"]: node_as_shown(each) for each in listed}
        assert shown == {processid: node.shown() for processid, node in expected.items()}
        for each in listed:
            node = expected[each["processid"]]
            # the input is there from the assignment on, and may be from the success of the last parent
            assert each["in"] in ([node.given] if node.runs else [[], node.input])

    def teardown(self) -> None:
        self.rpc.ok("removecolonymsg", self.server.server_key, colonyname=self.colony.name)
        self.rpc.close()


def drawn(drawing: str, **limits: dict[str, int]) -> list[tuple[str, list[str], dict[str, int]]]:
    """The specification of a drawing like ``a b:a c:a,b``."""
    words = [word.partition(":") for word in drawing.split()]
    return [
        (name, parents.split(",") if parents else [], {**NO_LIMITS, **limits.get(name, {})})
        for name, _, parents in words
    ]


def tell_the_story(machine: Workflows) -> None:
    """Take every rule once, with a look at the server after each step. The next to run is the first of the oldest."""

    def step(action: Any, *arguments: Any, **fields: Any) -> Any:
        result = action(*arguments, **fields)
        machine.the_server_agrees()
        return result

    def submit(drawing: str, **limits: dict[str, int]) -> list[Node]:
        graph: Graph = step(machine.submit, drawn(drawing, **limits))
        return graph.nodes

    def start(*nodes: Node) -> None:
        for node in nodes:
            assert step(machine.assign, "e0") is node

    def run(*nodes: Node) -> None:
        for node in nodes:
            start(node)
            step(machine.finish, node, [node.processid[:4]])

    # a diamond, with a pause, a retry and a lost executor
    a, b, c, d = nodes = submit("a b:a c:a d:c,b", b={"maxexectime": 6, "maxretries": 1})
    run(a)
    start(b, c)
    step(machine.finish, c, ["c"])
    step(machine.let_limits_pass, 7)
    start(b)
    step(machine.remove, b.graph)
    step(machine.lose, "e0")
    run(b, d)
    assert {node.state for node in nodes} == {SUCCESS} == {a.graph.state}
    step(machine.finish, d, ["again"])
    step(machine.cancel, a.graph)
    step(machine.remove, a.graph)

    # an inner node fails: everything does
    a, b, c, d, _ = nodes = submit("a b:a c:a d:b,c z")
    run(a)
    start(b, c)
    step(machine.fail, b)
    assert {node.state for node in nodes} == {FAILED}
    step(machine.finish, c, ["late"])
    step(machine.cancel, a.graph)
    step(machine.add, c, "below", 0, NO_LIMITS)
    step(machine.remove_all, FAILED)
    assert not machine.graphs

    # a leaf fails, and the rest goes on and grows, until an inner node fails as well
    a, leaf, b, c, d = nodes = submit("a leaf:a b:a c:b d:c")
    run(a)
    start(leaf, b)
    step(machine.fail, leaf)
    n = step(machine.add, b, "below", 0, NO_LIMITS)
    step(machine.finish, b, ["b"])
    start(c)
    step(machine.finish, c, ["c"])
    start(d)
    step(machine.add, d, "below", 0, NO_LIMITS)
    step(machine.fail, d)
    assert {node.state for node in (*nodes, n)} == {FAILED}
    step(machine.remove, a.graph)

    # what goes on in a failed graph is cancelled; a cancelled graph stays as it is
    leaf, a, b = submit("leaf a b:a")
    start(leaf)
    step(machine.fail, leaf)
    start(a)
    step(machine.cancel, a.graph)
    assert [node.state for node in (leaf, a, b)] == [FAILED, CANCELLED, CANCELLED]
    step(machine.finish, a, ["late"])
    step(machine.cancel, a.graph)
    a, b = submit("a b:a")
    step(machine.cancel, a.graph)
    a, b = submit("a b:a")
    start(a)
    step(machine.cancel, a.graph)
    step(machine.remove_all, CANCELLED)

    # limits of inner nodes and of leaves
    short, slow = {"maxwaittime": 12}, {"maxexectime": 6}
    for drawing, limits in (
        ("a b:a", {"b": short}),
        ("a b:a c:b", {"b": short}),
        ("a b:a", {"a": slow}),
        ("a b", {"a": slow}),
    ):
        first, *_ = submit(drawing, **limits)
        if limits != {"b": short}:
            start(first)
        step(machine.let_limits_pass, 13)
        step(machine.cancel, first.graph)
        step(machine.remove, first.graph)

    # map and reduce, with a stage in between
    mapping, reduce = submit("map reduce:map")
    start(mapping)
    w1 = step(machine.add, mapping, "between", 0, NO_LIMITS)
    w2 = step(machine.add, mapping, "between", 0, NO_LIMITS)
    step(machine.finish, mapping, ["map"])
    start(w1)
    n = step(machine.add, w1, "above all", 0, NO_LIMITS)
    step(machine.finish, w1, ["w1"])
    run(w2, n, reduce)
    assert mapping.graph.state == SUCCESS


@pytest.fixture(scope="module")
def server(postgres_dsn: str) -> Iterator[ClockedServer]:
    with ClockedServer(create_database(postgres_dsn), allow_reregister=True) as server:
        yield server


def test_workflows(server: ClockedServer, capsys: pytest.CaptureFixture[str]) -> None:
    number = int(os.environ.get("KOLONY_TEST_SEED", "") or secrets.randbelow(2**32))
    with capsys.disabled():
        print(f"\nworkflow model: KOLONY_TEST_SEED={number} takes the same steps again")
    Workflows.server, Workflows.taken = server, Counter()

    machine = Workflows()
    tell_the_story(machine)
    machine.teardown()
    assert RULES - Workflows.taken.keys() == set()

    Workflows.taken.clear()
    run_state_machine_as_test(
        seed(number)(Workflows),
        settings=settings(
            max_examples=12,
            stateful_step_count=30,
            deadline=None,
            database=None,
            print_blob=True,
            suppress_health_check=list(HealthCheck),
        ),
    )
    with capsys.disabled():
        print(f"rules taken at random: {dict(Workflows.taken.most_common())}")
