"""Rules of generators: what may be added, and when arguments become a workflow.

A run is one transaction under the lock of the generator's queue: it takes the arguments and stores the workflow, so
every argument ends in one workflow, or still waits.
"""

from __future__ import annotations

import logging
import secrets
from datetime import timedelta

import msgspec
from msgspec import Raw
from msgspec.structs import replace

from kolony.errors import BadRequest, Conflict, KolonyError, NotFound
from kolony.model.base import NO_TIME
from kolony.model.generators import Generator
from kolony.model.timetables import MAX_INTERVAL
from kolony.wire import generators as wire
from kolony_apiserver.services import unattended
from kolony_apiserver.services.context import Context
from kolony_apiserver.store.generators import Pack

log = logging.getLogger(__name__)

_RETRY = timedelta(minutes=1)
"""How long a generator is left alone after its workflow could not be started."""


async def add(context: Context, message: wire.AddGenerator) -> Generator:
    """Add a generator."""
    given = _given(message)
    unattended.require_workflow(given.workflowspec, given.colonyname)
    if given.trigger < 1:
        raise BadRequest("Generator trigger must be larger than 0")
    if given.timeout > MAX_INTERVAL:
        raise BadRequest(f"Generator timeout must be at most {MAX_INTERVAL} seconds")
    generator = replace(
        given,
        generatorid=secrets.token_hex(32),
        initiatorid=context.caller.identity,
        initiatorname=context.caller.name_in(given.colonyname),
        firstpack=NO_TIME,
        lastrun=NO_TIME,
        queuesize=0,
        checkerperiod=0,
    )
    if not await context.store.generators.add(generator):
        raise Conflict(f"Generator with name <{given.name}> in Colony <{given.colonyname}> already exists")
    return generator


async def get(context: Context, message: wire.GetGenerator) -> Generator:
    """Look up a generator, with the number of arguments that wait."""
    generator = await context.store.generators.get(context.colony, message.generatorid)
    if generator is None:
        raise missing(message.failure)
    return replace(generator, checkerperiod=context.parts.settings.generator_checker_period)


async def resolve(context: Context, message: wire.ResolveGenerator) -> Generator:
    """Look up a generator by name."""
    generator = await context.store.generators.resolve(context.colony, message.generatorname)
    if generator is None:
        raise missing(message.failure)
    return generator


async def find(context: Context, message: wire.GetGenerators) -> list[Generator]:
    """List generators."""
    if message.count < 0:
        raise BadRequest("pq: LIMIT must not be negative")
    return await context.store.generators.find(message.colonyname, count=message.count)


async def pack(context: Context, message: wire.PackGenerator) -> None:
    """Add an argument; it waits until a workflow takes it."""
    stored = Pack(
        generatorid=message.generatorid,
        arg=message.arg,
        initiatorid=context.caller.identity,
        idempotencykey=message.idempotencykey,
    )
    if not await context.parts.packs.pack(stored, context.parts.clock.now()):
        raise missing(message.failure)


async def remove(context: Context, message: wire.RemoveGenerator) -> None:
    """Remove a generator and what waits in it; the workflows that it started go on."""
    if not await context.store.generators.remove(context.colony, message.generatorid):
        raise missing(message.failure)


# What the checker does


async def check(context: Context, generatorid: str) -> bool:
    """Start one workflow of a generator with the arguments that are due; false when none are, or somebody else does.

    Raises:
        KolonyError: no workflow could be started; the arguments wait on.
    """
    now = context.parts.clock.now()
    due = await context.store.generators.take_due(generatorid, now=now)
    if due is None:
        return False
    args = await context.store.generators.take_packs(due, now=now)
    generator = due.generator
    values = [Raw(msgspec.json.encode(arg)) for arg in args]
    await unattended.start(context, generator.colonyname, generator.workflowspec, generator.initiatorid, args=values)
    context.after_commit(lambda: context.parts.metrics.generator_runs.labels("started").inc())
    return True


async def put_off(context: Context, generatorid: str) -> None:
    """Leave a generator alone for a while after it failed."""
    await context.store.generators.put_off(generatorid, retry=context.parts.clock.now() + _RETRY)


def failed(context: Context, generatorid: str, error: KolonyError) -> None:
    """Tell whoever runs the server of a run that failed."""
    context.parts.metrics.generator_runs.labels("failed").inc()
    log.warning("generator %s started no workflow: %s", generatorid, error.message)


def scope_of_new(message: wire.AddGenerator) -> str:
    """The colony of a generator to add."""
    return _given(message).colonyname


def _given(message: wire.AddGenerator) -> Generator:
    if message.generator is None:
        raise BadRequest(f"{message.failure}, msg.Generator is nil")
    return message.generator


def missing(failure: str) -> NotFound:
    """What a call about a generator that does not exist is refused with."""
    return NotFound(f"{failure}, generator is nil", status=500)
