"""How a worker becomes an executor of its colony, and stops being one."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterable

from kolony.errors import BadRequest, ConfigurationError, Forbidden, KolonyError, ServerError
from kolony.model.executors import Executor, ExecutorState
from kolony.sdk.client import AsyncClient
from kolony.sdk.worker.functions import Offer

logger = logging.getLogger("kolony.worker")

_LEAVE_SECONDS = 4.0
"""How long a worker tries to leave a colony whose server is away, within what is left of a pod's life."""


async def enrol(client: AsyncClient, wanted: Executor) -> Executor:
    """Make the owner of the identity in ``wanted`` an approved executor, with the colony owner's key.

    Only what is new or pending is approved: an executor that was rejected or removed stays so until a person decides
    otherwise.

    Raises:
        ConfigurationError: the name is taken.
    """
    if found := await _approved(client, wanted):
        return found
    try:
        await client.executors.add(wanted)
    except BadRequest as error:
        if not await _pending(client, wanted):
            name = wanted.executorname
            raise ConfigurationError(
                f"an executor named {name!r} exists with another key, or this one was rejected or removed: choose "
                f"another name, or approve it with `kolony executor approve {name}`"
            ) from error
    await client.executors.approve(wanted.executorname)
    return await client.executors.get(wanted.executorname)


async def recognise(client: AsyncClient, wanted: Executor) -> Executor:
    """The approved executor that has the identity in ``wanted``.

    Raises:
        ConfigurationError: it is none, or not the one that is wanted.
    """
    try:
        found = await client.executors.get_by_id(wanted.executorid)
    except KolonyError as error:
        if error.status not in (403, 404):
            raise
        raise ConfigurationError(
            f"the key (identity {wanted.executorid}) belongs to no approved executor: approve it, or set "
            "COLONIES_COLONY_PRVKEY so that the worker can enrol itself"
        ) from error
    for asked, name in ((wanted.executorname, found.executorname), (wanted.executortype, found.executortype)):
        if asked and asked != name:
            raise ConfigurationError(
                f"the key belongs to executor {found.executorname!r} of type {found.executortype!r}, not to {asked!r}"
            )
    return found


async def offer(client: AsyncClient, executor: Executor, offers: Iterable[Offer]) -> None:
    """Tell the colony what the executor offers, as far as it does not know yet."""
    known = {function.funcname for function in await client.functions.find(executorname=executor.executorname)}
    for each in offers:
        if each.name not in known:
            await client.functions.add(each.describe(executor))


async def leave(client: AsyncClient, member: Executor) -> None:
    """Remove an executor from its colony, if it got there; what it still runs returns to the queue.

    Another executor that has the name is left alone.
    """
    try:
        async with asyncio.timeout(_LEAVE_SECONDS):
            if await _approved(client, member) or await _pending(client, member):
                await client.executors.remove(member.executorname)
    except (KolonyError, TimeoutError) as error:
        logger.warning("executor %s is not removed: %s", member.executorname, error or "the server is away")


async def _approved(client: AsyncClient, wanted: Executor) -> Executor | None:
    try:
        found = await client.executors.get(wanted.executorname)
    except (Forbidden, ServerError):
        # no member yet; the protocol answers 500 for a name that nobody has
        return None
    return found if found.executorid == wanted.executorid else None


async def _pending(client: AsyncClient, wanted: Executor) -> bool:
    try:
        members = await client.executors.find()
    except Forbidden:
        return False
    return any(
        member.executorid == wanted.executorid
        and member.executorname == wanted.executorname
        and member.state == ExecutorState.PENDING
        for member in members
    )
