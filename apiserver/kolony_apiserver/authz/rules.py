"""The rules of authority. Each finds the colony a message is about, checks the caller, and answers the colony.

A rule is made from a *scope*: how to find the colony, in the message itself or by the key of an object it names.
The refusals are those of the protocol.
"""

from __future__ import annotations

import inspect
from collections.abc import Awaitable, Callable
from typing import Any

from kolony.errors import Forbidden, KolonyError, NotFound
from kolony.model.base import ColonyName
from kolony_apiserver.membership import Caller
from kolony_apiserver.services.context import Context

Scope = Callable[[Context, Any], Awaitable[ColonyName]]
NameIn = Callable[[Any], str]
Rule = Callable[[Context, Any], Awaitable[ColonyName]]
Unknown = Callable[[str], KolonyError]


def unknown_is_bad(colonyname: str) -> KolonyError:
    """An unknown colony, where it is a fault of the request."""
    return NotFound(f"Colony with name <{colonyname}> does not exists", status=400)


def not_found_is_bad(colonyname: str) -> KolonyError:
    """An unknown colony, in the words of removal and statistics."""
    return NotFound(f"Colony with name <{colonyname}> not found", status=400)


def unknown_is_forbidden(colonyname: str) -> KolonyError:
    """An unknown colony, where the caller cannot have authority in it."""
    return Forbidden(f"Colony with name <{colonyname}> does not exists")


def server_owner(check: Callable[[Any], object] | None = None) -> Rule:
    """The owner of the server; ``check`` refuses a message before authority is looked at."""

    async def rule(context: Context, message: Any) -> ColonyName:
        if check is not None:
            check(message)
        if not context.caller.server_owner:
            raise Forbidden("Access denied, not server owner")
        return ColonyName("")

    return rule


def colony_owner(scope: Scope | NameIn, *, unknown: Unknown = unknown_is_forbidden) -> Rule:
    """The owner of the colony."""
    find = _scope(scope)

    async def rule(context: Context, message: Any) -> ColonyName:
        colony = await find(context, message)
        if colony in context.caller.owns:
            return colony
        if not colony and unknown is unknown_is_forbidden:
            raise Forbidden("Empty Colony name")
        await _require_colony(context, colony, unknown)
        raise Forbidden("Access denied, not colony owner")

    return rule


def approved_member(scope: Scope | NameIn, *, unknown: Unknown = unknown_is_forbidden) -> Rule:
    """A user or an approved executor of the colony."""
    return _membership(scope, unknown, Caller.is_approved_member)


def member(scope: Scope | NameIn, *, unknown: Unknown = unknown_is_forbidden) -> Rule:
    """A user of the colony, or an executor of it that is approved or still waits for approval."""
    return _membership(scope, unknown, Caller.is_member)


def _membership(scope: Scope | NameIn, unknown: Unknown, belongs: Callable[[Caller, str], bool]) -> Rule:
    find = _scope(scope)

    async def rule(context: Context, message: Any) -> ColonyName:
        colony = await find(context, message)
        if not belongs(context.caller, colony):
            await _require_colony(context, colony, unknown)
            raise Forbidden(f"Access denied, not a member of Colony with name <{colony}>")
        return colony

    return rule


def _scope(scope: Scope | NameIn) -> Scope:
    if inspect.iscoroutinefunction(scope):
        return scope

    async def named(context: Context, message: Any) -> ColonyName:
        return ColonyName(scope(message))  # type: ignore[call-arg, arg-type]

    return named


async def _require_colony(context: Context, colony: str, unknown: Unknown) -> None:
    if await context.store.colonies.get(colony) is None:
        raise unknown(colony)
