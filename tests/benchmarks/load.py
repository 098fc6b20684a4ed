"""The load generator: submits, cycles of assign and close, hand-offs to idle executors, and workflows.

It checks every reply: that it is a success of the right type, that each submit is answered with its own process,
that no process is assigned twice or to someone else, that each close is accepted. What fails a check raises, so a
figure that is printed comes from correct work only.
"""

from __future__ import annotations

import asyncio
import itertools
import secrets
import time
from collections.abc import AsyncIterator, Coroutine, Iterable, Sequence
from contextlib import asynccontextmanager
from typing import Any, NamedTuple

import msgspec
from connections import Connection, Endpoints, WrongReply, read
from graphs import deep
from msgspec import UNSET, UnsetType

from kolony.crypto import PrivateKey
from kolony.model.functionspecs import Conditions, FunctionSpec
from kolony.model.processes import ProcessState
from kolony.model.workflows import Workflow, WorkflowSpec
from kolony.wire.assignments import AssignProcess
from kolony.wire.envelope import seal_request
from kolony.wire.message import Freshness
from kolony.wire.processes import CloseSuccessful, SubmitFunctionSpec
from kolony.wire.workflows import SubmitWorkflow

EXECUTOR_TYPE = "bench"
CONNECTIONS = 16
PAUSE = 0.01
"""Seconds between two hand-offs, in which the executor that had the last one hangs in assign again."""

_PATIENCE = 120
"""Seconds that an assign waits: longer than any sample takes, so none of them ends by time."""

_HANDOFF_TIMEOUT = 10
"""Seconds after which a hand-off counts as lost; a wake-up that only a later poll makes good for ends here too."""


class Crew(NamedTuple):
    """A colony's name, the key that submits, and the keys of its executors."""

    colony: str
    submitter: PrivateKey
    executors: tuple[PrivateKey, ...]


class Timing(NamedTuple):
    """What a load took: seconds in all and of each call, and the processes it was about."""

    seconds: float
    latencies: list[float]
    processids: list[str]

    @property
    def rate(self) -> float:
        """Processes per second."""
        return len(self.processids) / self.seconds


class _Spec(msgspec.Struct):
    args: list[Any]


class _Process(msgspec.Struct):
    """What the checks read of a process."""

    processid: str
    state: int
    spec: _Spec
    attempt: int | None = None
    assignedexecutorid: str | UnsetType = UNSET
    parents: list[str] = []
    input: list[Any] = msgspec.field(default_factory=list, name="in")


class _Ledger:
    """Processes seen so far, each once."""

    def __init__(self) -> None:
        self._seen: dict[str, None] = {}

    def enter(self, processid: str) -> None:
        if processid in self._seen:
            raise WrongReply(f"process {processid} was given out twice")
        self._seen[processid] = None

    def ids(self) -> list[str]:
        return list(self._seen)


def function_spec(colony: str, argument: int, **conditions: Any) -> FunctionSpec:
    """The work of all loads: a call of ``echo``."""
    return FunctionSpec(
        nodename="n",
        funcname="echo",
        args=[argument],
        maxwaittime=-1,
        maxexectime=300,
        maxretries=3,
        conditions=Conditions(**{"colonyname": colony, "executortype": EXECUTOR_TYPE} | conditions),
    )


def freshness() -> Freshness:
    """A new proof that a message is new."""
    return Freshness(time=time.time_ns(), nonce=secrets.token_hex(16))


async def submit(
    endpoints: Endpoints, crew: Crew, count: int, *, fresh: bool = False, callers: int = CONNECTIONS
) -> Timing:
    """Submit ``count`` processes over so many connections; the requests are signed before the clock starts."""
    requests = enumerate(_submits(crew, range(count), fresh=fresh))
    ledger, latencies = _Ledger(), []

    async def one(connection: Connection) -> None:
        for number, request in requests:
            start = time.perf_counter()
            answer = await connection.post(request)
            latencies.append(time.perf_counter() - start)
            ledger.enter(_submitted(answer, number))

    async with open_connections(endpoints, callers) as connections:
        seconds = await timed(one(connection) for connection in connections)
    return Timing(seconds, latencies, ledger.ids())


async def cycle(endpoints: Endpoints, crew: Crew, count: int, *, fresh: bool = False) -> Timing:
    """Assign and close ``count`` processes, which must be waiting, with all executors; latencies are the assigns'."""
    left = iter(range(count))
    ledger, latencies = _Ledger(), []

    async def one(key: PrivateKey, connection: Connection) -> None:
        ask = _ask(crew, key)
        for _ in left:
            if fresh:
                ask = _ask(crew, key, freshness())
            start = time.perf_counter()
            answer = await connection.post(ask)
            latencies.append(time.perf_counter() - start)
            process = _assigned(answer, key)
            ledger.enter(process.processid)
            await _close(connection, key, process, freshness() if fresh else None)

    async with open_connections(endpoints, len(crew.executors)) as connections:
        seconds = await timed(map(one, crew.executors, connections))
    return Timing(seconds, latencies, ledger.ids())


async def run(endpoints: Endpoints, crew: Crew, count: int, *, nodes: int) -> Timing:
    """Submit ``count`` workflows of so many nodes in a row over 16 connections, while all executors run what comes.

    A workflow of one node is submitted as a single process. The latencies are the submits'.
    """
    requests = enumerate(_submits(crew, range(count)) if nodes == 1 else _chains(crew, range(count), nodes))
    left = iter(range(count * nodes))
    ledger, latencies = _Ledger(), []

    async def give(connection: Connection) -> None:
        for number, request in requests:
            start = time.perf_counter()
            answer = await connection.post(request)
            latencies.append(time.perf_counter() - start)
            if nodes == 1:
                _submitted(answer, number)
            elif (made := len(read(answer, SubmitWorkflow, Workflow).processids)) != nodes:
                raise WrongReply(f"a workflow of {nodes} nodes has {made}")

    async def work(key: PrivateKey, connection: Connection) -> None:
        ask = _ask(crew, key)
        for _ in left:
            process = _assigned(await connection.post(ask), key)
            ledger.enter(process.processid)
            await _close(connection, key, process, None)

    async with open_connections(endpoints, CONNECTIONS + len(crew.executors)) as connections:
        givers, workers = connections[:CONNECTIONS], connections[CONNECTIONS:]
        seconds = await timed([*map(give, givers), *map(work, crew.executors, workers)])
    return Timing(seconds, latencies, ledger.ids())


async def closes(endpoints: Endpoints, crew: Crew, count: int) -> Timing:
    """Assign and close ``count`` processes one after the other with one executor; the latencies are the closes'."""
    ledger, latencies, key = _Ledger(), [], crew.executors[0]
    start = time.perf_counter()
    async with open_connections(endpoints, 1) as [connection]:
        for _ in range(count):
            process = _assigned(await connection.post(_ask(crew, key)), key)
            ledger.enter(process.processid)
            begun = time.perf_counter()
            await _close(connection, key, process, None)
            latencies.append(time.perf_counter() - begun)
    return Timing(time.perf_counter() - start, latencies, ledger.ids())


async def assign(connection: Connection, crew: Crew) -> None:
    """Have a process assigned to the first executor."""
    key = crew.executors[0]
    _assigned(await connection.post(_ask(crew, key)), key)


def workflow_spec(colony: str, parents: Sequence[Sequence[int]]) -> WorkflowSpec[Any]:
    """A workflow of numbered nodes; for each the numbers of its parents."""
    specs = [
        msgspec.structs.replace(
            function_spec(colony, number, dependencies=[f"n{each}" for each in above]), nodename=f"n{number}"
        )
        for number, above in enumerate(parents)
    ]
    return WorkflowSpec(colonyname=colony, functionspecs=specs)


def _chains(crew: Crew, numbers: Iterable[int], nodes: int) -> list[bytes]:
    message = SubmitWorkflow(spec=workflow_spec(crew.colony, deep(nodes)))
    return [seal_request(message, crew.submitter) for _ in numbers]


class IdleExecutors:
    """Executors that hang in assign, and a submitter that gives them work one process at a time."""

    def __init__(self, crew: Crew, connection: Connection) -> None:
        self.processids: list[str] = []
        self._crew = crew
        self._connection = connection
        self._taken: asyncio.Queue[tuple[str, float]] = asyncio.Queue()
        self._released = False

    async def handoff(self) -> float:
        """Submit one process; seconds until an executor holds it."""
        number = len(self.processids)
        [request] = _submits(self._crew, [number])
        start = time.perf_counter()
        submitted = _submitted(await self._connection.post(request), number)
        processid, end = await self._next_taken()
        if processid != submitted:
            raise WrongReply(f"process {submitted} was submitted and {processid} assigned")
        self.processids.append(processid)
        await asyncio.sleep(PAUSE)
        return end - start

    async def release(self) -> None:
        """Give each executor a last process, which shows that all of them were reachable to the end."""
        self._released = True
        numbers = range(len(self.processids), len(self.processids) + len(self._crew.executors))
        submitted = {
            _submitted(await self._connection.post(request), number)
            for number, request in zip(numbers, _submits(self._crew, numbers), strict=True)
        }
        taken = {(await self._next_taken())[0] for _ in submitted}
        if taken != submitted or len(taken) != len(numbers):
            raise WrongReply(f"{len(numbers)} processes for {len(numbers)} idle executors: {len(taken)} were assigned")
        self.processids.extend(submitted)

    async def _next_taken(self) -> tuple[str, float]:
        try:
            async with asyncio.timeout(_HANDOFF_TIMEOUT):
                return await self._taken.get()
        except TimeoutError:
            raise WrongReply(f"a process waits and executors are idle for {_HANDOFF_TIMEOUT} s") from None

    async def work(self, key: PrivateKey, connection: Connection) -> None:
        """Be one of the executors, until released."""
        ask = _ask(self._crew, key)
        while not self._released:
            process = _assigned(await connection.post(ask), key)
            held = time.perf_counter()
            await _close(connection, key, process, None)
            self._taken.put_nowait((process.processid, held))


@asynccontextmanager
async def idle_executors(endpoints: Endpoints, crew: Crew) -> AsyncIterator[IdleExecutors]:
    """All executors of the crew hanging in assign; when the context ends each has been given a last process.

    Where there are several servers, the executors hang at all but the first, and that one is given the work.
    """
    async with (
        open_connections(endpoints[:1], 1) as [submitter],
        open_connections(endpoints[1:] or endpoints, len(crew.executors)) as connections,
    ):
        idle = IdleExecutors(crew, submitter)
        async with asyncio.TaskGroup() as group:
            for key, connection in zip(crew.executors, connections, strict=True):
                group.create_task(idle.work(key, connection))
            await asyncio.sleep(1 + len(crew.executors) / 500)
            yield idle
            await idle.release()


def _submits(crew: Crew, numbers: Iterable[int], *, fresh: bool = False) -> list[bytes]:
    return [
        seal_request(
            SubmitFunctionSpec(spec=function_spec(crew.colony, number), fresh=freshness() if fresh else None),
            crew.submitter,
        )
        for number in numbers
    ]


def _submitted(answer: tuple[int, bytes], number: int) -> str:
    process = read(answer, SubmitFunctionSpec, _Process)
    if process.state != ProcessState.WAITING or process.spec.args != [number]:
        raise WrongReply(f"submit {number} was answered with {process}")
    return process.processid


def _ask(crew: Crew, key: PrivateKey, fresh: Freshness | None = None) -> bytes:
    return seal_request(AssignProcess(colonyname=crew.colony, timeout=_PATIENCE, fresh=fresh), key)


def _assigned(answer: tuple[int, bytes], key: PrivateKey) -> _Process:
    process = read(answer, AssignProcess, _Process)
    if process.state != ProcessState.RUNNING or process.assignedexecutorid not in (UNSET, key.identity):
        raise WrongReply(f"executor {key.identity} was given {process}")
    if process.input != process.parents:
        raise WrongReply(f"what its parents put out are their ids, and process {process.processid} is given another")
    return process


async def _close(connection: Connection, key: PrivateKey, process: _Process, fresh: Freshness | None) -> None:
    message = CloseSuccessful(
        processid=process.processid, out=[process.processid], attempt=process.attempt, fresh=fresh
    )
    await connection.call(message, key, dict[str, Any])


@asynccontextmanager
async def open_connections(endpoints: Endpoints, count: int) -> AsyncIterator[list[Connection]]:
    """Connections, opened before and closed after, to each server in turn."""
    connections = [Connection(endpoint) for endpoint in itertools.islice(itertools.cycle(endpoints), count)]
    try:
        for connection in connections:
            await connection.open()
        yield connections
    finally:
        for connection in connections:
            connection.close()


async def timed(workers: Iterable[Coroutine[Any, Any, None]]) -> float:
    """Run the workers side by side; seconds until all are done."""
    start = time.perf_counter()
    async with asyncio.TaskGroup() as group:
        for worker in workers:
            group.create_task(worker)
    return time.perf_counter() - start
