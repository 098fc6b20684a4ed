"""The worker against a real server: it enrols, runs what it is asked, survives what goes wrong, and drains."""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import sys
import threading
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from colonies import Colony, RunningServer, create_colony
from proxy import Fate, Proxy

from kolony import AsyncClient, Graph, PrivateKey, Process, ProcessState, Worker, current_process
from kolony.errors import ConfigurationError, Forbidden
from kolony.model import ExecutorState
from kolony.sdk.settings import Options
from kolony.sdk.worker import ProcessLogHandler, slots

PATIENCE = 30.0


def where(colony: Colony, **more: Any) -> Options:
    return {"host": colony.host, "port": colony.port, "tls": False, "colony": colony.name, **more}


@pytest.fixture
async def client(colony: Colony) -> AsyncIterator[AsyncClient]:
    """The user's client."""
    async with AsyncClient(**where(colony, key=colony.user_key, colony_key=colony.colony_key)) as client:
        yield client


@pytest.fixture
def worker(colony: Colony) -> Worker:
    """A worker that enrols itself, and offers nothing yet."""
    return Worker(type="py", **where(colony, colony_key=colony.colony_key))


@asynccontextmanager
async def serving(worker: Worker) -> AsyncIterator[asyncio.Task[None]]:
    """Serve within the block."""
    task = asyncio.create_task(worker.serve())
    try:
        yield task
    finally:
        if not task.done():
            worker.stop()
        async with asyncio.timeout(PATIENCE):
            await asyncio.gather(task, return_exceptions=True)
    if error := task.exception():
        raise error


async def eventually(condition: Callable[[], Awaitable[bool]]) -> None:
    """Wait for something that only asking can tell."""
    async with asyncio.timeout(PATIENCE):
        while not await condition():  # noqa: ASYNC110 - there is nothing to wait on
            await asyncio.sleep(0.02)


async def done(client: AsyncClient, submitted: Process) -> Process:
    return await client.processes.wait(submitted.processid, timeout=PATIENCE)


async def run(client: AsyncClient, function: str, *args: Any, **options: Any) -> Process:
    """Submit a function and wait until it has ended."""
    return await done(client, await client.processes.submit(function, *args, executortype="py", **options))


async def log_of(client: AsyncClient, process: Process) -> str:
    return "\n".join([entry.message for entry in await client.logs.find(process.processid)])


async def test_functions_and_coroutines(client: AsyncClient, worker: Worker) -> None:
    @worker.function
    def add(a: int, b: int = 0) -> int:
        """Add two numbers."""
        return a + b

    @worker.function(name="swap")
    async def exchange(a: Any, b: Any) -> tuple[Any, Any]:
        await asyncio.sleep(0)
        return b, a

    @worker.function
    def nothing() -> None:
        return None

    async with serving(worker):
        assert (await run(client, "add", 1, 2)).output == [3]
        assert (await run(client, "add", 1, kwargs={"b": 5})).output == [6]
        assert (await run(client, "swap", "a", {"b": [1.5]})).output == [{"b": [1.5]}, "a"]
        ended = await run(client, "nothing")
        assert (ended.state, ended.output) == (ProcessState.SUCCESS, [])
        functions = {function.funcname: function for function in await client.functions.find()}
        assert set(functions) == {"add", "swap", "nothing"}
        assert functions["add"].description == "Add two numbers."
        assert functions["add"].counter == 2


async def test_a_function_knows_its_process(client: AsyncClient, worker: Worker) -> None:
    handler = ProcessLogHandler()
    logger = logging.getLogger("test_worker")
    logger.addHandler(handler)
    seen: list[str] = []

    @worker.function
    def talk() -> str:
        process = current_process()
        seen.append(process.process.processid)
        process.log("first")
        logger.warning("second")
        process.log("with\0odd \ud800characters")
        process.set_output("half")
        return process.env["NAME"]

    try:
        async with serving(worker):
            ended = await run(client, "talk", env={"NAME": "value"})
    finally:
        logger.removeHandler(handler)
    assert (ended.output, seen) == (["value"], [ended.processid])
    assert await log_of(client, ended) == "first\nsecond\nwith\N{SYMBOL FOR NULL}odd ?characters"


async def test_what_was_set_stays_when_nothing_is_returned(client: AsyncClient, worker: Worker) -> None:
    @worker.function
    def partial() -> None:
        current_process().set_output(1, 2)

    async with serving(worker):
        assert (await run(client, "partial")).output == [1, 2]


async def test_the_log_is_there_while_the_function_runs(client: AsyncClient, worker: Worker) -> None:
    read = asyncio.Event()

    @worker.function
    async def wait() -> None:
        current_process().log("waiting")
        await read.wait()

    async with serving(worker):
        submitted = await client.processes.submit("wait", executortype="py")
        entries = client.logs.follow(submitted.processid)
        assert (await anext(entries)).message == "waiting"
        read.set()
        assert [entry async for entry in entries] == []


async def test_a_workflow_grows_while_it_runs(client: AsyncClient, worker: Worker) -> None:
    @worker.function
    def split(*parts: str) -> None:
        process = current_process()
        (merge,) = process.children
        for part in parts:
            process.add_child("count", part, childprocessid=merge)
        process.add_child("last", insert=True, name="between")

    @worker.function
    async def count(part: str) -> int:
        return len(part)

    @worker.function
    def last() -> str:
        return f"last of {len(current_process().children)}"

    @worker.function
    def merge() -> list[Any]:
        return current_process().input

    graph = Graph()
    graph.call("split", "one", "three", executortype="py") >> graph.call("merge", executortype="py")
    submitted = await client.workflows.submit(graph)
    async with serving(worker):
        ended = await client.workflows.wait(submitted.processgraphid, timeout=PATIENCE)
    assert {node.name: node.state for node in ended.nodes} == dict.fromkeys(
        ("split", "count-1", "count-2", "between", "merge"), ProcessState.SUCCESS
    )
    merged = await client.processes.get(submitted.processids[1])
    assert merged.output == [3, 5, "last of 3"]


async def test_a_run_that_fails_adds_no_children(client: AsyncClient, worker: Worker) -> None:
    @worker.function
    def grow(why: str) -> None:
        current_process().add_child("grow", object() if why == "argument" else "x")
        if why == "raises":
            raise ValueError("no good")

    graph = Graph()
    for why in ("raises", "argument"):
        graph.call("grow", why, name=why, executortype="py")
    async with serving(worker):
        submitted = await client.workflows.submit(graph)
        raised, refused = [await done(client, await client.processes.get(each)) for each in submitted.processids]
        assert raised.errors == ["ValueError: no good"]
        assert refused.errors[0].startswith("a child could not be added: ")
        assert (raised.children, refused.children) == ([], [])
        alone = await run(client, "grow", "alone")
        assert alone.errors == ["BadRequest: a process that is not part of a workflow has no children"]


async def test_failures_say_why(client: AsyncClient, worker: Worker) -> None:
    @worker.function
    def divide(a: int, b: int) -> float:
        return a / b

    @worker.function
    def leave() -> None:
        raise SystemExit("bye")

    @worker.function
    def odd(kind: str) -> Any:
        return {"object": object(), "nul": "a\0b", "surrogate": "\ud800"}[kind]

    @worker.function
    async def cancelled() -> None:
        inner = asyncio.create_task(asyncio.Event().wait())
        inner.cancel()
        await inner

    async with serving(worker):
        ended = await run(client, "divide", 1, 0)
        assert (ended.state, ended.errors) == (ProcessState.FAILED, ["ZeroDivisionError: division by zero"])
        log = await log_of(client, ended)
        assert "return a / b" in log
        assert "kolony/sdk" not in log
        assert (await run(client, "leave")).errors == ["SystemExit: bye"]
        assert "missing 1 required positional argument" in (await run(client, "divide", 1)).errors[0]
        assert (await run(client, "unknown")).errors == ["this executor has no function named 'unknown'"]
        assert "TypeError" in (await run(client, "odd", "object")).errors[0]
        assert "UnicodeEncodeError" in (await run(client, "odd", "surrogate")).errors[0]
        assert (await run(client, "odd", "nul")).errors[0].startswith("the output was refused")
        assert (await run(client, "cancelled")).errors == ["CancelledError"]
        assert (await run(client, "divide", 6, 3)).output == [2]


async def test_functions_run_at_once(client: AsyncClient, colony: Colony) -> None:
    worker = Worker(type="py", concurrency=6, **where(colony, colony_key=colony.colony_key))
    threads, tasks = threading.Barrier(3), asyncio.Barrier(3)

    @worker.function
    def meet() -> None:
        threads.wait(PATIENCE)

    @worker.function
    async def gather() -> None:
        await tasks.wait()

    async with serving(worker):
        submitted = [
            await client.processes.submit(name, executortype="py") for name in ("meet", "gather") for _ in range(3)
        ]
        ended = await asyncio.gather(*(done(client, process) for process in submitted))
    assert {process.state for process in ended} == {ProcessState.SUCCESS}
    assert len({process.assignedexecutorid for process in ended}) == 1


async def test_a_busy_worker_gives_signs_of_life(client: AsyncClient, colony: Colony) -> None:
    release = asyncio.Event()
    async with Proxy(colony.host, colony.port) as proxy:
        options = where(colony, colony_key=colony.colony_key)
        worker = Worker(type="py", alive_seconds=0.01, **{**options, "port": proxy.own_port})

        @worker.function
        async def hold() -> None:
            await release.wait()

        async with serving(worker):
            submitted = await client.processes.submit("hold", executortype="py")
            await proxy.has_seen("getpausestatusmsg", times=3)
            release.set()
            await done(client, submitted)
            # its slot asks again, which is sign enough
            await proxy.has_seen("assignprocessmsg", times=2)
            before = proxy.seen.count("getpausestatusmsg")
            await proxy.has_seen("assignprocessmsg", times=2)
            assert proxy.seen.count("getpausestatusmsg") == before


async def test_a_process_that_was_taken_away_is_let_go(client: AsyncClient, colony: Colony) -> None:
    worker = Worker(type="py", concurrency=2, **where(colony, colony_key=colony.colony_key))
    attempts: list[int] = []
    release, finished = asyncio.Event(), asyncio.Event()

    @worker.function
    async def slow() -> int:
        attempts.append(current_process().process.attempt)
        attempt = len(attempts)
        if attempt == 1:
            await release.wait()
            finished.set()
        return attempt

    async with serving(worker) as task:
        ended = await run(client, "slow", maxexectime=1, maxretries=1)
        assert (ended.output, attempts) == ([2], [1, 2])
        release.set()
        await finished.wait()
        # the late close of the first attempt changes nothing, and its slot works on
        cancelled = await client.processes.submit("slow", executortype="py")
        await done(client, cancelled)
        assert (await client.processes.get(ended.processid)).output == [2]
        assert not task.done()


async def test_a_cancelled_process_stays_cancelled(client: AsyncClient, worker: Worker) -> None:
    started, release = asyncio.Event(), asyncio.Event()

    @worker.function
    async def hold() -> str:
        started.set()
        await release.wait()
        return "too late"

    @worker.function
    def quick() -> None:
        return None

    async with serving(worker):
        submitted = await client.processes.submit("hold", executortype="py")
        await started.wait()
        await client.processes.cancel(submitted.processid)
        release.set()
        assert (await run(client, "quick")).state == ProcessState.SUCCESS
        ended = await client.processes.get(submitted.processid)
        assert (ended.state, ended.output) == (ProcessState.CANCELLED, [])


async def test_a_worker_without_a_key_file_leaves(client: AsyncClient, worker: Worker) -> None:
    async with serving(worker):
        await eventually(lambda: is_there(client, ExecutorState.APPROVED))
    assert await is_there(client, ExecutorState.UNREGISTERED)


async def is_there(client: AsyncClient, state: ExecutorState) -> bool:
    return [executor.state for executor in await client.executors.find()] == [state]


async def test_a_worker_with_a_key_file_comes_back(client: AsyncClient, colony: Colony, tmp_path: Path) -> None:
    for life in range(2):
        submitted = await client.processes.submit("f", life, executortype="py")
        worker = Worker("w", "py", key_file=tmp_path / "key", **where(colony, colony_key=colony.colony_key))
        worker.function(name="f")(lambda life: life)
        async with serving(worker):
            assert (await done(client, submitted)).output == [life]
        executor = await client.executors.get("w")
        assert executor.state == ExecutorState.APPROVED
        assert executor.executorid == PrivateKey((tmp_path / "key").read_text().strip()).identity
    assert len(await client.functions.find()) == 1


async def test_what_a_worker_that_broke_down_ran_is_run_again(
    client: AsyncClient, colony: Colony, tmp_path: Path
) -> None:
    key = colony.add_executor("w", "py")
    (tmp_path / "key").write_text(key.hex)
    submitted = [await client.processes.submit("f", number, executortype="py") for number in range(3)]
    for _ in range(2):
        await client.assignments.assign(-1, key=key)
    worker = Worker("w", "py", key_file=tmp_path / "key", **where(colony, colony_key=colony.colony_key))
    worker.function(name="f")(lambda number: number)
    async with serving(worker):
        assert [(await done(client, process)).output for process in submitted] == [[0], [1], [2]]


async def test_a_worker_that_was_added_but_not_approved_is(client: AsyncClient, colony: Colony, tmp_path: Path) -> None:
    key = colony.add_executor("w", "py", approve=False)
    async with serving(Worker("w", "py", key=key, **where(colony, colony_key=colony.colony_key))):
        await eventually(lambda: is_there(client, ExecutorState.APPROVED))
    assert (await client.executors.get("w")).executorid == key.identity


async def test_an_executor_that_is_approved_needs_no_owner(client: AsyncClient, colony: Colony) -> None:
    worker = Worker(**where(colony, key=colony.add_executor("w", "py")))
    worker.function(name="f")(lambda: 1)
    async with serving(worker):
        assert (await run(client, "f")).output == [1]
    assert (await client.executors.get("w")).state == ExecutorState.APPROVED


async def test_who_cannot_be_an_executor_is_told(client: AsyncClient, colony: Colony) -> None:
    owner = where(colony, colony_key=colony.colony_key)
    taken, pending = colony.add_executor("taken", "py"), colony.add_executor("pending", "py", approve=False)
    removed = colony.add_executor("removed", "py")
    colony.rpc.ok("removeexecutormsg", colony.colony_key, colonyname=colony.name, executorname="removed")
    wrong = [
        (Worker("taken", "py", **owner), "exists with another key"),
        (Worker("removed", "py", **owner, key=removed), "kolony executor approve removed"),
        (Worker(**where(colony, key=pending)), "approve it"),
        (Worker(**where(colony, key=PrivateKey.generate())), "belongs to no approved executor"),
        (Worker("other", **where(colony, key=taken)), "belongs to executor 'taken'"),
        (Worker(type="other", **where(colony, key=taken)), "belongs to executor 'taken'"),
        (Worker(**where(colony)), "COLONIES_COLONY_PRVKEY"),
        (Worker("untyped", **owner), "COLONIES_EXECUTOR_TYPE"),
    ]
    for worker, why in wrong:
        with pytest.raises(ConfigurationError, match=why):
            await worker.serve()
    states = {executor.executorname: executor.state for executor in await client.executors.find()}
    assert states == {
        "taken": ExecutorState.APPROVED,
        "pending": ExecutorState.PENDING,
        "removed": ExecutorState.UNREGISTERED,
    }
    with pytest.raises(ConfigurationError, match="at least one"):
        Worker(type="py", concurrency=0, **owner)
    with pytest.raises(ConfigurationError, match="one key"):
        Worker(type="py", key_file="key", key=taken, **owner)


def test_a_program_that_cannot_work_says_why(colony: Colony) -> None:
    with pytest.raises(SystemExit, match="COLONIES_COLONY_PRVKEY"):
        Worker(type="py", **where(colony)).run()


def test_a_name_is_offered_once(worker: Worker) -> None:
    worker.function(name="f")(lambda: 1)
    with pytest.raises(ConfigurationError, match="'f'"):
        worker.function(name="f")(lambda: 2)


async def test_a_worker_that_is_rejected_stops(
    client: AsyncClient, colony: Colony, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(slots, "_POLL_SECONDS", 1)
    options = where(colony, key=colony.add_executor("w", "py"))
    worker = Worker(**options)
    worker.function(name="f")(lambda: 1)
    with pytest.raises(Forbidden):
        async with serving(worker) as task:
            assert (await run(client, "f")).output == [1]
            await client.executors.reject("w")
            # a question that waits in the server may still be answered; the next one is refused
            await asyncio.wait((task,), timeout=PATIENCE)


async def test_a_stop_before_the_start_is_a_stop(worker: Worker) -> None:
    worker.stop()
    async with asyncio.timeout(PATIENCE):
        await worker.serve()


async def test_a_stopped_worker_finishes_what_runs(client: AsyncClient, worker: Worker) -> None:
    started, release = asyncio.Event(), asyncio.Event()

    @worker.function
    async def hold() -> str:
        started.set()
        await release.wait()
        return "done"

    async with serving(worker) as task:
        submitted = await client.processes.submit("hold", executortype="py")
        await started.wait()
        worker.stop()
        later = await client.processes.submit("hold", executortype="py")
        release.set()
        await task
        assert (await client.processes.get(submitted.processid)).output == ["done"]
        assert (await client.processes.get(later.processid)).state == ProcessState.WAITING


@pytest.mark.parametrize("keeps_key", [False, True])
async def test_what_does_not_end_is_given_back(
    client: AsyncClient, colony: Colony, tmp_path: Path, keeps_key: bool
) -> None:
    """To the queue by a worker that leaves, as failed by one that stays a member."""
    key_file = tmp_path / "key" if keeps_key else None
    worker = Worker(type="py", key_file=key_file, **where(colony, colony_key=colony.colony_key))
    started, cleaned = asyncio.Event(), asyncio.Event()

    @worker.function
    async def hold() -> None:
        started.set()
        try:
            await asyncio.Event().wait()
        finally:
            cleaned.set()

    async with serving(worker) as task:
        submitted = await client.processes.submit("hold", executortype="py")
        await started.wait()
        worker.stop()
        worker.stop()
        await task
    ended = await client.processes.get(submitted.processid)
    assert cleaned.is_set()
    if keeps_key:
        assert (ended.state, ended.errors) == (ProcessState.FAILED, ["the worker stopped before the function ended"])
    else:
        assert ended.state == ProcessState.WAITING


async def test_draining_has_an_end(client: AsyncClient, colony: Colony) -> None:
    worker = Worker(type="py", drain_seconds=0.1, **where(colony, colony_key=colony.colony_key))
    started, release = threading.Event(), threading.Event()

    @worker.function
    def hold() -> None:
        started.set()
        release.wait(PATIENCE)

    async with serving(worker) as task:
        submitted = await client.processes.submit("hold", executortype="py")
        await asyncio.to_thread(started.wait)
        worker.stop()
        await task
    release.set()
    assert (await client.processes.get(submitted.processid)).state == ProcessState.WAITING


async def test_what_was_assigned_while_the_worker_stopped_is_run(
    client: AsyncClient, colony: Colony, tmp_path: Path
) -> None:
    def hold_assign(payloadtype: str, before: int) -> Fate:
        return Fate.HOLD_REPLY if payloadtype == "assignprocessmsg" else Fate.PASS

    async with Proxy(colony.host, colony.port, hold_assign) as proxy:
        options = {**where(colony, colony_key=colony.colony_key), "port": proxy.own_port}
        worker = Worker(type="py", key_file=tmp_path / "key", **options)
        worker.function(name="f")(lambda: "run")
        async with serving(worker) as task:
            submitted = await client.processes.submit("f", executortype="py")
            await proxy.held.wait()
            worker.stop()
            await task
    assert (await client.processes.get(submitted.processid)).output == ["run"]


async def test_a_worker_survives_a_restart_of_the_server(new_server: Any) -> None:
    running: RunningServer = new_server()
    colony = create_colony(running)
    worker = Worker(type="py", **where(colony, colony_key=colony.colony_key))
    started, release = asyncio.Event(), asyncio.Event()

    @worker.function
    async def hold() -> str:
        current_process().log("before")
        started.set()
        await release.wait()
        current_process().log("after")
        return "done"

    async with AsyncClient(**where(colony, key=colony.user_key)) as client, serving(worker):
        submitted = await client.processes.submit("hold", executortype="py")
        await started.wait()
        await asyncio.to_thread(running.stop)
        release.set()
        await asyncio.to_thread(new_server, running.dsn, server_key=running.server_key, port=running.port)
        ended = await done(client, submitted)
        assert ended.output == ["done"]
        assert (await log_of(client, ended)).splitlines() == ["before", "after"]
        assert (await run(client, "hold")).output == ["done"]


PROGRAM = """
import sys, time
from pathlib import Path
from kolony import Worker, current_process

worker = Worker("program", "py")

@worker.function
def hold():
    current_process().log("started")
    while not Path(sys.argv[1]).exists():
        time.sleep(0.01)
    return "done"

worker.run()
"""


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
async def test_a_program_drains_at_a_signal(
    client: AsyncClient, colony: Colony, tmp_path: Path, number: signal.Signals
) -> None:
    release = tmp_path / "release"
    environment = {
        **os.environ,
        "COLONIES_SERVER_HOST": colony.host,
        "COLONIES_SERVER_PORT": str(colony.port),
        "COLONIES_TLS": "false",
        "COLONIES_COLONY_NAME": colony.name,
        "COLONIES_COLONY_PRVKEY": colony.colony_key.hex,
    }
    with (tmp_path / "log").open("wb") as log:
        program = await asyncio.create_subprocess_exec(
            sys.executable, "-c", PROGRAM, str(release), env=environment, stderr=log
        )
    try:
        submitted = await client.processes.submit("hold", executortype="py")
        assert (await anext(client.logs.follow(submitted.processid))).message == "started"
        program.send_signal(number)
        await eventually(lambda: says(tmp_path / "log", "draining: 1 functions"))
        later = await client.processes.submit("hold", executortype="py")
        release.touch()
        async with asyncio.timeout(PATIENCE):
            assert await program.wait() == 0
    finally:
        if program.returncode is None:
            program.kill()
            await program.wait()
    assert (await client.processes.get(submitted.processid)).output == ["done"]
    assert (await client.processes.get(later.processid)).state == ProcessState.WAITING
    assert (await client.executors.get("program")).state == ExecutorState.UNREGISTERED


async def says(path: Path, text: str) -> bool:
    return text in await asyncio.to_thread(path.read_text)
