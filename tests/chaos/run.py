"""Chaos: three servers on one PostgreSQL under load, while all that can fail does; then the count of what broke.

``python -m chaos.run --minutes 30``, from the folder ``tests``; `make chaos` does that.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import random
import resource
import secrets
import shutil
import socket
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Coroutine, Iterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import uvloop
from chaos import sabotage
from chaos.audit import Audit
from chaos.colony import HERD, WORKER, Colony
from chaos.executors import Executor
from chaos.faults import COMMIT, FAULTS, Site, cut_commits
from chaos.herd import SIZE, Herd
from chaos.intruders import CLOCKS, Intruder
from chaos.invariants import check
from chaos.postgres import KillablePostgres
from chaos.record import Invariant, Record, Step
from chaos.report import ENOUGH_CALLS, ENOUGH_FAULTS, Report
from chaos.servers import Server, server_dsn
from chaos.submitters import Submitter
from chaos.waiting import until
from chaos.wires import Wire

from kolony.crypto import PrivateKey

_MOST_FILES = 3 * SIZE
_PATIENCE = 300.0
"""Seconds for which calls go on without faults when there were too few."""
_FIRST_PORT, _LAST_PORT = 20_000, 30_000
"""Where the servers listen: below the ports that connections of this machine take, so that they stay free."""


@dataclass(frozen=True)
class Plan:
    """What a run does."""

    seed: int = field(default_factory=lambda: secrets.randbelow(2**32))
    seconds: float = 0.0
    """The least time for which faults go on."""
    rounds: int = ENOUGH_FAULTS
    """The least number of times that each fault happens."""
    calls: int = ENOUGH_CALLS
    """The least number of calls that are acknowledged before all comes to rest."""
    faults: Sequence[str] = tuple(FAULTS)
    servers: int = 3
    exclusive: bool = True
    sabotaged: str = ""
    """The safeguard that the servers lack."""
    submitters: int = 10
    slots: int = 40
    executors: int = 4
    intruders: int = 2
    commit_pause: float = 1.0
    late: float = 0.01
    drain: float = 40.0
    """The most seconds in which all has to come to rest."""
    only: str = ""
    """The one kind of thing that is submitted."""


class Run:
    """A cluster with its clients, from the first server's start to the last count."""

    def __init__(self, plan: Plan, folder: Path) -> None:
        self._plan = plan
        self._folder = folder
        self._chance = random.Random(plan.seed)
        self._record = Record()
        self._begun = time.monotonic()

    async def run(self) -> Report:
        """Do everything in order."""
        plan, record = self._plan, self._record
        async with self._database() as postgres, AsyncExitStack() as stack:
            audit = Audit(postgres.dsn)
            stack.push_async_callback(audit.close)
            async with self._cluster(postgres) as (servers, colony):
                await colony.found()
                await audit.install(exclusive=plan.exclusive)
                await colony.plan()
                site = Site(postgres, servers, audit, Herd(colony), record, self._chance)
                async with asyncio.TaskGroup() as group:
                    background = [group.create_task(each) for each in self._background(colony, audit)]
                    submitting = [group.create_task(each) for each in self._submitting(colony)]
                    cutting = group.create_task(cut_commits(site, plan.commit_pause))
                    await self._strike(site)
                    cutting.cancel()
                    colony.quiet.set()
                    await asyncio.wait(submitting)
                    await colony.rest()
                    self._tell("faults are over, what waits is worked on")
                    await audit.finished(plan.drain)
                    for task in background:
                        task.cancel()
                self._tell("all has come to rest")
            for server in servers:
                for crash in server.crashes:
                    record.breach(Invariant.CRASH, crash)
            await check(audit, record, strict_crons=("cron-0", "cron-1"))
        seconds = time.monotonic() - self._begun
        return Report(plan.seed, seconds, record, frozenset(self._expected()))

    @asynccontextmanager
    async def _database(self) -> AsyncIterator[KillablePostgres]:
        postgres = KillablePostgres(self._folder / "pg")
        await postgres.start()
        try:
            await postgres.require_durable()
            yield postgres
        finally:
            await postgres.stop()

    @asynccontextmanager
    async def _cluster(self, postgres: KillablePostgres) -> AsyncIterator[tuple[list[Server], Colony]]:
        plan, key = self._plan, PrivateKey.generate()
        program = [sabotage.__file__, plan.sabotaged] if plan.sabotaged else ["-m", "kolony_apiserver.main"]
        async with AsyncExitStack() as stack:
            servers: list[Server] = []
            for number, port in enumerate(_ports(plan.servers), 1):
                wire = await stack.enter_async_context(Wire(postgres.socket, lambda: self._record.strike(COMMIT)))
                server = Server(
                    f"s{number}",
                    port,
                    wire,
                    self._folder / f"s{number}.log",
                    program=program,
                    COLONIES_DB_DSN=server_dsn(postgres.dsn, wire),
                    COLONIES_SERVER_ID=key.identity,
                    COLONIES_EXCLUSIVE_ASSIGN=str(plan.exclusive).lower(),
                )
                servers.append(await stack.enter_async_context(server))
            for server in servers:
                await server.ready()
            self._tell(f"{len(servers)} servers take calls, seed {plan.seed}")
            yield (
                servers,
                Colony(
                    [server.endpoint for server in servers], self._chance, self._record, key, workers=plan.executors
                ),
            )

    def _background(self, colony: Colony, audit: Audit) -> Iterator[Coroutine[Any, Any, None]]:
        """What goes on until all has come to rest."""
        plan = self._plan
        keys = colony.executor_keys
        for number in range(plan.slots):
            yield Executor(colony, keys[WORKER][number % len(keys[WORKER])], late=plan.late).run()
        yield Executor(colony, keys[HERD][0], late=0).run()
        yield self._measure(colony, audit)

    def _submitting(self, colony: Colony) -> Iterator[Coroutine[Any, Any, None]]:
        """What goes on as long as faults do."""
        for _ in range(self._plan.submitters):
            yield Submitter(colony, pause=0.06, only=self._plan.only).run()
        for _ in range(self._plan.intruders):
            yield Intruder(colony, pause=0.3).run()

    async def _measure(self, colony: Colony, audit: Audit) -> None:
        while True:
            colony.backlog = await audit.waiting()
            await asyncio.sleep(0.5)

    async def _strike(self, site: Site) -> None:
        """Let the faults happen, all of them in each round, in any order."""
        plan, begun, rounds = self._plan, time.monotonic(), 0
        while rounds < plan.rounds or time.monotonic() - begun < plan.seconds:
            names = list(plan.faults)
            self._chance.shuffle(names)
            for name in names:
                await FAULTS[name](site)
                await site.whole()
                self._tell(name)
                await asyncio.sleep(self._chance.uniform(0.1, 0.9))
            rounds += 1
            await asyncio.sleep(0.1)

        async def enough() -> bool:
            return self._record.acknowledged.total() >= plan.calls

        await until(enough, _PATIENCE)

    def _expected(self) -> set[str]:
        return {COMMIT, CLOCKS, *Step, *(fault.name for fault in self._record.faults)}

    def _tell(self, text: str) -> None:
        print(f"{time.monotonic() - self._begun:7.1f} s  {self._record.acknowledged.total():>7,}  {text}", flush=True)


def _ports(count: int) -> list[int]:
    """Ports that nobody listens on."""
    found: list[int] = []
    while len(found) < count:
        port = random.randrange(_FIRST_PORT, _LAST_PORT)
        with socket.socket() as listener, contextlib.suppress(OSError):
            listener.bind(("127.0.0.1", port))
            found.append(port)
    return found


def run(plan: Plan) -> Report:
    """Run it. What the servers said stays when something broke, in a folder with a short name, as a socket needs."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, min(_MOST_FILES, hard)), hard))
    folder = Path(tempfile.mkdtemp(prefix="chaos-", dir="/tmp"))
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        report = runner.run(Run(plan, folder).run())
    shutil.rmtree(folder / "pg")
    if report.is_clean or plan.sabotaged:
        shutil.rmtree(folder)
    else:
        print(f"what the servers said is in {folder}")
    return report


def main() -> None:
    """Run what the command line says, and print the table."""
    parser = argparse.ArgumentParser(description="Three servers on one PostgreSQL, while all that can fail does.")
    parser.add_argument("--minutes", type=float, default=0.0, help="the least time for which faults go on")
    parser.add_argument("--seed", type=int, default=secrets.randbelow(2**32))
    parser.add_argument("--rounds", type=int, default=ENOUGH_FAULTS)
    parser.add_argument("--faults", nargs="*", default=list(FAULTS), choices=list(FAULTS))
    parser.add_argument("--shared", action="store_true", help="every server assigns, not the leader alone")
    given = parser.parse_args()
    report = run(
        Plan(
            seed=given.seed,
            seconds=60 * given.minutes,
            rounds=given.rounds,
            faults=given.faults,
            exclusive=not given.shared,
        )
    )
    print("\n".join(report.lines()))
    sys.exit(0 if report.is_clean and report.counts else 1)


if __name__ == "__main__":
    main()
