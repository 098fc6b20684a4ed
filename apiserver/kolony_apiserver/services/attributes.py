"""Rules of attributes."""

from __future__ import annotations

import msgspec

from kolony.errors import BadRequest, Forbidden, NotFound
from kolony.model.attributes import Attribute, attribute_id
from kolony.model.processes import ProcessState
from kolony.wire import attributes as wire
from kolony_apiserver.services.context import Context

_INT32 = 2**31


async def add(context: Context, message: wire.AddAttribute) -> Attribute:
    """Attach an attribute to a process that the caller runs; colony and state are those of the process."""
    given = message.attribute
    if given is None:
        raise BadRequest(f"{message.failure}, attribute is nil")
    if not -_INT32 <= given.attributetype < _INT32:
        raise BadRequest(f'pq: value "{given.attributetype}" is out of range for type integer')
    attribute = msgspec.structs.replace(
        given,
        attributeid=attribute_id(given.targetid, given.key, given.attributetype),
        targetcolonyname=context.colony,
        state=ProcessState.RUNNING,
    )
    workflowid = await context.store.attributes.add(attribute, executorid=context.caller.identity)
    if workflowid is not None:
        return msgspec.structs.replace(attribute, targetprocessgraphid=workflowid)
    process = await context.store.processes.get(context.colony, given.targetid)
    if process is None:
        raise NotFound(f"{message.failure}, process not found")
    if process.state != ProcessState.RUNNING:
        raise Forbidden(f"{message.failure}, process is not running")
    raise Forbidden(
        f"{message.failure}, only executor with id <{process.assignedexecutorid}> is allowed to set attributes"
    )


async def get(context: Context, message: wire.GetAttribute) -> Attribute:
    """Look up an attribute."""
    attribute = await context.store.attributes.get(message.attributeid)
    if attribute is None or attribute.targetcolonyname != context.colony:
        raise missing()
    return attribute


def missing() -> NotFound:
    """What a call about an attribute that does not exist is refused with."""
    return NotFound("Attribute does not exists", status=400)
