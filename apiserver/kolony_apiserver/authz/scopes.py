"""Colonies of objects, looked up by key alone: all that is read before the caller is authorised."""

from __future__ import annotations

from collections.abc import Callable
from operator import attrgetter
from typing import Any

from kolony.errors import BadRequest, KolonyError, NotFound
from kolony.model.base import ColonyName
from kolony.wire import attributes, crons, executors, functions, generators, logs
from kolony_apiserver.authz.rules import Scope
from kolony_apiserver.services import crons as cron_rules
from kolony_apiserver.services import generators as generator_rules
from kolony_apiserver.services.attributes import missing
from kolony_apiserver.services.context import Context

colonyname: Callable[[Any], str] = attrgetter("colonyname")
"""The colony that a message names."""


def of_process(reason: str = "process is nil", *, status: int = 500) -> Scope:
    """The colony of the process that a message names; without one the refusal gives this reason and status."""

    async def scope(context: Context, message: Any) -> ColonyName:
        return await process_colony(context, message.processid, NotFound(f"{message.failure}, {reason}", status=status))

    return scope


async def process_colony(context: Context, processid: str, absent: KolonyError) -> ColonyName:
    """The colony of a process; raise ``absent`` when there is no such process."""
    home = await context.home(processid)
    if home is None:
        raise absent
    return home.colonyname


async def of_workflow(context: Context, message: Any) -> ColonyName:
    """The colony of the workflow that a message names."""
    colony = await context.store.workflows.colony_of(message.processgraphid)
    if colony is None:
        raise NotFound(f"{message.failure}, graph is nil", status=500)
    return colony


async def of_executor(context: Context, message: Any) -> ColonyName:
    """The colony that a message about an executor names, once it is known to have that executor."""
    if await context.store.executors.get(message.colonyname, message.executorname) is None:
        raise NotFound(f"{message.failure}, executor is nil", status=500)
    return ColonyName(message.colonyname)


async def of_executor_id(context: Context, message: executors.GetExecutorById) -> ColonyName:
    """The colony of an executor by its identity: one in which the caller is a member, if there are several."""
    colonies = await context.store.executors.colonies_of(message.executorid)
    if not colonies:
        raise NotFound(f"{message.failure}, executor is nil")
    return next((colony for colony in colonies if context.caller.is_approved_member(colony)), colonies[0])


async def of_function(context: Context, message: functions.RemoveFunction) -> ColonyName:
    """The colony of a function."""
    if not message.functionid:
        raise BadRequest(f"{message.failure}, msg.FunctionID is empty")
    owner = await context.store.functions.owner(message.functionid)
    if owner is None:
        raise NotFound(f"{message.failure}, function does not exist")
    return owner.colonyname


async def of_attribute(context: Context, message: attributes.GetAttribute) -> ColonyName:
    """The colony of an attribute."""
    attribute = await context.store.attributes.get(message.attributeid)
    if attribute is None:
        raise missing()
    return ColonyName(attribute.targetcolonyname)


async def of_target(context: Context, message: attributes.AddAttribute) -> ColonyName:
    """The colony of the process that an attribute is for."""
    if message.attribute is None:
        raise BadRequest(f"{message.failure}, attribute is nil")
    absent = NotFound(f"{message.failure}, process not found")
    return await process_colony(context, message.attribute.targetid, absent)


async def of_log(context: Context, message: logs.GetLogs) -> ColonyName:
    """The colony whose log a message asks for."""
    if not message.executorname:
        # Not from memory: the log of a process that was removed is there, but not to be read by its process.
        home = await context.store.processes.home(message.processid)
        if home is None:
            raise NotFound(f"{message.failure}, process does not exist", status=500)
        return home.colonyname
    if await context.store.executors.get(message.colonyname, message.executorname) is None:
        raise NotFound(f"{message.failure}, executor does not exist", status=500)
    return ColonyName(message.colonyname)


async def of_cron(context: Context, message: Any) -> ColonyName:
    """The colony of a cron."""
    return await _cron_colony(context, message.cronid, cron_rules.missing(message.failure))


async def of_cron_to_run(context: Context, message: crons.RunCron) -> ColonyName:
    """The colony of a cron to run."""
    return await _cron_colony(context, message.cronid, cron_rules.not_found())


async def of_cron_to_update(context: Context, message: crons.UpdateCron) -> ColonyName:
    """The colony of a cron to update, wherever the message says that it is."""
    if message.cron is None:
        raise BadRequest(f"{message.failure}, msg.Cron is nil")
    return await _cron_colony(context, message.cron.cronid, cron_rules.missing(message.failure))


async def _cron_colony(context: Context, cronid: str, absent: KolonyError) -> ColonyName:
    colony = await context.store.crons.colony_of(cronid)
    if colony is None:
        raise absent
    return colony


async def of_generator(context: Context, message: Any) -> ColonyName:
    """The colony of a generator."""
    colony = await context.store.generators.colony_of(message.generatorid)
    if colony is None:
        raise generator_rules.missing(message.failure)
    return colony


async def of_generator_name(context: Context, message: generators.ResolveGenerator) -> ColonyName:
    """The colony that a message names, once it is known to have that generator."""
    if await context.store.generators.resolve(message.colonyname, message.generatorname) is None:
        raise generator_rules.missing(message.failure)
    return ColonyName(message.colonyname)
