"""Running one process: call the function, send its log, add its children, close the process with what came of it."""

from __future__ import annotations

import asyncio
import logging
import traceback
from collections.abc import Iterable
from dataclasses import dataclass

import msgspec
from msgspec import Raw

from kolony.errors import BadRequest, ConnectionLost, KolonyError, TooLarge, Unavailable
from kolony.model.processes import Process
from kolony.sdk.client import AsyncClient
from kolony.sdk.worker.functions import Offer
from kolony.sdk.worker.outbox import Outbox
from kolony.sdk.worker.running import Child, RunningProcess, running, storable

logger = logging.getLogger("kolony.worker")

_AGAIN_SECONDS = 1.0


@dataclass(frozen=True, slots=True)
class Success:
    """The function returned; ``out`` is what it returned, value by value, as JSON."""

    out: list[Raw]


@dataclass(frozen=True, slots=True)
class Failure:
    """The function did not return; ``errors`` says why."""

    errors: list[str]


async def execute(client: AsyncClient, process: Process, offer: Offer | None) -> None:
    """Run a process and close it.

    Whatever becomes of the function ends in the process; nothing is raised, except when the task is cancelled.
    """
    if offer is None:
        await close(client, process, Failure([f"this executor has no function named {process.spec.funcname!r}"]))
        return
    outbox = Outbox(client, process.processid, process.attempt or None)
    shipping = asyncio.create_task(outbox.ship())
    current = RunningProcess(process, outbox)
    try:
        outcome = await _run(offer, current)
        outbox.close()
        await shipping
        if isinstance(outcome, Success):
            outcome = await _grow(client, process, current.added) or outcome
        await close(client, process, outcome)
    finally:
        shipping.cancel()


async def close(client: AsyncClient, process: Process, outcome: Success | Failure) -> None:
    """Close a process; while the server is away, try until it is back or the task is cancelled."""
    while True:
        try:
            await _close_once(client, process, outcome)
        except (ConnectionLost, Unavailable) as error:
            logger.warning("process %s cannot be closed now: %s", process.processid, error)
            await asyncio.sleep(_AGAIN_SECONDS)
        except KolonyError as error:
            # out of time, cancelled or removed meanwhile: somebody else has it, or nobody wants it
            logger.warning("process %s is not ours to close any more: %s", process.processid, error)
            return
        else:
            return


async def _close_once(client: AsyncClient, process: Process, outcome: Success | Failure) -> None:
    processid, attempt = process.processid, process.attempt or None
    if isinstance(outcome, Failure):
        await client.processes.fail(processid, outcome.errors, attempt=attempt)
        return
    try:
        await client.processes.close(processid, outcome.out, attempt=attempt)
    except (BadRequest, TooLarge) as error:
        # if it is the output that the server does not take, the process can still be failed
        await client.processes.fail(processid, [f"the output was refused: {error.message}"], attempt=attempt)


async def _grow(client: AsyncClient, process: Process, children: Iterable[Child]) -> Failure | None:
    """Add the children of a process that is about to be closed; without all of them it has failed."""
    try:
        for nth, child in enumerate(children):
            await client.workflows.add_child(
                process.processgraphid,
                process.processid,
                child.spec,
                childprocessid=child.childprocessid,
                insert=child.insert,
                # The same in every attempt: one that was given up on the way to its close adds no child twice.
                idempotencykey=f"{process.processid} {nth}",
            )
    except KolonyError as error:
        return Failure([f"a child could not be added: {error.message}"])
    return None


async def _run(offer: Offer, process: RunningProcess) -> Success | Failure:
    spec = process.process.spec
    try:
        with running(process):
            out = await offer.call(spec.args, spec.kwargs)
        return Success([Raw(msgspec.json.encode(value)) for value in out])
    except asyncio.CancelledError as error:
        task = asyncio.current_task()
        if task and task.cancelling():
            raise
        # the function was not cancelled, but something that it awaited was
        return _failure(error, process)
    except (Exception, SystemExit) as error:
        return _failure(error, process)


def _failure(error: BaseException, process: RunningProcess) -> Failure:
    trace = error.__traceback__
    while trace and trace.tb_frame.f_globals.get("__name__", "").startswith("kolony.sdk.worker."):
        trace = trace.tb_next
    process.log("".join(traceback.format_exception(type(error), error, trace)).rstrip())
    text = storable(str(error))
    return Failure([f"{type(error).__name__}: {text}" if text else type(error).__name__])
