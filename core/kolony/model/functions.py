"""Functions: what an executor offers to run."""

from __future__ import annotations

from msgspec import UNSET

from kolony.model.base import Int64, Model, Sparse


class FunctionArg(Model):
    """Description of one argument of a function."""

    name: str = ""
    type: str = ""
    description: Sparse[str] = UNSET
    required: Sparse[bool] = UNSET
    enum: Sparse[list[str]] = UNSET


class Function(Model):
    """A function offered by one executor of a colony.

    Times are seconds; ``counter`` is how many processes ran it successfully. The averages weigh the newest run
    by one half, as the protocol has it.
    """

    functionid: str = ""
    executorname: str = ""
    executortype: str = ""
    colonyname: str = ""
    funcname: str = ""
    description: Sparse[str] = UNSET
    args: Sparse[list[FunctionArg]] = UNSET
    counter: Int64 = 0
    minwaittime: float = 0.0
    maxwaittime: float = 0.0
    minexectime: float = 0.0
    maxexectime: float = 0.0
    avgwaittime: float = 0.0
    avgexectime: float = 0.0
    locationname: Sparse[str] = UNSET
