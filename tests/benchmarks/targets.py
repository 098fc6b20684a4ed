"""The targets that speak the protocol: the product, and the floor it is measured against."""

from __future__ import annotations

import asyncio
import secrets
import time
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

import msgspec
import psycopg
from connections import Connection, Endpoints, WrongReply, read
from graphs import Parents
from load import (
    CONNECTIONS,
    EXECUTOR_TYPE,
    Crew,
    Timing,
    assign,
    closes,
    cycle,
    function_spec,
    idle_executors,
    open_connections,
    run,
    submit,
    workflow_spec,
)
from queues import EXECUTORS, Census, Demand, Queue
from servers import Server

from kolony.crypto import PrivateKey
from kolony.model.colonies import Colony, Statistics
from kolony.model.executors import Executor
from kolony.model.processes import ProcessState
from kolony.model.server import Cluster
from kolony.model.users import User
from kolony.model.workflows import Workflow
from kolony.wire.colonies import AddColony, GetColonyStatistics
from kolony.wire.envelope import seal_request
from kolony.wire.executors import AddExecutor, ApproveExecutor
from kolony.wire.processes import MAX_BULK, GetProcess, SubmitFunctionSpecs
from kolony.wire.server import GetCluster
from kolony.wire.users import AddUser
from kolony.wire.workflows import SubmitWorkflow

_OUTPUTS = 50
"""Finished processes whose stored output is looked at after each load."""


class _Stored(msgspec.Struct):
    """What is checked of a process that is looked up."""

    processid: str
    state: int
    out: list[Any]


class _ServerQueue(Queue):
    """A colony on one or more servers, loaded over HTTP."""

    def __init__(self, endpoints: Endpoints, crew: Crew, *, callers: int = CONNECTIONS) -> None:
        super().__init__()
        self._endpoints = endpoints
        self._crew = crew
        self._callers = callers

    async def _submit(self, count: int, *, fresh: bool) -> Timing:
        return await submit(self._endpoints, self._crew, count, fresh=fresh, callers=self._callers)

    async def _cycle(self, count: int, *, fresh: bool) -> Timing:
        timing = await cycle(self._endpoints, self._crew, count, fresh=fresh)
        await self._check_outputs(timing.processids[:: max(1, count // _OUTPUTS)])
        return timing

    async def _handoffs(self, count: int, parked: Callable[[], Awaitable[None]]) -> tuple[list[float], int]:
        async with idle_executors(self._endpoints, self._crew) as idle:
            await parked()
            seconds = [await idle.handoff() for _ in range(count)]
        await self._check_outputs(idle.processids[-_OUTPUTS:])
        return seconds, len(idle.processids)

    async def _check_outputs(self, processids: Sequence[str]) -> None:
        """Look up finished processes, where the target lets itself be asked."""


class ProductTarget:
    """The Colonies server of this project, or several of them that are one."""

    def __init__(self, servers: Sequence[Server], owner: PrivateKey) -> None:
        self.servers = servers
        self._owner = owner

    @property
    def server(self) -> Server:
        """The server, where there is one."""
        [server] = self.servers
        return server

    @property
    def _endpoints(self) -> Endpoints:
        return [server.endpoint for server in self.servers]

    async def queue(self, executors: int = EXECUTORS, *, callers: int = CONNECTIONS) -> ProductQueue:
        """An empty queue of a new colony with a user, who submits over so many connections, and approved executors."""
        name = _colony_name()
        colony, submitter = PrivateKey.generate(), PrivateKey.generate()
        crew = Crew(name, submitter, tuple(PrivateKey.generate() for _ in range(executors)))
        # All are enrolled at one server: others learn of it a moment later.
        async with open_connections(self._endpoints[:1], CONNECTIONS) as connections:
            first = connections[0]
            added = Colony(colonyid=colony.identity, name=name)
            await first.call(AddColony(colony=added), self._owner, Colony)
            user = User(colonyname=name, userid=submitter.identity, name="submitter")
            await first.call(AddUser(user=user), colony, User)
            numbered = enumerate(crew.executors)

            async def enrol(connection: Connection) -> None:
                for number, key in numbered:
                    await _enrol(connection, colony, name, f"executor-{number}", key)

            async with asyncio.TaskGroup() as group:
                for connection in connections:
                    group.create_task(enrol(connection))
        return ProductQueue(self._endpoints, crew, callers=callers)

    def without(self, server: Server) -> ProductTarget:
        """The other servers."""
        return ProductTarget([each for each in self.servers if each != server], self._owner)

    async def leads(self, connection: Connection) -> Server | None:
        """The one of these servers that leads, as that behind a connection knows."""
        cluster = await connection.call(GetCluster(), self._owner, Cluster)
        return next((each for each in self.servers if each.endpoint.port == cluster.leader.apiport), None)

    async def leader(self) -> Server:
        """The server that leads, which has to be one of these."""
        async with open_connections(self._endpoints[:1], 1) as [connection]:
            if (leader := await self.leads(connection)) is None:
                raise WrongReply("none of the servers leads")
        return leader


class ProductQueue(_ServerQueue):
    """A colony on the product, which knows workflows too."""

    async def _fill(self, count: int, demand: Demand) -> None:
        async with open_connections(self._endpoints, 1) as [connection]:
            for start in range(0, count, MAX_BULK):
                specs = [
                    function_spec(self._crew.colony, number, **demand.conditions(number))
                    for number in range(start, min(count, start + MAX_BULK))
                ]
                message = SubmitFunctionSpecs[Any](colonyname=self._crew.colony, specs=specs)
                submitted = await connection.call(message, self._crew.submitter, list[_Stored])
                if len({process.processid for process in submitted}) != len(specs):
                    raise WrongReply(f"{len(specs)} specs were submitted and {len(submitted)} processes made")

    async def run(self, count: int, *, nodes: int) -> Timing:
        """Submit workflows of so many nodes in a row, and run them with all executors meanwhile."""
        timing = await run(self._endpoints, self._crew, count, nodes=nodes)
        await self._audit(submitted=count * nodes, closed=count * nodes)
        if nodes > 1 and (ended := (await self._statistics()).successfulworkflows) != count:
            raise WrongReply(f"{count} workflows were run, and {ended} are successful")
        return timing

    async def submit_workflow(self, parents: Parents) -> float:
        """Submit a workflow in one message; seconds from the request to the reply."""
        request = seal_request(SubmitWorkflow(spec=workflow_spec(self._crew.colony, parents)), self._crew.submitter)
        async with open_connections(self._endpoints, 1) as [connection]:
            start = time.perf_counter()
            answer = await connection.post(request)
            seconds = time.perf_counter() - start
        if len(set(read(answer, SubmitWorkflow, Workflow).processids)) != len(parents):
            raise WrongReply(f"a workflow of {len(parents)} nodes has another number of them")
        await self._audit(submitted=len(parents))
        return seconds

    async def closes(self, count: int) -> Timing:
        """Assign and close one after the other with one executor."""
        timing = await closes(self._endpoints, self._crew, count)
        await self._audit(closed=count)
        return timing

    async def assign(self, connection: Connection) -> None:
        """Assign a process, which stays with its executor."""
        await assign(connection, self._crew)

    async def _statistics(self) -> Statistics:
        async with open_connections(self._endpoints, 1) as [connection]:
            message = GetColonyStatistics(colonyname=self._crew.colony)
            return await connection.call(message, self._crew.submitter, Statistics)

    async def _census(self) -> Census:
        counts = await self._statistics()
        return Census(counts.waitingprocesses, counts.runningprocesses, counts.successfulprocesses)

    async def _check_outputs(self, processids: Sequence[str]) -> None:
        async with open_connections(self._endpoints, 1) as [connection]:
            for processid in processids:
                message = GetProcess[Any](processid=processid)
                stored = await connection.call(message, self._crew.submitter, _Stored)
                if stored != _Stored(processid, ProcessState.SUCCESS, [processid]):
                    raise WrongReply(f"process {processid} was closed, and is {stored}")


class FloorTarget:
    """The floor: it knows no members, and its rows are written and counted in its table."""

    def __init__(self, server: Server, dsn: str) -> None:
        self.server = server
        self._dsn = dsn

    async def queue(self, executors: int = EXECUTORS) -> Queue:
        """An empty queue of a new colony."""
        crew = Crew(_colony_name(), PrivateKey.generate(), tuple(PrivateKey.generate() for _ in range(executors)))
        return _FloorQueue([self.server.endpoint], crew, self._dsn)


class _FloorQueue(_ServerQueue):
    _FILL = """
    insert into p (id, colony, etype, prio, spec, state)
    select gen_random_uuid(), %s, %s, %s + n, %s, 0 from generate_series(1, %s) n
    """
    _CENSUS = "select state, count(*) from p where colony = %s group by state"

    def __init__(self, endpoints: Endpoints, crew: Crew, dsn: str) -> None:
        super().__init__(endpoints, crew)
        self._dsn = dsn

    async def _fill(self, count: int, demand: Demand) -> None:
        kind = EXECUTOR_TYPE if demand.matches else "other"
        spec = msgspec.json.encode(function_spec(self._crew.colony, 0)).decode()
        async with await psycopg.AsyncConnection.connect(self._dsn, autocommit=True) as connection:
            await connection.execute(self._FILL, (self._crew.colony, kind, time.time_ns(), spec, count))

    async def _census(self) -> Census:
        async with await psycopg.AsyncConnection.connect(self._dsn, autocommit=True) as connection:
            cursor = await connection.execute(self._CENSUS, (self._crew.colony,))
            counts: dict[int, int] = dict(await cursor.fetchall())
        return Census(*(counts.get(state, 0) for state in range(len(Census._fields))))


async def _enrol(connection: Connection, colony: PrivateKey, name: str, executor_name: str, key: PrivateKey) -> None:
    executor = Executor(
        executorid=key.identity, executorname=executor_name, executortype=EXECUTOR_TYPE, colonyname=name
    )
    await connection.call(AddExecutor(executor=executor), colony, Executor)
    await connection.call(ApproveExecutor(colonyname=name, executorname=executor_name), colony, dict[str, Any])


def _colony_name() -> str:
    return f"bench-{secrets.token_hex(4)}"
