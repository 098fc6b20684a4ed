"""Rules of logs."""

from __future__ import annotations

from kolony.errors import BadRequest, Forbidden, NotFound
from kolony.model.logs import Log
from kolony.model.processes import ProcessState
from kolony.wire import logs as wire
from kolony_apiserver.services.context import Context

_NOT_NEGATIVE = "pq: LIMIT must not be negative"
_DAY_NS = 86_400 * 10**9


async def add(context: Context, message: wire.AddLog) -> None:
    """Write to the log of a process that the caller runs."""
    caller = context.caller.identity
    timestamp = context.parts.clock.now_ns()
    if await context.store.logs.add(message.processid, message.message, executorid=caller, timestamp=timestamp):
        return
    process = await context.store.processes.get(context.colony, message.processid)
    if process is None:
        raise NotFound("Failed to add log, process is nil", status=500)
    if process.state != ProcessState.RUNNING:
        raise Forbidden("Failed to set output, process is not running")
    raise Forbidden("Failed to add log, not allowed to add log, only the assigned Executor may att logs")


async def add_executor(context: Context, message: wire.AddExecutorLog) -> None:
    """Write to the caller's own log."""
    executor = context.caller.executor_in(message.colonyname)
    if executor is None:
        raise Forbidden(f"{message.failure}, executor not found")
    if executor.name != message.executorname:
        raise Forbidden(f"{message.failure}, executor name mismatch")
    await context.store.logs.add_executor(
        message.colonyname, executor.name, message.message, timestamp=context.parts.clock.now_ns()
    )


async def find(context: Context, message: wire.GetLogs) -> list[Log]:
    """Read the log of an executor, or of a process."""
    if message.count > wire.MAX_LOGS:
        raise Forbidden(f"Count exceeds max log count ({wire.MAX_LOGS})")
    if message.count < 0:
        raise BadRequest(_NOT_NEGATIVE)
    logs, since = context.store.logs, max(message.since, 0)
    if message.executorname:
        return await logs.of_executor(
            context.colony, message.executorname, since=since, count=message.count, latest=message.latest
        )
    return await logs.of_process(message.processid, since=since, count=message.count, latest=message.latest)


async def search(context: Context, message: wire.SearchLogs) -> list[Log]:
    """Look for a pattern in recent logs."""
    if message.count > wire.MAX_FOUND:
        raise BadRequest(f"Count exceeds max log count ({wire.MAX_FOUND})")
    if message.days > wire.MAX_DAYS:
        raise BadRequest(f"Count exceeds max day count ({wire.MAX_DAYS})")
    if message.count < 0:
        raise BadRequest(_NOT_NEGATIVE)
    if message.days <= 0:
        return []
    since = context.parts.clock.now_ns() - message.days * _DAY_NS
    return await context.store.logs.search(message.colonyname, f"%{message.text}%", since=since, count=message.count)
