"""Function specifications built from a name, arguments and options."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, TypedDict, Unpack

import msgspec
from msgspec.structs import replace

from kolony.model.base import sparse
from kolony.model.functionspecs import FunctionSpec
from kolony.model.workflows import WorkflowSpec

NO_LIMIT = -1


class SpecOptions(TypedDict, total=False):
    """What may be said about a function beside its name and arguments; `FunctionSpec` explains each."""

    kwargs: Mapping[str, Any]
    executortype: str
    executornames: Sequence[str]
    locationname: str
    colonyname: str
    priority: int
    maxwaittime: int
    maxexectime: int
    maxretries: int
    cpu: str
    mem: str
    label: str
    env: Mapping[str, str]


_CONDITIONS = frozenset({"executortype", "executornames", "locationname", "colonyname", "cpu", "mem"})


def spec_of(function: FunctionSpec | str, *args: Any, **options: Unpack[SpecOptions]) -> FunctionSpec:
    """The specification of a function given by its name and arguments, or by a specification.

    Options win over what a specification says.
    """
    if isinstance(function, str):
        return make_spec(function, *args, **options)
    if args:
        raise TypeError("a function specification holds its arguments itself")
    return with_options(function, **options)


def make_spec(funcname: str, *args: Any, **options: Unpack[SpecOptions]) -> FunctionSpec:
    """The specification of a call of ``funcname``; times that are not given have no limit."""
    spec: FunctionSpec = FunctionSpec(funcname=funcname, args=list(args), maxwaittime=NO_LIMIT, maxexectime=NO_LIMIT)
    return with_options(spec, **options)


def with_options(spec: FunctionSpec, **options: Unpack[SpecOptions]) -> FunctionSpec:
    """The specification with what the options say in place of what it said."""
    given: dict[str, Any] = dict(options)
    conditions = {name: given.pop(name) for name in _CONDITIONS & given.keys()}
    if "locationname" in conditions:
        conditions["locationname"] = sparse(conditions["locationname"])
    if "executornames" in conditions:
        conditions["executornames"] = list(conditions["executornames"])
    for name in {"kwargs", "env"} & given.keys():
        given[name] = dict(given[name])
    return replace(spec, conditions=replace(spec.conditions, **conditions), **given)


def read_spec(data: Any) -> FunctionSpec:
    """A specification from plain data, as in a file; times that are not given have no limit.

    Raises:
        msgspec.ValidationError: a field is unknown or has the wrong type; the text says which.
    """
    return msgspec.convert(_without_limits(data), FunctionSpec)


def read_workflow(data: Any) -> WorkflowSpec:
    """A workflow from plain data: the list of its function specifications, or an object with ``functionspecs``.

    Raises:
        msgspec.ValidationError: a field is unknown or has the wrong type; the text says which.
    """
    whole = data if isinstance(data, dict) else {"functionspecs": data}
    if isinstance(specs := whole.get("functionspecs"), list):
        whole = {**whole, "functionspecs": [_without_limits(spec) for spec in specs]}
    return msgspec.convert(whole, WorkflowSpec)


def _without_limits(data: Any) -> Any:
    return {"maxwaittime": NO_LIMIT, "maxexectime": NO_LIMIT, **data} if isinstance(data, dict) else data


def in_colony(spec: FunctionSpec, colony: str) -> FunctionSpec:
    """The specification for a colony, unless it names one itself."""
    if spec.conditions.colonyname:
        return spec
    return replace(spec, conditions=replace(spec.conditions, colonyname=colony))


def named(spec: FunctionSpec, name: str = "") -> FunctionSpec:
    """The specification as a node of a workflow: of this name, or its own, or else that of its function."""
    return replace(spec, nodename=name or spec.nodename or spec.funcname)
