"""Messages about the functions that executors offer."""

from __future__ import annotations

from kolony.model.functions import Function
from kolony.wire.message import Message


class AddFunction(Message[Function], tag="addfunctionmsg"):
    """Offer a function (the executor named in it)."""

    failure = "Failed to add function"
    fun: Function | None = None


class GetFunctions(Message[list[Function]], tag="getfunctionsmsg"):
    """List the functions of one executor, or of a colony when no name is given (approved member)."""

    failure = "Failed to get function"
    colonyname: str = ""
    executorname: str = ""


class RemoveFunction(Message[None], tag="removefunctionmsg"):
    """Stop offering a function (the executor that offers it)."""

    failure = "Failed to remove function"
    functionid: str = ""
