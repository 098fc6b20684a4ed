"""Function specifications from names, options and files."""

from __future__ import annotations

import msgspec
import pytest

from kolony.model.functionspecs import Conditions, FunctionSpec
from kolony.model.workflows import WorkflowSpec
from kolony.sdk.specs import in_colony, make_spec, named, read_spec, read_workflow, with_options


def test_a_name_and_arguments() -> None:
    assert make_spec("f", 1, "x") == FunctionSpec(funcname="f", args=[1, "x"], maxwaittime=-1, maxexectime=-1)


def test_options_go_where_they_belong() -> None:
    spec = make_spec(
        "f",
        kwargs={"a": 1},
        executortype="cli",
        executornames=("e",),
        locationname="home",
        cpu="1000m",
        mem="1Gi",
        priority=2,
        maxexectime=5,
        maxretries=3,
        label="l",
        env={"A": "b"},
    )
    assert spec == FunctionSpec(
        funcname="f",
        kwargs={"a": 1},
        conditions=Conditions(executortype="cli", executornames=["e"], locationname="home", cpu="1000m", mem="1Gi"),
        priority=2,
        maxwaittime=-1,
        maxexectime=5,
        maxretries=3,
        label="l",
        env={"A": "b"},
    )


def test_options_win_over_a_specification() -> None:
    spec = FunctionSpec(funcname="f", priority=1, label="l", conditions=Conditions(executortype="a", mem="1Gi"))
    changed = with_options(spec, priority=2, executortype="b")
    assert changed == FunctionSpec(
        funcname="f", priority=2, label="l", conditions=Conditions(executortype="b", mem="1Gi")
    )
    assert with_options(spec) == spec


def test_an_empty_location_is_left_out() -> None:
    assert b"locationname" not in msgspec.json.encode(make_spec("f", locationname=""))


def test_the_colony_is_filled_in_only_where_there_is_none() -> None:
    assert in_colony(make_spec("f"), "dev").conditions.colonyname == "dev"
    assert in_colony(make_spec("f", colonyname="other"), "dev").conditions.colonyname == "other"


def test_a_file_without_times_has_no_limits() -> None:
    assert read_spec({"funcname": "f"}) == make_spec("f")
    assert read_spec({"funcname": "f", "maxexectime": 5}).maxexectime == 5


@pytest.mark.parametrize(
    "data, why",
    [
        ({"prioritty": 1}, "prioritty"),
        ({"priority": "high"}, "priority"),
        ([], "object"),
        ("f", "object"),
        (None, "object"),
    ],
)
def test_a_file_that_is_wrong_says_where(data: object, why: str) -> None:
    with pytest.raises(msgspec.ValidationError, match=why):
        read_spec(data)


def test_a_workflow_is_a_list_or_an_object() -> None:
    listed = [{"nodename": "a", "funcname": "f"}, {"nodename": "b", "maxexectime": 5}]
    specs = [
        FunctionSpec(nodename="a", funcname="f", maxwaittime=-1, maxexectime=-1),
        FunctionSpec(nodename="b", maxwaittime=-1, maxexectime=5),
    ]
    assert read_workflow(listed) == WorkflowSpec(functionspecs=specs)
    assert read_workflow({"colonyname": "dev", "functionspecs": listed}) == WorkflowSpec(
        colonyname="dev", functionspecs=specs
    )


@pytest.mark.parametrize(
    "data, why",
    [
        ([{}, {"prioritty": 1}], r"prioritty.*functionspecs\[1\]"),
        ({"functionspecs": [], "nodes": 1}, "nodes"),
        ({"functionspecs": None}, r"\$\.functionspecs"),
        (["f"], "object"),
        ("f", "array"),
        (None, "array"),
    ],
)
def test_a_workflow_that_is_wrong_says_where(data: object, why: str) -> None:
    with pytest.raises(msgspec.ValidationError, match=why):
        read_workflow(data)


def test_a_node_is_named_as_said_or_as_it_says_or_after_its_function() -> None:
    spec = make_spec("f")
    assert named(spec).nodename == "f"
    assert named(named(spec, "a")).nodename == "a"
    assert named(named(spec, "a"), "b").nodename == "b"
