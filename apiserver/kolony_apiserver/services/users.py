"""Rules of users."""

from __future__ import annotations

from kolony.errors import BadRequest, Conflict, NotFound
from kolony.model.users import User
from kolony.wire import users as wire
from kolony_apiserver.services.context import Context
from kolony_apiserver.services.identities import require_given, require_identity


async def add(context: Context, message: wire.AddUser) -> User:
    """Add a user."""
    user = _given(message)
    added = await context.store.users.add(user)
    if added is None:
        known = await context.store.users.get(user.colonyname, user.name)
        taken = f"name <{user.name}>" if known else f"Id <{user.userid}>"
        raise Conflict(f"A user with {taken} already exists in Colony with name <{user.colonyname}>")
    await context.members_changed([user.userid])
    return added


async def get(context: Context, message: wire.GetUser) -> User:
    """Look up a user by name."""
    user = await context.store.users.get(message.colonyname, message.name)
    if user is None:
        raise NotFound("Failed to get user, user is nil", status=500)
    return user


async def get_by_id(context: Context, message: wire.GetUserById) -> User:
    """Look up a user by identity."""
    user = await context.store.users.get_by_id(message.colonyname, message.userid)
    if user is None:
        raise NotFound("Failed to get user by ID, user is nil")
    return user


async def remove(context: Context, message: wire.RemoveUser) -> None:
    """Remove a user; what it submitted stays."""
    userid = await context.store.users.remove(message.colonyname, message.name)
    if userid is None:
        raise NotFound(f"User with name <{message.name}> not found", status=400)
    await context.members_changed([userid])


async def change_id(context: Context, message: wire.ChangeUserId) -> wire.ChangeUserId:
    """Give the calling user a new key; its crons and generators go on."""
    if message.colonyname not in context.caller.users:
        raise BadRequest(f"{message.failure}, user not found")
    require_identity(message.userid, message.failure, "user Id")
    old = context.caller.identity
    await context.store.users.change_id(message.colonyname, old=old, new=message.userid)
    await context.store.crons.change_initiator(message.colonyname, old=old, new=message.userid)
    await context.store.generators.change_initiator(message.colonyname, old=old, new=message.userid)
    await context.members_changed([old, message.userid])
    return message


def scope_of_new(message: wire.AddUser) -> str:
    """The colony of a user to add."""
    return _given(message).colonyname


def scope_of_change(message: wire.ChangeUserId) -> str:
    """The colony of a change of key, which has to name a key."""
    require_given(message.userid, message.failure, "user Id")
    return message.colonyname


def _given(message: wire.AddUser) -> User:
    if message.user is None:
        raise BadRequest("Failed to add user, executor is nil")
    return message.user
