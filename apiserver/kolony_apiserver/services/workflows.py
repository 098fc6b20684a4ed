"""Rules of workflows: what a graph has to be, how it is stored, and how it grows."""

from __future__ import annotations

import asyncio
import hashlib
import secrets
from collections import Counter, defaultdict
from collections.abc import Sequence

import msgspec
from msgspec import Raw

from kolony.errors import BadRequest, Conflict, KolonyError, NotFound, ServerError
from kolony.model.base import ColonyName
from kolony.model.functionspecs import FunctionSpec
from kolony.model.processes import Process, ProcessState
from kolony.model.workflows import Workflow, WorkflowSpec
from kolony.wire import workflows as wire
from kolony.wire.decoding import Decoder
from kolony_apiserver.clock import from_ns
from kolony_apiserver.services.context import Context
from kolony_apiserver.services.drawing import draw
from kolony_apiserver.services.processes import held_class_ids, new_process, normalised, require_priority
from kolony_apiserver.store.workflows import Dependency

_FAILURE = wire.SubmitWorkflow.failure
_UNKNOWN = f"{_FAILURE}, invalid dependencies, are you depending on a nodename that does not exits?"
_KEY = "workflow "
"""What an idempotency key begins with, so that no process is found by the key of a workflow."""

_BREATH = 1_000
_STATES = frozenset(ProcessState)
_SPEC: Decoder[WorkflowSpec[Raw]] = Decoder(WorkflowSpec[Raw])


class InvalidGraph(BadRequest):
    """A workflow specification that is no graph; the protocol answers it like a failure of the server."""

    status = 500


async def submit(context: Context, message: wire.SubmitWorkflow[Raw]) -> Workflow:
    """Store a workflow; its roots are queued at once."""
    return await start(
        context,
        context.colony,
        _given(message),
        initiatorid=context.caller.identity,
        initiatorname=context.caller.name_in(context.colony),
        key=message.idempotencykey and _KEY + message.idempotencykey,
    )


def scope_of_new(message: wire.SubmitWorkflow[Raw]) -> str:
    """The colony of a workflow to submit."""
    return _given(message).colonyname


def _given(message: wire.SubmitWorkflow[Raw]) -> WorkflowSpec[Raw]:
    if message.spec is None:
        raise BadRequest(f"{message.failure}, msg.WorkflowSpec is nil")
    return message.spec


def parse(text: str, colony: str) -> WorkflowSpec[Raw]:
    """The specification in the text of a cron or a generator; it has to be one of the same colony, or of none."""
    try:
        spec = _SPEC.decode(text)
    except msgspec.MsgspecError as error:
        raise BadRequest(f"the workflow specification cannot be read: {error}") from error
    if spec.colonyname not in ("", colony):
        raise BadRequest(f"the workflow specification is for the colony <{spec.colonyname}>, not for <{colony}>")
    return msgspec.structs.replace(spec, colonyname=colony)


def check(spec: WorkflowSpec[Raw]) -> None:
    """Refuse what is no graph: nodes without names, with one name, or of another colony, unknown parents, cycles."""
    names = [function.nodename for function in spec.functionspecs]
    if not all(names):
        raise InvalidGraph("Nodename is missing, check function spec for errors")
    if twice := [name for name, count in Counter(names).items() if count > 1]:
        raise InvalidGraph(f"Duplicate nodename: {twice[0]}")
    known = set(names)
    for function in spec.functionspecs:
        if function.conditions.colonyname not in ("", spec.colonyname):
            raise InvalidGraph(
                f"{_FAILURE}, node <{function.nodename}> is in the colony <{function.conditions.colonyname}>, and the"
                f" workflow in <{spec.colonyname}>"
            )
        for parent in function.conditions.dependencies:
            if parent not in known:
                raise InvalidGraph(f"{_UNKNOWN} Node <{function.nodename}> depends on <{parent}>")
    if (stuck := _in_cycle(spec)) is not None:
        raise InvalidGraph(f"{_FAILURE}, node <{stuck}> depends on itself through other nodes")


def _in_cycle(spec: WorkflowSpec[Raw]) -> str | None:
    """A node of a cycle, if there is one: what is left when nodes whose parents are gone are taken away."""
    waiting = {function.nodename: list(function.conditions.dependencies) for function in spec.functionspecs}
    pending = {name: len(parents) for name, parents in waiting.items()}
    children: dict[str, list[str]] = defaultdict(list)
    for name, parents in waiting.items():
        for parent in parents:
            children[parent].append(name)
    free = [name for name, count in pending.items() if count == 0]
    while free:
        name = free.pop()
        del waiting[name]
        for child in children[name]:
            pending[child] -= 1
            if pending[child] == 0:
                free.append(child)
    if not waiting:
        return None
    # Every node that is left has a parent that is left: going up far enough ends in a cycle.
    name = next(iter(waiting))
    for _ in waiting:
        name = next(parent for parent in waiting[name] if parent in waiting)
    return name


async def start(
    context: Context,
    colony: ColonyName,
    spec: WorkflowSpec[Raw],
    *,
    initiatorid: str,
    initiatorname: str,
    inputs: Sequence[Raw] = (),
    args: Sequence[Raw] | None = None,
    key: str = "",
) -> Workflow:
    """Store a workflow in this unit of work; its roots are queued once it is committed.

    ``inputs`` become the input of every root; ``args``, if given, replace the arguments of every root, named ones too.
    With an idempotency ``key`` that the initiator used before, the workflow of that time is the answer.
    """
    check(spec)
    ns = context.parts.clock.now_ns()
    workflow = Workflow(
        processgraphid=secrets.token_hex(32),
        initiatorid=initiatorid,
        initiatorname=initiatorname,
        colonyname=colony,
        submissiontime=from_ns(ns, context.parts.clock.zone),
    )
    processes = []
    for nth, function in enumerate(spec.functionspecs):
        if nth % _BREATH == _BREATH - 1:
            await asyncio.sleep(0)  # other calls do not wait for a large graph
        process = new_process(
            context,
            _node(function, colony, args),
            ns=ns + nth,  # what is otherwise equal runs in the order of the specification
            initiatorid=initiatorid,
            initiatorname=initiatorname,
            processgraphid=workflow.processgraphid,
            input=[] if function.conditions.dependencies else list(inputs),
        )
        processes.append(process)
    processes, dependencies = _connected(processes)
    classids = await held_class_ids(context, processes)
    classes = [-classid if each.parents else classid for each, classid in zip(processes, classids, strict=True)]
    if not await context.store.workflows.add(workflow, processes, classes, dependencies, key=key):
        earlier = await context.store.processes.submission(colony, initiatorid, key)
        return await _repeated(context, colony, earlier)
    roots = [(each, classid) for each, classid in zip(processes, classids, strict=True) if not each.parents]
    context.after_commit(lambda: _wake(context, roots))
    context.after_commit(lambda: context.parts.metrics.submitted.inc(len(processes)))
    return msgspec.structs.replace(
        workflow,
        rootprocessids=[process.processid for process, _ in roots],
        processids=[process.processid for process in processes],
    )


def _node(function: FunctionSpec[Raw], colony: ColonyName, args: Sequence[Raw] | None) -> FunctionSpec[Raw]:
    """A function of a workflow as it is stored: without a limit where none is given."""
    root = not function.conditions.dependencies
    replaced = {"args": list(args), "kwargs": {}} if root and args is not None else {}
    unlimited = {} if function.maxexectime else {"maxexectime": -1}
    require_priority(function)
    try:
        return normalised(msgspec.structs.replace(function, **replaced, **unlimited), colony)
    except BadRequest as error:
        raise InvalidGraph(f"{_FAILURE}, failed to add process, node <{function.nodename}>: {error.message}") from error


def _connected(processes: Sequence[Process[Raw]]) -> tuple[list[Process[Raw]], list[Dependency]]:
    """The processes of a specification with their parents and children, and who waits for whom."""
    ids = {process.spec.nodename: process.processid for process in processes}
    parents = [[ids[name] for name in process.spec.conditions.dependencies] for process in processes]
    children: dict[str, dict[str, None]] = defaultdict(dict)
    for process, above in zip(processes, parents, strict=True):
        for parent in above:
            children[parent][process.processid] = None
    connected = [
        msgspec.structs.replace(
            process, parents=above, children=list(children[process.processid]), waitforparents=bool(above)
        )
        for process, above in zip(processes, parents, strict=True)
    ]
    dependencies = [
        Dependency(parentid=parent, childid=process.processid, nth=nth, rank=rank)
        for rank, process in enumerate(connected)
        for nth, parent in enumerate(process.parents)
    ]
    return connected, dependencies


def _wake(context: Context, queued: Sequence[tuple[Process[Raw], int]]) -> None:
    for process, classid in queued:
        context.parts.room.arrived(classid, process.prioritytime)
        context.parts.hub.publish(process)


async def _repeated(context: Context, colony: ColonyName, submitted: Sequence[str] | None) -> Workflow:
    found = await context.store.workflows.get(colony, submitted[0]) if submitted else None
    if found is None:
        raise Conflict("this idempotency key was used for a workflow that has been removed since; use a new key")
    return found[0]


async def get(context: Context, message: wire.GetWorkflow) -> Workflow:
    """Look up a workflow and draw it."""
    found = await context.store.workflows.get(context.colony, message.processgraphid)
    if found is None:
        raise _missing(message.failure)
    workflow, graph = found
    labels = await context.store.workflows.labels(message.processgraphid)
    # In a thread: other calls do not wait for the drawing of a large graph.
    nodes, edges = await asyncio.to_thread(draw, graph, labels)
    return msgspec.structs.replace(workflow, nodes=nodes, edges=edges)


async def find(context: Context, message: wire.GetWorkflows) -> list[Workflow]:
    """List workflows in one state."""
    if message.state not in _STATES:
        raise BadRequest("invalid msg.State")
    if message.count > wire.MAX_COUNT:
        raise BadRequest(f"Count is larger than MaxCount limit <{wire.MAX_COUNT}>")
    if message.count < 0:
        raise BadRequest("pq: LIMIT must not be negative")
    return await context.store.workflows.find(message.colonyname, state=message.state, count=message.count)


async def add_child(context: Context, message: wire.AddChild[Raw]) -> Process[Raw]:
    """Add a process below one that the caller runs; it waits for that one at least."""
    workflows = context.store.workflows
    spec = _given_child(message)
    home = await context.home(message.parentprocessid)
    if home is None or home.colonyname != context.colony:
        raise BadRequest(f"{message.failure}, process with Id {message.parentprocessid} does not exist")
    locked = await workflows.lock(home.workflowid)
    processid = _child_id(home.workflowid, message.idempotencykey)
    if processid and (earlier := await context.store.processes.get(context.colony, processid)):
        return earlier
    parent = await context.store.processes.get(context.colony, message.parentprocessid)
    _require_growable(context, message, parent)
    if locked is None or message.processgraphid != home.workflowid:
        raise BadRequest(f"{message.failure}, process with Id {message.parentprocessid} is in another processgraph")
    function = msgspec.structs.replace(spec, maxexectime=spec.maxexectime or -1)
    process = new_process(
        context,
        normalised(function, context.colony),
        processid=processid,
        processgraphid=home.workflowid,
        parents=[message.parentprocessid],
        waitforparents=True,
    )
    [classid] = await held_class_ids(context, [process])
    grown = await workflows.grow(
        process,
        classid,
        parentid=message.parentprocessid,
        childid=message.childprocessid,
        insert=message.insert,
        rank=locked.size,
    )
    if not grown:
        raise BadRequest(f"{message.failure}, process with Id {message.childprocessid} does not wait for parents")
    context.after_commit(lambda: context.parts.metrics.submitted.inc())
    stored = await context.store.processes.get(context.colony, process.processid)
    if stored is None:
        raise ServerError(f"{message.failure}, the process vanished")
    return stored


def _child_id(workflowid: str, key: str) -> str:
    """The id of a child added under an idempotency key: whoever repeats the call finds it."""
    return hashlib.sha3_256(f"{workflowid} {key}".encode()).hexdigest() if key else ""


def scope_of_child(message: wire.AddChild[Raw]) -> str:
    """The colony of a process to add to a workflow."""
    return _given_child(message).conditions.colonyname


def _given_child(message: wire.AddChild[Raw]) -> FunctionSpec[Raw]:
    if message.spec is None:
        raise BadRequest(f"{message.failure}, msg.FunctionSpec is nil")
    return message.spec


def _require_growable(context: Context, message: wire.AddChild[Raw], parent: Process[Raw] | None) -> None:
    named = f"Process with Id {message.parentprocessid}"
    if parent is None or parent.state != ProcessState.RUNNING:
        raise BadRequest(f"{named} is not running")
    if parent.assignedexecutorid != context.caller.identity:
        raise BadRequest(f"{named} is not assigned to executor with Id {context.caller.identity}")
    if not parent.processgraphid:
        raise BadRequest(f"{named} does not belong to a processgraph")


async def cancel(context: Context, message: wire.CancelWorkflow) -> None:
    """Cancel what waits or runs of a workflow; one of which nothing does stays as it is."""
    workflows = context.store.workflows
    locked = await workflows.lock(message.processgraphid)
    if locked is None:
        raise _missing(message.failure)
    cancelled = await workflows.cancel(message.processgraphid, locked, now=context.parts.clock.now())
    context.after_commit(lambda: context.parts.metrics.closed.labels("cancelled").inc(len(cancelled)))
    await context.publish_changes_after_commit(cancelled)


async def remove(context: Context, message: wire.RemoveWorkflow) -> None:
    """Delete a workflow that does not run, with its processes."""
    locked = await context.store.workflows.lock(message.processgraphid)
    if locked is None:
        raise _missing(message.failure)
    if locked.state == ProcessState.RUNNING:
        raise Conflict(f"{message.failure}, cannot remove a running processgraph")
    await context.store.workflows.remove([message.processgraphid])


async def remove_all(context: Context, message: wire.RemoveAllWorkflows) -> None:
    """Delete the workflows of a colony in one state, or in any with -1, with their processes."""
    if message.state == ProcessState.RUNNING:
        raise BadRequest("not possible to remove running processgraphs")
    if message.state != -1 and message.state not in _STATES:
        raise BadRequest("invalid state when deleting all processgraphs")
    states = _STATES if message.state == -1 else [message.state]
    await context.store.workflows.remove_all(message.colonyname, states)


def _missing(failure: str) -> KolonyError:
    return NotFound(f"{failure}, graph is nil", status=500)
