"""Rules of executors."""

from __future__ import annotations

from kolony.errors import BadRequest, Conflict, NotFound, ServerError
from kolony.model.base import ColonyName
from kolony.model.executors import Executor, ExecutorState
from kolony.wire import executors as wire
from kolony_apiserver.services.context import Context
from kolony_apiserver.services.identities import require_given, require_identity


async def add(context: Context, message: wire.AddExecutor) -> Executor:
    """Add an executor, pending; a name in use is taken over where the server allows that."""
    executor = _given(message)
    now = context.parts.clock.now()
    added = await context.store.executors.add(executor, now=now)
    if added is None:
        if not context.parts.settings.allow_reregister:
            raise Conflict(
                f"Executor with name <{executor.executorname}> in Colony <{executor.colonyname}> already exists"
            )
        await unregister(context, ColonyName(executor.colonyname), executor.executorname)
        added = await context.store.executors.replace(executor, now=now)
    if added is None:
        raise ServerError("Failed to add executor, addedExecutor is nil")
    await context.members_changed([executor.executorid])
    return added


async def approve(context: Context, message: wire.ApproveExecutor) -> None:
    """Let an executor take work, whatever its state was."""
    await _set_state(context, message, ExecutorState.APPROVED)


async def reject(context: Context, message: wire.RejectExecutor) -> None:
    """Refuse an executor; what it runs stays with it until its limit."""
    await _set_state(context, message, ExecutorState.REJECTED)


async def _set_state(
    context: Context, message: wire.ApproveExecutor | wire.RejectExecutor, state: ExecutorState
) -> None:
    executorid = await context.store.executors.set_state(message.colonyname, message.executorname, state)
    if executorid is None:
        raise _missing(message.failure)
    await context.members_changed([executorid])


async def remove(context: Context, message: wire.RemoveExecutor) -> None:
    """Unregister an executor; what it runs returns to the queue. The record stays, and so does its name."""
    if not await unregister(context, ColonyName(message.colonyname), message.executorname):
        raise _missing(message.failure)


async def unregister(context: Context, colony: ColonyName, name: str) -> bool:
    """Unregister an executor, if there is one of that name."""
    found = await context.store.executors.unregister(colony, name)
    if found is None:
        return False
    executorid, returned = found
    await context.members_changed([executorid])
    room = context.parts.room
    for waiting in returned:
        context.after_commit(lambda waiting=waiting: room.arrived(waiting.classid, waiting.prioritytime))  # type: ignore[misc]
    return True


async def find(context: Context, message: wire.GetExecutors) -> list[Executor]:
    """List the executors of a colony."""
    executors = await context.store.executors.find(message.colonyname)
    return [context.parts.contacts.latest(executor) for executor in executors]


async def get(context: Context, message: wire.GetExecutor) -> Executor:
    """Look up an executor by name."""
    executor = await context.store.executors.get(message.colonyname, message.executorname)
    if executor is None:
        raise _missing(message.failure)
    return context.parts.contacts.latest(executor)


async def get_by_id(context: Context, message: wire.GetExecutorById) -> Executor:
    """Look up an executor by identity."""
    executor = await context.store.executors.get_by_id(context.colony, message.executorid)
    if executor is None:
        raise NotFound(f"{message.failure}, executor is nil")
    return context.parts.contacts.latest(executor)


async def report_allocation(context: Context, message: wire.ReportAllocation) -> None:
    """Replace the caller's allocations."""
    await _require_own(context, message, "Only an executor can report allocations to itself")
    await context.store.executors.set_allocations(message.colonyname, message.executorname, message.allocations)


async def update(context: Context, message: wire.UpdateExecutor) -> None:
    """Replace the caller's capabilities."""
    await _require_own(context, message, "Only an executor can update its own capabilities")
    await context.store.executors.set_capabilities(message.colonyname, message.executorname, message.capabilities)


async def _require_own(context: Context, message: wire.ReportAllocation | wire.UpdateExecutor, refusal: str) -> None:
    executor = await context.store.executors.get(message.colonyname, message.executorname)
    if executor is None:
        raise NotFound(f"Executor with name <{message.executorname}> does not exist", status=400)
    if executor.executorid != context.caller.identity:
        raise BadRequest(refusal)


async def change_id(context: Context, message: wire.ChangeExecutorId) -> wire.ChangeExecutorId:
    """Give the calling executor a new key; its crons and generators go on."""
    if context.caller.executor_in(message.colonyname) is None:
        raise BadRequest(f"{message.failure}, executor not found")
    require_identity(message.executorid, message.failure, "executor Id")
    old = context.caller.identity
    await context.store.executors.change_id(message.colonyname, old=old, new=message.executorid)
    await context.store.crons.change_initiator(message.colonyname, old=old, new=message.executorid)
    await context.store.generators.change_initiator(message.colonyname, old=old, new=message.executorid)
    await context.members_changed([old, message.executorid])
    return message


def scope_of_change(message: wire.ChangeExecutorId) -> str:
    """The colony of a change of key, which has to name a key."""
    require_given(message.executorid, message.failure, "executor Id")
    return message.colonyname


def scope_of_new(message: wire.AddExecutor) -> str:
    """The colony of an executor to add."""
    return _given(message).colonyname


def _given(message: wire.AddExecutor) -> Executor:
    if message.executor is None:
        raise BadRequest("Failed to add executor, executor is nil")
    return message.executor


def _missing(failure: str) -> NotFound:
    return NotFound(f"{failure}, executor is nil", status=500)
