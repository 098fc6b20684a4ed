"""Rules of functions."""

from __future__ import annotations

import secrets

import msgspec

from kolony.errors import BadRequest, Forbidden, NotFound
from kolony.model.functions import Function
from kolony.wire import functions as wire
from kolony_apiserver.services.context import Context


async def add(context: Context, message: wire.AddFunction) -> Function:
    """Record that the calling executor offers a function."""
    function = _given(message)
    executor = await context.store.executors.get(function.colonyname, function.executorname)
    if executor is None:
        raise _missing_executor(function)
    if executor.executorid != context.caller.identity:
        raise Forbidden("Not allowed to add a function to another executor")
    if not function.functionid:
        function = msgspec.structs.replace(function, functionid=secrets.token_hex(32))
    added = await context.store.functions.add(function)
    if added is None:
        raise _missing_executor(function)
    return added


async def remove(context: Context, message: wire.RemoveFunction) -> None:
    """Stop offering a function of the calling executor."""
    owner = await context.store.functions.owner(message.functionid)
    if owner is None:
        raise NotFound("Failed to remove function, function does not exist")
    if owner.executorid != context.caller.identity:
        raise Forbidden("Not allowed to remove a function from another executor")
    await context.store.functions.remove(context.colony, message.functionid)


def _missing_executor(function: Function) -> NotFound:
    return NotFound(f"Failed to add function, Executor with name <{function.executorname}> does not exist", status=400)


def scope_of_new(message: wire.AddFunction) -> str:
    """The colony of a function to add."""
    return _given(message).colonyname


def _given(message: wire.AddFunction) -> Function:
    if message.fun is None:
        raise BadRequest("Failed to add function, msg.Function is nil")
    return message.fun
