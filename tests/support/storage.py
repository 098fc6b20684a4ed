"""A database without a server: colonies, executors, and processes put there by the statements of the store."""

from __future__ import annotations

import asyncio
import json
import secrets
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import msgspec
import psycopg
from clocked import SetClock
from msgspec import Raw
from psycopg import sql
from psycopg.rows import dict_row

from kolony.crypto import Identity
from kolony.model.colonies import Colony
from kolony.model.executors import Executor, ExecutorState
from kolony.model.functions import Function
from kolony.model.functionspecs import FunctionSpec
from kolony.model.generators import Generator
from kolony.model.processes import Process, ProcessState, priority_time
from kolony.model.workflows import Workflow
from kolony_apiserver.clock import from_ns
from kolony_apiserver.queue import requirements
from kolony_apiserver.services.processes import new_process_id
from kolony_apiserver.store.assignments import AssignmentWrites, Claim, Search, Seat
from kolony_apiserver.store.database import Database, Row
from kolony_apiserver.store.generators import Pack, PackWrites
from kolony_apiserver.store.processes import (
    Arrival,
    Ended,
    Ending,
    ProcessWrites,
    Submission,
    environment_of,
    wait_deadline,
)
from kolony_apiserver.store.unit import Store
from kolony_apiserver.store.workflows import Dependency

LOWEST, HIGHEST = -(2**63), 2**63 - 1

_SPEC = msgspec.json.Decoder(FunctionSpec[Raw])


def copy_database(dsn: str, template: str) -> str:
    """A new database like another one that nobody is connected to; its connection string."""
    name = f"test_{secrets.token_hex(6)}"
    with psycopg.connect(dsn, autocommit=True) as connection:
        source = psycopg.conninfo.conninfo_to_dict(template)["dbname"]
        connection.execute(
            sql.SQL("create database {} template {}").format(sql.Identifier(name), sql.Identifier(str(source)))
        )
    return psycopg.conninfo.make_conninfo(dsn, dbname=name)


@dataclass(frozen=True)
class Worker:
    """An executor."""

    colony: str
    name: str
    identity: Identity


@dataclass
class Storage:
    """The store of one server, with shortcuts for what a server does around it."""

    dsn: str
    database: Database
    writes: ProcessWrites
    assignments: AssignmentWrites
    clock: SetClock = field(default_factory=SetClock)

    async def rows(self, query: str, **parameters: Any) -> list[dict[str, Any]]:
        """The rows of any statement, committed."""
        connect = psycopg.AsyncConnection.connect(self.dsn, autocommit=True, row_factory=dict_row)
        async with await connect as connection:
            cursor = await connection.execute(query, parameters)  # type: ignore[call-overload]
            return list(await cursor.fetchall()) if cursor.description else []

    async def value(self, query: str, **parameters: Any) -> Any:
        """The first column of the first row."""
        return next(iter((await self.rows(query, **parameters))[0].values()))

    @asynccontextmanager
    async def unit(self) -> AsyncIterator[Store]:
        """A unit of work."""
        async with self.database.session() as session:
            yield Store(session)

    @asynccontextmanager
    async def stranger(self) -> AsyncIterator[psycopg.AsyncConnection[Any]]:
        """A transaction of somebody else, undone at the end unless it is committed inside."""
        async with await psycopg.AsyncConnection.connect(self.dsn) as connection:
            try:
                yield connection
            finally:
                await connection.rollback()

    @asynccontextmanager
    async def another(self) -> AsyncIterator[Storage]:
        """The store of another server on the same database, with the same clock."""
        async with open_storage(self.dsn) as other:
            other.clock = self.clock
            yield other

    async def blocked(self, count: int = 1) -> None:
        """Wait until this many statements of ours wait for somebody's lock."""
        query = (
            "select count(*) from pg_stat_activity"
            " where datname = current_database() and wait_event_type = 'Lock' and application_name like 'kolony%%'"
        )

        async def enough() -> bool:
            return int(await self.value(query)) >= count

        await until(enough)

    async def add_colony(self, name: str = "colony") -> str:
        async with self.unit() as store:
            assert await store.colonies.add(Colony(name=name, colonyid=secrets.token_hex(32)))
        return name

    async def add_executor(
        self, name: str, *, colony: str = "colony", state: ExecutorState = ExecutorState.APPROVED
    ) -> Worker:
        """An executor of type ``cli``."""
        worker = Worker(colony, name, Identity(secrets.token_hex(32)))
        executor = Executor(colonyname=colony, executorname=name, executorid=worker.identity, executortype="cli")
        async with self.unit() as store:
            assert await store.executors.add(executor, now=self.clock.now())
            await store.executors.set_state(colony, name, state)
        return worker

    async def add_function(self, worker: Worker, name: str) -> None:
        function = Function(
            functionid=secrets.token_hex(32),
            executorname=worker.name,
            executortype="cli",
            colonyname=worker.colony,
            funcname=name,
        )
        async with self.unit() as store:
            assert await store.functions.add(function)

    async def functions(self, worker: Worker) -> dict[str, Function]:
        async with self.unit() as store:
            return {each.funcname: each for each in await store.functions.find(worker.colony, worker.name)}

    async def remove_executor(self, worker: Worker) -> None:
        async with self.unit() as store:
            await store.executors.unregister(worker.colony, worker.name)

    async def add_class(self, *, colony: str = "colony", **conditions: Any) -> int:
        """The class of the processes with these conditions."""
        spec = self.spec(colony=colony, conditions=conditions)
        needs = requirements.requirements_of(spec.conditions)
        return (await self.assignments.add_classes([(colony, requirements.encode(needs))]))[0]

    async def add_generator(self, generatorid: str, *, colony: str = "colony", packed: int = 0) -> None:
        """A generator that starts nothing, and arguments that wait in it."""
        generator = Generator(generatorid=generatorid, colonyname=colony, name=generatorid, trigger=1000)
        async with self.unit() as store:
            assert await store.generators.add(generator)
        packs = PackWrites(self.database)
        try:
            for number in range(packed):
                assert await packs.pack(Pack(generatorid=generatorid, arg=f"{number}"), self.clock.now())
        finally:
            await packs.finish()

    def spec(self, *, colony: str = "colony", **fields: Any) -> FunctionSpec[Raw]:
        conditions = {"colonyname": colony, "executortype": "cli", **fields.pop("conditions", {})}
        return _SPEC.decode(json.dumps({"funcname": "echo", "conditions": conditions, **fields}))

    def process(self, *, colony: str = "colony", **fields: Any) -> Process[Raw]:
        """A new process, not stored yet."""
        ns = self.clock.now_ns()
        spec = self.spec(colony=colony, **fields)
        process = Process(
            processid=new_process_id(ns),
            initiatorid="initiator",
            initiatorname="alice",
            prioritytime=priority_time(ns, spec.priority),
            submissiontime=from_ns(ns),
            waitdeadline=wait_deadline(from_ns(ns), spec.maxwaittime),
            spec=spec,
        )
        return msgspec.structs.replace(process, attributes=environment_of(process, colony))

    async def submit(self, classid: int, *, colony: str = "colony", **fields: Any) -> Process[Raw]:
        """Store one process of a class."""
        process = self.process(colony=colony, **fields)
        assert await self.writes.submit(Submission(processes=[process], classids=[classid]))
        return process

    async def submit_many(self, classid: int, count: int, *, colony: str = "colony", **fields: Any) -> list[str]:
        """Store many processes of a class; their ids in the order of the queue."""
        processes = [self.process(colony=colony, **fields) for _ in range(count)]
        assert await self.writes.submit(Submission(processes=processes, classids=[classid] * count))
        return [each.processid for each in processes]

    async def add_workflow(
        self, classid: int, parents: Mapping[str, Sequence[str]], *, colony: str = "colony", **fields: Any
    ) -> tuple[Workflow, dict[str, str]]:
        """Store a workflow of one class, given as the parents of each node; the ids of its processes by name."""
        workflow = Workflow(
            processgraphid=secrets.token_hex(32),
            colonyname=colony,
            initiatorid="initiator",
            initiatorname="alice",
            submissiontime=self.clock.now(),
        )
        made = {name: self.process(colony=colony, nodename=name, **fields) for name in parents}
        ids = {name: process.processid for name, process in made.items()}
        processes = [
            msgspec.structs.replace(
                process, processgraphid=workflow.processgraphid, parents=[ids[parent] for parent in parents[name]]
            )
            for name, process in made.items()
        ]
        dependencies = [
            Dependency(parentid=parent, childid=process.processid, nth=nth, rank=rank)
            for rank, process in enumerate(processes)
            for nth, parent in enumerate(process.parents)
        ]
        classids = [-classid if process.parents else classid for process in processes]
        async with self.unit() as store:
            assert await store.workflows.add(workflow, processes, classids, dependencies, key="")
        return workflow, ids

    async def claim(
        self,
        *parties: tuple[Iterable[Worker], Iterable[int | tuple[int, int]]],
        high: int = HIGHEST,
        now: datetime | None = None,
    ) -> tuple[dict[str, list[Process[Raw]]], dict[int, int | None]]:
        """Claim for parties of workers, each over its classes (an id, or an id and the prioritytime to start from).

        What each worker got, by name, and what waits next in each class.
        """
        seats: list[Seat] = []
        searches: list[Search] = []
        names: list[str] = []
        for number, (members, classes) in enumerate(parties, start=1):
            workers = list(members)
            for worker in workers:
                names.append(worker.name)
                seats.append(
                    Seat(
                        seat=len(seats),
                        grp=number,
                        colonyname=worker.colony,
                        executorid=worker.identity,
                        executorname=worker.name,
                    )
                )
            for each in classes:
                classid, low = each if isinstance(each, tuple) else (each, LOWEST)
                searches.append(Search(grp=number, classid=classid, low=low, high=high, most=len(workers)))
        claim = Claim(seats=seats, searches=searches, now=now or self.clock.now())
        claimed = await self.assignments.claim(claim)
        given: dict[str, list[Process[Raw]]] = {}
        for seat, process in sorted(claimed.processes.items()):
            given.setdefault(names[seat], []).append(process)
        return given, claimed.heads

    async def take(self, worker: Worker, *classes: int) -> Process[Raw]:
        """Claim one process that has to be there."""
        given, _ = await self.claim(([worker], classes))
        return given[worker.name][0]

    def ending(
        self, worker: Worker, process: Process[Raw] | str, state: ProcessState = ProcessState.SUCCESS, **fields: Any
    ) -> Ending:
        processid = process if isinstance(process, str) else process.processid
        return Ending(processid=processid, executorid=worker.identity, state=state, **fields)

    async def close(self, *endings: Ending, now: datetime | None = None, node: bool = False) -> list[Ended | None]:
        """Close in one batch."""
        return await together(*(self.writes.close(each, now or self.clock.now(), node=node) for each in endings))

    async def states(self) -> dict[str, int]:
        """The states of all processes, by id."""
        return {row["processid"]: row["state"] for row in await self.rows("select processid, state from processes")}

    async def counted(self) -> Counter[tuple[str, int]]:
        """How many processes are in each state, by colony, as the counters say."""
        async with self.unit() as store:
            return Counter(
                {(each.colonyname, each.state): each.total for each in (await store.counts.by_state()).processes}
            )

    async def require_true_counts(self) -> None:
        """Compare all counters with a recount."""
        by_colony = await self.rows(
            "select colonyname, state, sum(count)::bigint as count from ("
            " select colonyname, state, count from colony_counts"
            " union all select colonyname, state, change from count_changes) c group by 1, 2 having sum(count) <> 0"
        )
        recount = await self.rows(
            "select colonyname, state, count(*) as count from processes group by 1, 2"
            " union all select colonyname, 10 + state, count(*) from workflows group by 1, 2"
        )
        assert _by(by_colony, "colonyname", "state") == _by(recount, "colonyname", "state")
        by_class = await self.rows(
            "select classid, state, sum(count)::bigint as count from ("
            " select classid, state, count from class_counts"
            " union all select classid, state, change from count_changes where classid > 0) c"
            " group by 1, 2 having sum(count) <> 0"
        )
        recount = await self.rows(
            "select classid, state, count(*) as count from processes where state < 2 and classid > 0 group by 1, 2"
        )
        assert _by(by_class, "classid", "state") == _by(recount, "classid", "state")


def _by(rows: list[dict[str, Any]], *keys: str) -> dict[tuple[Any, ...], int]:
    return {tuple(row[key] for key in keys): row["count"] for row in rows}


async def together(*work: Awaitable[Any]) -> list[Any]:
    """Run concurrently; the results in order, or the first error once all have ended."""
    done = await asyncio.gather(*work, return_exceptions=True)
    for each in done:
        if isinstance(each, BaseException):
            raise each
    return list(done)


class Nobody:
    """Nobody waits for processes."""

    def arrived(self, classid: int, prioritytime: int, *, told: bool = False) -> None:
        pass

    async def handover(self, arrivals: Iterable[Arrival]) -> None:
        pass

    def notice(self, arrivals: Iterable[Arrival]) -> None:
        pass

    def handed_over(self, rows: Sequence[Row], stored: Iterable[Arrival]) -> None:
        raise AssertionError("nothing was claimed")

    def not_handed_over(self) -> None:
        raise AssertionError("nothing was claimed")


@asynccontextmanager
async def open_storage(dsn: str, *, name: str = "") -> AsyncIterator[Storage]:
    """The store of one server on a migrated database."""
    async with Database(dsn, name=name) as database:
        storage = Storage(dsn, database, ProcessWrites(database, Nobody()), AssignmentWrites(database))
        try:
            yield storage
        finally:
            await storage.writes.finish()
            await storage.assignments.close()


async def until(condition: Callable[[], Awaitable[Any]] | Callable[[], Any], *, within: float = 10.0) -> None:
    """Wait until a condition holds."""
    async with asyncio.timeout(within):
        while True:
            met = condition()
            if await met if isinstance(met, Awaitable) else met:
                return
            await asyncio.sleep(0.005)


def ids(processes: Sequence[Process[Raw]]) -> list[str]:
    return [each.processid for each in processes]
