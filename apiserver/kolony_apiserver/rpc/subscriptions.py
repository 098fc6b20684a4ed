"""Who may follow processes over the WebSocket."""

from __future__ import annotations

from typing import Any

from kolony.errors import Forbidden, NotFound
from kolony.model.base import ColonyName
from kolony_apiserver.authz.rules import approved_member
from kolony_apiserver.authz.scopes import process_colony
from kolony_apiserver.services.context import Context


def absent_process(message: Any) -> NotFound:
    """What a subscription to a process that does not exist is refused with."""
    return NotFound(f"Invalid process with Id {message.processid}", status=403)


async def _of_process(context: Context, message: Any) -> ColonyName:
    return await process_colony(context, message.processid, absent_process(message))


may_follow = approved_member(_of_process)
"""Members of a process's colony may follow it."""


async def may_follow_all(context: Context, message: Any) -> ColonyName:
    """Executors may follow all processes of their colony for an executor type; users may not."""
    colony = ColonyName(message.colonyname)
    if context.caller.executor_in(colony) is None or not context.caller.is_member(colony):
        raise Forbidden("executor not found")
    return colony
