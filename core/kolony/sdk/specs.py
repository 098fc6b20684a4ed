"""Function specifications built from a name, arguments and options."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, TypedDict, Unpack

import msgspec
from msgspec.structs import replace

from kolony.model.base import sparse
from kolony.model.functionspecs import FunctionSpec

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
    if isinstance(data, dict):
        data = {"maxwaittime": NO_LIMIT, "maxexectime": NO_LIMIT, **data}
    return msgspec.convert(data, FunctionSpec)


def in_colony(spec: FunctionSpec, colony: str) -> FunctionSpec:
    """The specification for a colony, unless it names one itself."""
    if spec.conditions.colonyname:
        return spec
    return replace(spec, conditions=replace(spec.conditions, colonyname=colony))
