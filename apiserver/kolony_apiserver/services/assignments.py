"""Rules of assignment: who gets work, and when it is held back."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable

from msgspec import Raw

from kolony.crypto import Identity
from kolony.errors import AssignTimeout, BadRequest, NotFound, ServerError, Unavailable
from kolony.model.executors import ExecutorState
from kolony.model.processes import Process
from kolony.wire import assignments as wire
from kolony_apiserver.membership import Caller
from kolony_apiserver.queue.requirements import Offer, offer_of
from kolony_apiserver.services.context import Context, Parts
from kolony_apiserver.store.processes import Home

_PAUSED = "colony assignments are paused"
LONGEST_WAIT = 10 * 365 * 86_400
"""Seconds; clients may ask to wait for ever, and a timer cannot."""


async def assign(context: Context, message: wire.AssignProcess[Raw]) -> Process[Raw]:
    """Take the next process that the caller may run; the caller waits at the desk, holding nothing."""
    parts = context.parts
    if message.timeout == 0:
        raise BadRequest("Invalid timeout value, timeout cannot be zero")
    executor = context.caller.executor_in(message.colonyname)
    if executor is None:
        raise ServerError("Failed to assign process, executor not found")
    offer = offer_of(
        colonyname=message.colonyname,
        executortype=executor.type,
        executorname=executor.name,
        location=executor.location,
        cpu=message.availablecpu,
        mem=message.availablemem,
    )
    asked = parts.clock.monotonic()
    process = await parts.desk.take(
        offer,
        context.caller.identity,
        timeout=min(message.timeout, LONGEST_WAIT),
        disconnected=context.disconnected,
    )
    if process is not None:
        parts.metrics.assign_seconds.observe(parts.clock.monotonic() - asked)
        parts.homes.put(process.processid, Home(context.colony, process.processgraphid))
        if process.processgraphid:
            process = await _started(parts, process)
        # After those who submitted it are answered: subscribers hear of its states in their order.
        asyncio.get_running_loop().call_soon(parts.hub.publish, process)
        return process
    if not parts.room.is_paused(message.colonyname):
        raise NotFound("No process available for assignment")
    if message.timeout < 0:
        raise Unavailable(f"No processes available: {_PAUSED}")
    raise AssignTimeout(f"Assignment timeout: {_PAUSED}")


async def _started(parts: Parts, process: Process[Raw]) -> Process[Raw]:
    """A process of a workflow that the caller was given; put back when its workflow cannot be told."""
    try:
        return await parts.writes.start(process, parts.clock.now())
    except BaseException:
        parts.room.give_back(process)
        raise


async def review(parts: Parts, identities: Iterable[str]) -> None:
    """End the parked calls of executors that may not work any more, or are another executor now; the rest wait on."""
    for identity in identities:
        if offers := parts.room.offers_of(identity):
            caller = await parts.callers.recall(Identity(identity))
            if not all(_stands(caller, offer) for offer in offers):
                parts.room.dismiss([identity])


def _stands(caller: Caller, offer: Offer) -> bool:
    executor = caller.executor_in(offer.colonyname)
    return (
        executor is not None
        and executor.state == ExecutorState.APPROVED
        and (executor.name, executor.type) == (offer.executorname, offer.executortype)
        and executor.location.lower() == offer.location
    )


async def pause(context: Context, message: wire.PauseAssignments) -> None:
    """Hold back all processes of a colony."""
    await context.store.assignments.set_paused(message.colonyname, paused=True)
    context.after_commit(lambda: context.parts.room.pause(message.colonyname))


async def resume(context: Context, message: wire.ResumeAssignments) -> None:
    """Hand out processes of a colony again, and wake who waits."""
    await context.store.assignments.set_paused(message.colonyname, paused=False)
    context.after_commit(lambda: context.parts.room.resume(message.colonyname))


async def pause_status(context: Context, message: wire.GetPauseStatus) -> wire.PauseStatus:
    """Whether a colony is paused."""
    paused = await context.store.assignments.is_paused(message.colonyname)
    return wire.PauseStatus(colonyname=message.colonyname, ispaused=paused)
