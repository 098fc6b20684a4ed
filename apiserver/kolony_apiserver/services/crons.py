"""Rules of crons: what may be added, and what a run does.

A cron is planned by the checker, so that a new one never runs at once. A run is one transaction under the lock of the
cron: it stores the workflow and moves the cron on from the slot that it was for, so a slot is run once or not at all.
"""

from __future__ import annotations

import logging
import secrets
from datetime import datetime, timedelta

from msgspec.structs import replace

from kolony.errors import BadRequest, Conflict, KolonyError, NotFound
from kolony.model.base import NO_TIME
from kolony.model.crons import Cron, policy_of, timetable_of, turn
from kolony.model.processes import ProcessState
from kolony.wire import crons as wire
from kolony_apiserver.services import unattended
from kolony_apiserver.services.context import Context
from kolony_apiserver.store.crons import DueCron

log = logging.getLogger(__name__)

_LOOK_AGAIN = timedelta(days=1)
"""When to search again for the next run of a cron that has none in years."""


async def add(context: Context, message: wire.AddCron) -> Cron:
    """Add a cron; it is planned when the checker sees it."""
    cron = replace(_checked(context, _given(message.cron, message.failure)), cronid=secrets.token_hex(32))
    added = await context.store.crons.add(cron, now=context.parts.clock.now())
    if added is None:
        raise _taken(cron)
    return added


async def get(context: Context, message: wire.GetCron) -> Cron:
    """Look up a cron."""
    return replace(
        await _get(context, message.cronid, message.failure), checkerperiod=context.parts.settings.cron_checker_period
    )


async def find(context: Context, message: wire.GetCrons) -> tuple[Cron, ...]:
    """List crons; unlike other lists, one without entries is ``[]`` and not ``null``, which a tuple becomes."""
    if message.count < 0:
        raise BadRequest("pq: LIMIT must not be negative")
    return tuple(await context.store.crons.find(message.colonyname, count=message.count))


async def run(context: Context, message: wire.RunCron) -> Cron:
    """Run a cron now, unless it waits for its previous workflow; a run that fails leaves it as it is.

    Slots that passed before are done with; the next one is where it would have been.
    """
    cron = await context.store.crons.lock(context.colony, message.cronid)
    if cron is None:
        raise not_found()
    if await _waits(context, cron):
        return cron
    now = context.parts.clock.now()
    try:
        workflowid = await _start(context, cron)
    except KolonyError as error:
        if not unattended.is_final(error):
            raise
        failed(context, cron.cronid, error)
        return cron
    nextrun = None
    if not cron.paused:
        timetable = timetable_of(cron, context.parts.clock.zone)
        nextrun = timetable.first(now) if cron.nextrun == NO_TIME else timetable.next(cron.nextrun, now)
    return await _move(context, cron, nextrun, now=now, workflowid=workflowid)


async def update(context: Context, message: wire.UpdateCron) -> Cron:
    """Replace what was said about a cron; it keeps its plan unless it is due at other times now."""
    given = _given(message.cron, message.failure)
    if given.colonyname not in ("", context.colony):
        raise BadRequest(f"{message.failure}, a cron stays in its colony")
    stored = await context.store.crons.lock(context.colony, given.cronid)
    if stored is None:
        raise missing(message.failure)
    cron = _checked(context, replace(given, colonyname=context.colony))
    if _times(cron) == _times(stored):
        cron = replace(cron, nextrun=stored.nextrun)
    due = context.parts.clock.now() if cron.nextrun == NO_TIME else cron.nextrun
    try:
        updated = await context.store.crons.update(cron, due=due)
    except Conflict as error:
        raise _taken(cron) from error
    if updated is None:
        raise missing(message.failure)
    return updated


async def pause(context: Context, message: wire.PauseCron) -> Cron:
    """Let a cron rest."""
    return await _set_paused(context, message, True)


async def resume(context: Context, message: wire.ResumeCron) -> Cron:
    """Let a cron go on; it is planned anew."""
    return await _set_paused(context, message, False)


async def _set_paused(context: Context, message: wire.PauseCron | wire.ResumeCron, paused: bool) -> Cron:
    now = context.parts.clock.now()
    await context.store.crons.pause(context.colony, message.cronid, paused=paused, now=now)
    return await _get(context, message.cronid, message.failure)


async def remove(context: Context, message: wire.RemoveCron) -> None:
    """Remove a cron; the workflows that it started go on."""
    if not await context.store.crons.remove(context.colony, message.cronid):
        raise missing(message.failure)


# What the checker does


async def check(context: Context, due: DueCron) -> DueCron | None:
    """Plan a cron that is due, or run it; the same one again where more of its slots have passed that are made up for.

    Raises:
        KolonyError: no workflow could be started.
    """
    cron = await context.store.crons.take_due(due)
    if cron is None:
        return None
    now = context.parts.clock.now()
    timetable = timetable_of(cron, context.parts.clock.zone)
    if cron.nextrun == NO_TIME:
        await _move(context, cron, timetable.first(now), now=now)
        return None
    if await _waits(context, cron):
        return None
    runs, nextrun = turn(cron, timetable, now)
    moved = await _move(context, cron, nextrun, now=now, workflowid=await _start(context, cron) if runs else None)
    return DueCron(cron.cronid, moved.nextrun) if nextrun is not None and nextrun <= now else None


async def pass_over(context: Context, due: DueCron) -> None:
    """Move a cron on from a slot that cannot be run."""
    cron = await context.store.crons.take_due(due)
    if cron is not None:
        now, nextrun = context.parts.clock.now(), None
        try:
            nextrun = turn(cron, timetable_of(cron, context.parts.clock.zone), now).nextrun
        except KolonyError as error:
            # What was accepted once may be refused later, by a newer time zone database for example.
            log.warning("cron %s has no next run: %s", due.cronid, error.message)
        await _move(context, cron, nextrun, now=now)


def failed(context: Context, cronid: str, error: KolonyError) -> None:
    """Tell whoever runs the server of a run that failed."""
    context.parts.metrics.cron_runs.labels("failed").inc()
    log.warning("cron %s started no workflow: %s", cronid, error.message)


async def _waits(context: Context, cron: Cron) -> bool:
    """Whether the previous workflow has to end first; one that was cancelled or deleted has ended."""
    if not cron.waitforprevprocessgraph or not cron.prevprocessgraphid:
        return False
    state = await context.store.workflows.state(cron.prevprocessgraphid)
    return state is not None and state < ProcessState.SUCCESS


async def _start(context: Context, cron: Cron) -> str:
    """Start the workflow of a cron; the outputs of the previous one become its input."""
    before, inputs = cron.prevprocessgraphid, []
    if before and await context.store.workflows.state(before) is not None:
        inputs = await context.store.workflows.leaf_outputs(before)
    workflow = await unattended.start(context, cron.colonyname, cron.workflowspec, cron.initiatorid, inputs=inputs)
    context.after_commit(lambda: context.parts.metrics.cron_runs.labels("started").inc())
    return workflow.processgraphid


async def _move(
    context: Context, cron: Cron, nextrun: datetime | None, *, now: datetime, workflowid: str | None = None
) -> Cron:
    moved = await context.store.crons.move(
        cron,
        nextrun=nextrun,
        due=nextrun or now + _LOOK_AGAIN,
        lastrun=now if workflowid else None,
        prevprocessgraphid=workflowid,
    )
    if moved is None:
        raise Conflict("this run was made by somebody else")
    return moved


# What members say


def scope_of_new(message: wire.AddCron) -> str:
    """The colony of a cron to add."""
    return _given(message.cron, message.failure).colonyname


def _given(cron: Cron | None, failure: str) -> Cron:
    if cron is None:
        raise BadRequest(f"{failure}, msg.Cron is nil")
    return cron


def _checked(context: Context, cron: Cron) -> Cron:
    """A cron as it may be stored, by the caller; what only the server knows is empty."""
    unattended.require_workflow(cron.workflowspec, cron.colonyname)
    timetable_of(cron, context.parts.clock.zone)
    policy_of(cron)
    return replace(
        cron,
        initiatorid=context.caller.identity,
        initiatorname=context.caller.name_in(cron.colonyname),
        nextrun=NO_TIME,
        lastrun=NO_TIME,
        prevprocessgraphid="",
    )


def _times(cron: Cron) -> tuple[object, ...]:
    """What a cron says about when it is due."""
    return cron.interval, cron.cronexpression, cron.timezone or "", cron.random


def missing(failure: str) -> NotFound:
    """What a call about a cron that does not exist is refused with."""
    return NotFound(f"{failure}, cron is nil", status=500)


def not_found() -> NotFound:
    """What a call to run a cron that does not exist is refused with."""
    return NotFound("cron not found", status=400)


def _taken(cron: Cron) -> Conflict:
    return Conflict(f"Cron with name <{cron.name}> in Colony <{cron.colonyname}> already exists")


async def _get(context: Context, cronid: str, failure: str) -> Cron:
    cron = await context.store.crons.get(context.colony, cronid)
    if cron is None:
        raise missing(failure)
    return cron
