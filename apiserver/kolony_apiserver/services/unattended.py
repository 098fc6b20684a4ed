"""Workflows that the server starts for somebody: what crons and generators have in common."""

from __future__ import annotations

from collections.abc import Sequence

from msgspec import Raw

from kolony.crypto import Identity
from kolony.errors import BadRequest, Forbidden, KolonyError, ServerError, Unavailable
from kolony.model.base import ColonyName
from kolony.model.workflows import Workflow
from kolony_apiserver.services import workflows
from kolony_apiserver.services.context import Context


def require_workflow(text: str, colony: str) -> None:
    """Refuse the text of a workflow that could never be started; whose fault it is, the message says here."""
    try:
        workflows.check(workflows.parse(text, colony))
    except BadRequest as error:
        raise BadRequest(error.message) from error


async def start(
    context: Context,
    colony: str,
    text: str,
    initiatorid: str,
    *,
    inputs: Sequence[Raw] = (),
    args: Sequence[Raw] | None = None,
) -> Workflow:
    """Start a workflow for a member; for whoever was put out nothing is started any more."""
    name = ColonyName(colony)
    initiator = await context.parts.callers.recall(Identity(initiatorid))
    if not initiator.is_approved_member(name):
        raise Forbidden("its initiator is no approved member of the colony any more")
    return await workflows.start(
        context,
        name,
        workflows.parse(text, name),
        initiatorid=initiatorid,
        initiatorname=initiator.name_in(name),
        inputs=inputs,
        args=args,
    )


def is_final(error: KolonyError) -> bool:
    """Whether it would fail in the same way again; what is wrong with the server itself may be over soon."""
    return not isinstance(error, ServerError | Unavailable)
