"""Servers are replaced one by one, by those of another version, while work goes on.

The old version is that of the core: it knows nothing of workflows, crons, generators and clusters, neither in its code
nor in its tables. The first new server brings the tables up to date beneath it.
"""

from __future__ import annotations

import asyncio
import io
import itertools
import os
import subprocess
import tarfile
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import AsyncExitStack
from pathlib import Path

import psycopg
import pytest
from colonies import RunningServer, create_colony, free_port

from kolony import AsyncClient, PrivateKey
from kolony.errors import NotFound
from kolony.model.processes import ProcessState

StartServer = Callable[..., RunningServer]

ROOT = Path(__file__).parents[2]
OLD = "d673f59f48746668a61cb31938c43f826d0b0393"
"""The last commit before workflows, with the first two migrations only."""

EXECUTORS, SUBMITTERS = 6, 2
WAITING = 20
"""Most processes that wait or run at a time."""

WORK = 0.05
"""Seconds that a process takes: the load is there to be interrupted, not to keep the machine busy."""

SHARE = 10
"""Processes that each server hands out before the next one is replaced."""

STEP_TIMEOUT = 30


@pytest.fixture
def old_version(tmp_path: Path) -> str:
    """Where Python finds the old version."""
    archive = subprocess.run(["git", "-C", ROOT, "archive", OLD, "core", "apiserver"], capture_output=True, check=False)
    if archive.returncode:
        pytest.fail(
            f"the old version is taken from commit {OLD}, which is not here; fetch the whole history with "
            f"`git fetch --unshallow`: {archive.stderr.decode()}"
        )
    with tarfile.open(fileobj=io.BytesIO(archive.stdout)) as sources:
        sources.extractall(tmp_path / "old", filter="data")
    return os.pathsep.join(str(tmp_path / "old" / root) for root in ("core", "apiserver"))


class Load:
    """Submits and runs work at all servers at once, and keeps a record of it.

    Each call goes to another server than the one before. The client repeats what may be repeated; any other error ends
    the test.
    """

    def __init__(self, executors: list[PrivateKey], group: asyncio.TaskGroup) -> None:
        self.submitted: list[str] = []
        self.handed_out: Counter[str] = Counter()
        self._clients: dict[str, AsyncClient] = {}
        self._by_server: Counter[str] = Counter()
        self._closed: set[str] = set()
        self._changed = asyncio.Condition()
        self._numbers = itertools.count()
        self._room = asyncio.Semaphore(WAITING)
        self._open = True
        self._workers = [group.create_task(self._work(key, number)) for number, key in enumerate(executors)]
        self._submitters = [group.create_task(self._submit(number)) for number in range(SUBMITTERS)]

    def at(self, name: str, client: AsyncClient) -> None:
        """Use another server from now on."""
        self._clients[name] = client

    async def everywhere(self) -> None:
        """Wait until each server has handed out some more."""
        enough = Counter({name: self._by_server[name] + SHARE for name in self._clients})
        await self._until(lambda: self._by_server >= enough)

    async def finish(self) -> None:
        """Submit no more, and wait until all that was submitted is done."""
        self._open = False
        await asyncio.gather(*self._submitters)
        await self._until(lambda: len(self._closed) >= len(self.submitted))
        for worker in self._workers:
            worker.cancel()

    async def _until(self, condition: Callable[[], bool]) -> None:
        async with asyncio.timeout(STEP_TIMEOUT), self._changed:
            await self._changed.wait_for(condition)

    def _turns(self, first: int) -> Iterator[tuple[str, AsyncClient]]:
        for number in itertools.count(first):
            names = list(self._clients)
            name = names[number % len(names)]
            yield name, self._clients[name]

    async def _submit(self, first: int) -> None:
        for _, client in self._turns(first):
            await self._room.acquire()
            if not self._open:
                return
            process = await client.processes.submit("double", next(self._numbers), executortype="cli")
            self.submitted.append(process.processid)

    async def _work(self, key: PrivateKey, first: int) -> None:
        turns = self._turns(first)
        for name, client in turns:
            try:
                process = await client.assignments.assign(1, key=key)
            except NotFound:
                continue
            self.handed_out[process.processid] += 1
            self._by_server[name] += 1
            await asyncio.sleep(WORK)
            closer = next(turns)[1].processes
            await closer.close(process.processid, [2 * process.spec.args[0]], attempt=process.attempt, key=key)
            self._closed.add(process.processid)
            self._room.release()
            async with self._changed:
                self._changed.notify_all()


async def test_no_work_is_lost_doubled_or_refused_while_old_and_new_servers_are_replaced(
    new_server: StartServer, database_dsn: str, old_version: str
) -> None:
    key, ports = PrivateKey.generate(), {name: free_port() for name in "abc"}
    running: dict[str, RunningServer] = {}

    async def run(name: str, **environment: str) -> None:
        """Start a server, in place of the one that has its name."""
        if name in running:
            assert await asyncio.to_thread(running[name].stop) == 0
            assert "Traceback" not in running[name].log.read_text()
        environment |= {"COLONIES_SERVER_NAME": name}
        running[name] = await asyncio.to_thread(
            new_server, database_dsn, server_key=key, port=ports[name], **environment
        )

    def found(query: str) -> list[tuple[object, ...]]:
        with psycopg.connect(database_dsn) as connection:
            return connection.execute(query).fetchall()

    old = {"PYTHONPATH": old_version}
    for name in "ab":
        await run(name, **old)
    assert found("select to_regclass('workflows')") == [(None,)], "the tables are old too"
    colony = create_colony(running["a"])
    executors = [colony.add_executor(f"executor-{number}") for number in range(EXECUTORS)]
    async with AsyncExitStack() as stack:
        clients = {
            name: await stack.enter_async_context(
                AsyncClient(host="127.0.0.1", port=port, tls=False, colony=colony.name, key=colony.user_key)
            )
            for name, port in ports.items()
        }
        async with asyncio.TaskGroup() as group:
            load = Load(executors, group)
            for name in "ab":
                load.at(name, clients[name])
            await load.everywhere()
            await run("c")
            load.at("c", clients["c"])
            await load.everywhere()
            for name, environment in [("a", {}), ("b", {}), ("a", old)]:
                await run(name, **environment)
                await load.everywhere()
            assert set(found("select name from servers")) == {("b",), ("c",)}
            await load.finish()
        statistics = await clients["a"].colonies.statistics()

    assert set(load.handed_out) == set(load.submitted)
    assert set(load.handed_out.values()) == {1}
    states = found("select state, count(*) from processes group by state")
    assert states == [(ProcessState.SUCCESS, len(load.submitted))]
    assert (statistics.successfulprocesses, statistics.waitingprocesses, statistics.runningprocesses) == (
        len(load.submitted),
        0,
        0,
    )
    for server in running.values():
        assert "Traceback" not in server.log.read_text()
