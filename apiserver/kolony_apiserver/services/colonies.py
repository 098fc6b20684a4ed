"""Rules of colonies."""

from __future__ import annotations

from kolony.errors import BadRequest, Conflict, NotFound, ServerError
from kolony.model.colonies import Colony
from kolony.wire import colonies as wire
from kolony_apiserver.services.context import Context
from kolony_apiserver.services.identities import IDENTITY_LENGTH, require_given, require_identity


async def add(context: Context, message: wire.AddColony) -> Colony:
    """Add a colony."""
    colony = message.colony
    if colony is None:
        raise BadRequest("Failed to add colony, colony is <nil>")
    if len(colony.colonyid.encode()) != IDENTITY_LENGTH:
        raise BadRequest("Failed to add colony, invalid colony Id length")
    if not colony.name:
        raise BadRequest("Failed to add colony, colony name is empty")
    added = await context.store.colonies.add(colony)
    if added is None:
        raise Conflict(f"A Colony with name <{colony.name}> already exists")
    await context.members_changed([colony.colonyid])
    return added


async def remove(context: Context, message: wire.RemoveColony) -> None:
    """Remove a colony and all that belongs to it."""
    identities = await context.store.colonies.identities(message.colonyname)
    if not await context.store.colonies.remove(message.colonyname):
        raise NotFound(f"Colony with name <{message.colonyname}> not found", status=400)
    await context.members_changed(identities)
    context.after_commit(lambda: context.parts.room.forget_colony(message.colonyname))


async def get(context: Context, message: wire.GetColony) -> Colony:
    """Look up a colony."""
    colony = await context.store.colonies.get(message.colonyname)
    if colony is None:
        raise ServerError("Failed to get colony, colony is nil")
    return colony


async def change_id(context: Context, message: wire.ChangeColonyId) -> wire.ChangeColonyId:
    """Give a colony a new owner key."""
    require_identity(message.colonyid, message.failure, "colony Id")
    await context.store.colonies.change_id(message.colonyname, message.colonyid)
    await context.members_changed([context.caller.identity, message.colonyid])
    return message


def scope_of_change(message: wire.ChangeColonyId) -> str:
    """The colony of a change of key, which has to name a key."""
    require_given(message.colonyid, message.failure, "colony Id")
    return message.colonyname
