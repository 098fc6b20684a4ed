"""Graphs built in Python."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from kolony.errors import BadRequest
from kolony.model.functionspecs import Conditions, FunctionSpec
from kolony.sdk import graphs
from kolony.sdk.graphs import Graph
from kolony.sdk.specs import make_spec


def parents(graph: Graph) -> dict[str, list[str]]:
    """The names of all nodes in order, and of their parents."""
    return {spec.nodename: spec.conditions.dependencies for spec in graph.spec().functionspecs}


def test_a_diamond() -> None:
    graph = Graph()
    a, b, c, d = (graph.call("f", name=name) for name in "abcd")
    assert a >> [b, c] >> d is d
    assert parents(graph) == {"a": [], "b": ["a"], "c": ["a"], "d": ["b", "c"]}


def test_a_node_is_a_specification_with_a_name() -> None:
    graph = Graph()
    a = graph.call("f", 1, "x", name="a", executortype="cli", mem="1Gi", maxretries=2)
    spec = FunctionSpec(funcname="g", maxexectime=5, conditions=Conditions(executortype="py"))
    a >> graph.call(spec, label="l")
    workflow = graph.spec("dev")
    assert workflow.colonyname == "dev"
    assert workflow.functionspecs == [
        FunctionSpec(
            nodename="a",
            funcname="f",
            args=[1, "x"],
            maxwaittime=-1,
            maxexectime=-1,
            maxretries=2,
            conditions=Conditions(executortype="cli", mem="1Gi"),
        ),
        FunctionSpec(
            nodename="g",
            funcname="g",
            maxexectime=5,
            label="l",
            conditions=Conditions(executortype="py", dependencies=["a"]),
        ),
    ]


def test_a_list_fans_out_and_in() -> None:
    graph = Graph()
    split = graph.call("split")
    counts = graph.map("count", ["x", ["y", 2]], executortype="cli", kwargs={"k": 1})
    split >> counts >> graph.call("merge")
    assert parents(graph) == {
        "split": [],
        "count-1": ["split"],
        "count-2": ["split"],
        "merge": ["count-1", "count-2"],
    }
    assert [node.spec.args for node in counts] == [["x"], [["y", 2]]]
    assert [node.spec.kwargs for node in counts] == [{"k": 1}, {"k": 1}]
    assert list(graph.map("count", [])) == []


def test_between_lists_arrows_go_from_each_to_each() -> None:
    graph = Graph()
    graph.map("a", range(2)) >> graph.map("b", range(2)) >> [graph.call("c")]
    assert parents(graph) == {
        "a-1": [],
        "a-2": [],
        "b-1": ["a-1", "a-2"],
        "b-2": ["a-1", "a-2"],
        "c": ["b-1", "b-2"],
    }


def test_parents_are_in_the_order_of_their_arrows() -> None:
    graph = Graph()
    a, b, c, d = (graph.call(name) for name in "abcd")
    c >> d
    [b, a] >> d
    assert parents(graph)["d"] == ["c", "b", "a"]


def test_names_are_made_and_differ() -> None:
    graph = Graph()
    graph.call("f", name="g-2")
    for _ in range(3):
        graph.call("g")
    graph.map("g", range(2))
    graph.map("f", range(1), name="g")
    graph.call(make_spec("f"))
    assert list(parents(graph)) == ["g-2", "g", "g-3", "g-4", "g-5", "g-6", "g-7", "f"]


def refusals() -> dict[str, tuple[Callable[[], object], str]]:
    graph, other = Graph(), Graph()
    a, b, c, d = (graph.call("f", name=name) for name in "abcd")
    a >> b >> [c, d]
    stranger = other.call("f", name="stranger")
    named = FunctionSpec(funcname="f", conditions=Conditions(dependencies=["a"]))
    return {
        "name": (lambda: graph.call("g", name="a"), "there is a node 'a' already"),
        "arrow": (lambda: a >> b, "node 'b' waits for 'a' already"),
        "itself": (lambda: a >> a, "node 'a' cannot wait for 'a'"),
        "two": (lambda: b >> a, "node 'a' cannot wait for 'b', which waits for it: a cycle"),
        "long": (lambda: [d] >> a, "node 'a' cannot wait for 'd', which waits for it: a cycle"),
        "from": (lambda: stranger >> a, "nodes 'stranger' and 'a' are of different graphs"),
        "to": (lambda: a >> [c, stranger], "nodes 'a' and 'stranger' are of different graphs"),
        "dependencies": (lambda: graph.call(named), "node 'f' names its parents itself"),
    }


@pytest.mark.parametrize("which", refusals())
def test_what_is_no_graph_is_refused_at_once(which: str) -> None:
    act, why = refusals()[which]
    with pytest.raises(BadRequest) as caught:
        act()
    assert caught.value.message.startswith(why)


@pytest.mark.parametrize("other", ["b", ["b"], 5])
def test_arrows_join_nodes_only(other: object) -> None:
    with pytest.raises(TypeError):
        Graph().call("f") >> other  # type: ignore[call-overload]


def test_a_random_graph_never_gets_a_cycle() -> None:
    chance = random.Random(4)
    for _ in range(30):
        graph = Graph()
        nodes = list(graph.map("f", range(12)))
        above = {node: {node} for node in nodes}
        for _ in range(60):
            parent, child = chance.choices(nodes, k=2)
            if parent.name in parents(graph)[child.name]:
                continue
            if child in above[parent]:
                with pytest.raises(BadRequest, match="cycle"):
                    parent >> child
                continue
            parent >> child
            for each in nodes:
                if child in above[each]:
                    above[each] |= above[parent]


def test_drawing_an_arrow_costs_the_same_in_a_large_graph(monkeypatch: pytest.MonkeyPatch) -> None:
    """A wide graph and a deep one, drawn in the order of their work and in the opposite one."""
    steps = 0
    reached = graphs._reached

    def counted(start: Any, neighbours: Any) -> Iterator[Any]:
        nonlocal steps
        for node in reached(start, neighbours):
            steps += 1
            yield node

    monkeypatch.setattr(graphs, "_reached", counted)
    graph, size = Graph(), 2_000
    graph.call("split") >> graph.map("count", range(size)) >> graph.call("merge")
    for upwards in (False, True):
        last = graph.call("step")
        for _ in range(size):
            node = graph.call("step")
            _ = node >> last if upwards else last >> node
            last = node
    assert steps <= 3 * (4 * size)
