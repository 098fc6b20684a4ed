"""Rules of processes: how they are made, who may end them, and what each refusal says."""

from __future__ import annotations

import secrets
from collections.abc import Sequence
from datetime import timedelta
from typing import Any

import msgspec
from msgspec import Raw

from kolony.errors import BadRequest, Conflict, Forbidden, NotFound, ServerError
from kolony.model.base import ColonyName, sparse
from kolony.model.functionspecs import MAX_PRIORITY, MIN_PRIORITY, FunctionSpec
from kolony.model.processes import Process, ProcessState, priority_time
from kolony.model.resources import format_cpu, format_memory, parse_cpu, parse_memory
from kolony.wire import processes as wire
from kolony_apiserver.clock import from_ns
from kolony_apiserver.queue.requirements import ANYONE, requirements_of
from kolony_apiserver.services.context import Context
from kolony_apiserver.store.processes import Ending, Submission, environment_of, wait_deadline

_INT32 = 2**31
_CLASS_TRIES = 3
_VANISHED = "the requirement class of this process vanished again and again; try again"
_NOT_NEGATIVE = "pq: LIMIT must not be negative"
_STATE_NAMES = {
    ProcessState.WAITING: "waiting",
    ProcessState.RUNNING: "running",
    ProcessState.SUCCESS: "successful",
    ProcessState.FAILED: "failed",
    ProcessState.CANCELLED: "cancelled",
}


async def submit(context: Context, message: wire.SubmitFunctionSpec[Raw]) -> Process[Raw]:
    """Queue one process."""
    spec = _given(message)
    return (await _submit(context, ColonyName(spec.conditions.colonyname), [spec], message.idempotencykey))[0]


def scope_of_new(message: wire.SubmitFunctionSpec[Raw]) -> str:
    """The colony of a process to submit."""
    return _given(message).conditions.colonyname


def _given(message: wire.SubmitFunctionSpec[Raw]) -> FunctionSpec[Raw]:
    if message.spec is None:
        raise BadRequest(f"{message.failure}, msg.FunctionSpec is nil")
    return message.spec


async def submit_many(context: Context, message: wire.SubmitFunctionSpecs[Raw]) -> list[Process[Raw]]:
    """Queue many processes of one colony, all or none."""
    if len(message.specs) > wire.MAX_BULK:
        raise BadRequest(f"{message.failure}, more than {wire.MAX_BULK} specs: send them in several messages")
    if not message.specs:
        return []
    if any(spec.conditions.colonyname not in ("", message.colonyname) for spec in message.specs):
        raise BadRequest(f"{message.failure}, a spec names another colony than the message")
    return await _submit(context, ColonyName(message.colonyname), message.specs, message.idempotencykey)


async def _submit(
    context: Context, colony: ColonyName, specs: Sequence[FunctionSpec[Raw]], key: str
) -> list[Process[Raw]]:
    parts = context.parts
    processes = [new_process(context, normalised(spec, colony)) for spec in specs]
    for _ in range(_CLASS_TRIES):
        classids = await _class_ids(context, processes)
        submission = Submission(processes=processes, classids=classids, idempotencykey=key)
        if await parts.writes.submit(submission):
            break
        if key and (earlier := await context.store.processes.submission(colony, context.caller.identity, key)):
            return await _repeated(context, colony, earlier)
        # The classes were removed as empty meanwhile; asking for them again makes them anew.
        parts.room.forget_classes(classids)
    else:
        raise ServerError(_VANISHED)
    parts.metrics.submitted.inc(len(processes))
    for process in processes:
        parts.hub.publish(process)
    return processes


async def held_class_ids(context: Context, processes: Sequence[Process[Raw]]) -> list[int]:
    """The requirement classes of new processes, which nobody removes before this unit of work ends."""
    for _ in range(_CLASS_TRIES):
        classids = await _class_ids(context, processes)
        if await context.store.assignments.hold_classes(set(classids)):
            return classids
        context.parts.room.forget_classes(classids)
    raise ServerError(_VANISHED)


async def _class_ids(context: Context, processes: Sequence[Process[Raw]]) -> list[int]:
    return await context.parts.room.class_ids(
        [
            (ColonyName(process.spec.conditions.colonyname), requirements_of(process.spec.conditions))
            for process in processes
        ]
    )


async def _repeated(context: Context, colony: ColonyName, processids: list[str]) -> list[Process[Raw]]:
    processes = await context.store.processes.get_many(colony, processids)
    if len(processes) != len(processids):
        raise Conflict("this idempotency key was used for processes that have been removed since; use a new key")
    order = {processid: place for place, processid in enumerate(processids)}
    return sorted(processes, key=lambda process: order[process.processid])


def normalised(spec: FunctionSpec[Raw], colony: ColonyName) -> FunctionSpec[Raw]:
    """The specification as it is stored: amounts in one unit, empty values as the protocol writes them."""
    require_priority(spec)
    conditions = spec.conditions
    counts = (conditions.nodes, conditions.processes, conditions.processespernode)
    for number in (spec.maxwaittime, spec.maxexectime, spec.maxretries, *counts):
        if not -_INT32 <= number < _INT32:
            raise BadRequest(f'pq: value "{number}" is out of range for type integer')
    return msgspec.structs.replace(
        spec,
        channels=sparse(spec.channels),
        conditions=msgspec.structs.replace(
            conditions,
            colonyname=colony,
            executornames=[] if conditions.executornames == ANYONE else conditions.executornames,
            locationname=sparse(conditions.locationname),
            cpu=format_cpu(parse_cpu(conditions.cpu)),
            mem=format_memory(parse_memory(conditions.mem)),
            storage=format_memory(parse_memory(conditions.storage)),
            gpu=msgspec.structs.replace(conditions.gpu, mem=format_memory(parse_memory(conditions.gpu.mem))),
        ),
    )


def require_priority(spec: FunctionSpec[Raw]) -> None:
    """Refuse a priority out of range, in the same words wherever the specification came from."""
    if not MIN_PRIORITY <= spec.priority <= MAX_PRIORITY:
        raise BadRequest(f"Failed to submit function spec, priority outside range [{MIN_PRIORITY}, {MAX_PRIORITY}]")


def new_process(
    context: Context,
    spec: FunctionSpec[Raw],
    *,
    ns: int | None = None,
    processid: str = "",
    initiatorid: str = "",
    initiatorname: str = "",
    **fields: Any,
) -> Process[Raw]:
    """A process of a normalised specification, submitted now by the caller if nothing else is said."""
    if ns is None:
        ns = context.parts.clock.now_ns()
    colony = ColonyName(spec.conditions.colonyname)
    submitted = from_ns(ns, context.parts.clock.zone)
    process = Process(
        processid=processid or new_process_id(ns),
        initiatorid=initiatorid or context.caller.identity,
        initiatorname=initiatorname or context.caller.name_in(colony),
        prioritytime=priority_time(ns, spec.priority),
        submissiontime=submitted,
        waitdeadline=wait_deadline(submitted, spec.maxwaittime),
        spec=spec,
        **fields,
    )
    if not spec.env:
        return process
    return msgspec.structs.replace(process, attributes=environment_of(process, colony))


def new_process_id(ns: int) -> str:
    """A new id, 64 hex digits: the time first, so that the index of ids grows at one end, then 192 random bits."""
    return f"{ns:016x}{secrets.token_hex(24)}"


async def get(context: Context, message: wire.GetProcess[Raw]) -> Process[Raw]:
    """Look up a process."""
    process = await context.store.processes.get(context.colony, message.processid)
    if process is None:
        raise NotFound("Failed to get process, process not found")
    return process


async def find(context: Context, message: wire.GetProcesses[Raw]) -> list[Process[Raw]]:
    """List processes in one state with at most one filter."""
    if message.count > wire.MAX_COUNT:
        raise BadRequest(f"Count is larger than MaxCount limit <{wire.MAX_COUNT}>")
    if message.initiator and await context.store.users.get(message.colonyname, message.initiator) is None:
        raise BadRequest(f"User <{message.initiator}> does not exist")
    if message.state not in _STATE_NAMES:
        raise BadRequest("Failed to get processes, invalid msg.State")
    if message.count < 0:
        raise BadRequest(_NOT_NEGATIVE)
    by_initiator = message.initiator if not message.executortype else ""
    return await context.store.processes.find(
        message.colonyname,
        state=message.state,
        count=message.count,
        executortype=message.executortype,
        initiator=by_initiator,
        label=message.label if not message.executortype and not by_initiator else "",
    )


async def history(context: Context, message: wire.GetProcessHistory[Raw]) -> list[Process[Raw]]:
    """List processes in one state that were submitted recently."""
    if message.state not in _STATE_NAMES:
        return []
    now = context.parts.clock.now()
    try:
        since = now - timedelta(seconds=message.seconds)
    except OverflowError:
        since = now.min.replace(tzinfo=now.tzinfo) if message.seconds > 0 else now
    return await context.store.processes.history(
        message.colonyname, state=message.state, since=since, executorid=message.executorid
    )


async def close_successful(context: Context, message: wire.CloseSuccessful[Raw]) -> None:
    """Finish a process that the caller runs; closing it once more changes nothing."""
    ending = Ending(
        processid=message.processid,
        executorid=context.caller.identity,
        state=ProcessState.SUCCESS,
        attempt=message.attempt,
        output=message.out or None,
    )
    if await _ended(context, ending):
        return
    process = await _refusable(context, context.colony, message.processid, message.failure)
    if not process.isassigned:
        raise Forbidden(f"{message.failure}, process is not assigned")
    _refuse_other_holder(context, process, message.failure, message.attempt)
    if process.state != ProcessState.SUCCESS:
        suffix = " without being running" if process.state == ProcessState.WAITING else ""
        raise Conflict(f"Tried to set {_STATE_NAMES[ProcessState(process.state)]} process as successful{suffix}")


async def close_failed(context: Context, message: wire.CloseFailed) -> None:
    """Fail a process that the caller runs."""
    ending = Ending(
        processid=message.processid,
        executorid=context.caller.identity,
        state=ProcessState.FAILED,
        attempt=message.attempt,
        errors=message.errors or [],
    )
    if await _ended(context, ending):
        return
    process = await _refusable(context, context.colony, message.processid, message.failure)
    if not process.isassigned:
        raise Forbidden(f"{message.failure}, process is not assigned")
    _refuse_other_holder(context, process, message.failure, message.attempt)
    raise Conflict(f"Tried to set {_STATE_NAMES[ProcessState(process.state)]} process as failed")


async def _ended(context: Context, ending: Ending) -> bool:
    """End the process if the caller holds it; then count and tell."""
    parts = context.parts
    home = await context.home(ending.processid)
    node = home is not None and bool(home.workflowid)
    ended = await parts.writes.close(ending, parts.clock.now(), node=node)
    if ended is None:
        return False
    parts.metrics.closed.labels(_STATE_NAMES[ending.state]).inc()
    parts.metrics.queue_wait_seconds.observe((ended.starttime - ended.submissiontime).total_seconds())
    parts.metrics.run_seconds.observe((ended.endtime - ended.starttime).total_seconds())
    await context.publish(
        processid=ending.processid,
        colonyname=ended.colonyname,
        executortype=ended.executortype,
        state=ending.state,
    )
    await context.publish_changes(ended.changes)
    return True


async def _refusable(context: Context, colony: ColonyName, processid: str, failure: str) -> Process[Raw]:
    """The process that a change did not apply to, to say why."""
    process = await context.store.processes.get(colony, processid)
    if process is None:
        raise NotFound(f"{failure}, process is nil", status=500)
    return process


def _refuse_other_holder(context: Context, process: Process[Raw], failure: str, attempt: int | None) -> None:
    if process.assignedexecutorid != context.caller.identity:
        raise Forbidden(f"{failure}, not allowed to close process as {_word(failure)}")
    _refuse_other_attempt(process, failure, attempt)


def _refuse_other_attempt(process: Process[Raw], failure: str, attempt: int | None) -> None:
    if attempt is not None and attempt != process.attempt:
        raise Forbidden(f"{failure}, attempt {attempt} is over, the process is in attempt {process.attempt}")


def _word(failure: str) -> str:
    return failure.rsplit(" ", 1)[1]


async def set_output(context: Context, message: wire.SetOutput[Raw]) -> None:
    """Replace the output of a process that the caller runs; an empty one changes nothing."""
    caller = context.caller.identity
    if message.out and await context.store.processes.set_output(
        context.colony, message.processid, executorid=caller, attempt=message.attempt, output=message.out
    ):
        return
    process = await _refusable(context, context.colony, message.processid, message.failure)
    if process.assignedexecutorid != caller:
        raise Forbidden("Failed to close process as successful, not allowed to close process as successful")
    _refuse_other_attempt(process, message.failure, message.attempt)
    if process.state != ProcessState.RUNNING:
        raise Forbidden(f"{message.failure}, process is not running")


async def cancel(context: Context, message: wire.CancelProcess) -> None:
    """Cancel a process that waits or runs."""
    if not await context.store.processes.cancel(context.colony, message.processid, now=context.parts.clock.now()):
        process = await _refusable(context, context.colony, message.processid, message.failure)
        if process.processgraphid:
            raise Conflict(
                "Failed to cancel, cannot cancel a process part of a workflow, cancel the entire workflow instead"
            )
        already = "already " if process.state == ProcessState.CANCELLED else ""
        raise Conflict(f"Tried to cancel {already}{_STATE_NAMES[ProcessState(process.state)]} process")
    process = await _refusable(context, context.colony, message.processid, message.failure)
    context.after_commit(lambda: context.parts.metrics.closed.labels("cancelled").inc())
    context.publish_after_commit(process)


async def remove(context: Context, message: wire.RemoveProcess) -> None:
    """Delete a process that does not run."""
    if not await context.store.processes.remove(context.colony, message.processid):
        process = await _refusable(context, context.colony, message.processid, message.failure)
        if process.processgraphid:
            raise Conflict(
                "Failed to remove, cannot remove a process part of a workflow, delete the entire workflow instead"
            )
        raise Conflict(f"{message.failure}, cannot remove a running process")


async def remove_all(context: Context, message: wire.RemoveAllProcesses) -> None:
    """Delete the processes of a colony in one state, or in any with -1."""
    if message.state == ProcessState.RUNNING:
        raise BadRequest("Not possible to remove running processes")
    if message.state != -1 and message.state not in _STATE_NAMES:
        raise BadRequest("Invalid state when deleting all processes")
    await context.store.processes.remove_all(message.colonyname, message.state)
