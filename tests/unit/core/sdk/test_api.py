"""One family, awaited and blocking."""

from __future__ import annotations

import asyncio
import gc
import inspect
import signal
import subprocess
import sys
import threading
from collections.abc import AsyncGenerator
from concurrent.futures import CancelledError, ThreadPoolExecutor
from functools import partial

import pytest

from kolony import AsyncClient, Client
from kolony.errors import ConfigurationError, ConnectionLost
from kolony.model.logs import Log
from kolony.sdk.api import Api, M, method, stream
from kolony.sdk.portal import Portal
from kolony.sdk.processes import Processes
from kolony.sdk.retries import NO_RETRY


class Counting(Api[M]):
    @method
    async def double(self, number: int, *, add: int = 0) -> int:
        """Twice a number."""
        await asyncio.sleep(0)
        return 2 * number + add

    @method
    async def fail(self) -> None:
        raise ConnectionLost("gone")

    @stream
    async def count(self, most: int, left: list[str]) -> AsyncGenerator[int, None]:
        try:
            for number in range(most):
                yield number
        finally:
            left.append(threading.current_thread().name)

    @method
    async def colony(self, name: str = "") -> str:
        return self._colony(name)


@pytest.fixture
def portal():
    portal = Portal()
    yield portal
    portal.close()


@pytest.fixture
def awaited(connect, fake_server) -> Counting:
    return Counting(connect(fake_server()), None)


@pytest.fixture
def blocking(connect, fake_server, portal: Portal) -> Counting:
    return Counting(connect(fake_server()), portal)


async def test_awaited(awaited: Counting) -> None:
    assert await awaited.double(2, add=1) == 5
    assert [number async for number in awaited.count(3, [])] == [0, 1, 2]
    with pytest.raises(ConnectionLost, match="gone"):
        await awaited.fail()


def test_blocking(blocking: Counting) -> None:
    assert blocking.double(2, add=1) == 5
    assert list(blocking.count(3, [])) == [0, 1, 2]
    with pytest.raises(ConnectionLost, match="gone"):
        blocking.fail()


def test_a_stream_that_is_left_ends(blocking: Counting) -> None:
    left: list[str] = []
    numbers = blocking.count(5, left)
    assert next(numbers) == 0
    numbers.close()
    assert left == ["kolony-client"]


def test_a_stream_that_is_dropped_ends(blocking: Counting) -> None:
    left: list[str] = []
    numbers = blocking.count(5, left)
    assert next(numbers) == 0
    del numbers
    gc.collect()
    assert left == ["kolony-client"]


def test_a_stream_that_outlives_its_client_does_no_harm(connect, fake_server) -> None:
    portal, left = Portal(), []
    numbers = Counting(connect(fake_server()), portal).count(5, left)
    assert next(numbers) == 0
    portal.close()
    assert left == ["kolony-client"]
    numbers.close()


def test_closing_ends_what_runs(portal: Portal) -> None:
    running = threading.Event()

    async def sleep() -> None:
        running.set()
        await asyncio.sleep(60)

    with ThreadPoolExecutor(1) as pool:
        call = pool.submit(portal.run, sleep())
        running.wait()
        portal.close()
        with pytest.raises(CancelledError):
            call.result(10)


def test_a_program_ends_although_nobody_closed_its_client() -> None:
    program = """
import asyncio
from kolony.sdk.portal import Portal

async def count():
    yield 1
    await asyncio.sleep(60)

portal = Portal()
numbers = portal.iterate(count())
print(next(numbers))
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=30, check=True)
    assert (done.stdout, done.stderr) == ("1\n", "")


def test_an_interrupt_ends_the_call(portal: Portal) -> None:
    ended = threading.Event()

    async def sleep() -> None:
        try:
            # like Ctrl-C, once the caller waits
            interrupt = partial(signal.pthread_kill, threading.main_thread().ident, signal.SIGINT)
            threading.Timer(0.1, interrupt).start()
            await asyncio.sleep(60)
        finally:
            ended.set()

    with pytest.raises(KeyboardInterrupt):
        portal.run(sleep())
    assert ended.is_set()


def test_many_threads_share_a_client(blocking: Counting) -> None:
    found: list[int] = []
    threads = [threading.Thread(target=lambda n=n: found.append(blocking.double(n))) for n in range(20)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(found) == [2 * n for n in range(20)]


def test_calls_keep_their_names_and_signatures(blocking: Counting) -> None:
    assert blocking.double.__doc__ == "Twice a number."
    assert list(inspect.signature(blocking.double).parameters) == ["number", "add"]
    assert inspect.iscoroutinefunction(Counting.double)
    assert "idempotencykey" in inspect.signature(Processes.submit).parameters


def test_a_closed_client_says_so(connect, fake_server) -> None:
    portal = Portal()
    counting = Counting(connect(fake_server()), portal)
    portal.close()
    portal.close()
    with pytest.raises(RuntimeError, match="the client is closed"):
        counting.double(1)


def test_the_colony_of_a_call(blocking: Counting, connect, fake_server, portal: Portal) -> None:
    assert (blocking.colony(), blocking.colony("other")) == ("dev", "other")
    with pytest.raises(ConfigurationError, match="COLONIES_COLONY_NAME"):
        Counting(connect(fake_server(), colony=""), portal).colony()


def test_clients_offer_the_same_families() -> None:
    with Client(port=1, tls=False) as client:
        awaited = AsyncClient(port=1, tls=False)
        families = {name: type(value) for name, value in vars(client).items() if isinstance(value, Api)}
        assert families == {name: type(value) for name, value in vars(awaited).items() if isinstance(value, Api)}
        assert len(families) == 14
        public = {name for name in dir(client) if not name.startswith("_")}
        assert public == {name for name in dir(awaited) if not name.startswith("_")}


def test_a_client_without_a_server_says_where_it_looked() -> None:
    with Client(host="127.0.0.1", port=1, tls=False, retry=NO_RETRY) as client, pytest.raises(ConnectionLost) as caught:
        client.server.version()
    assert caught.value.message == "no Colonies server answers at http://127.0.0.1:1"


async def test_a_log_is_followed_to_its_end(connect, fake_server) -> None:
    from kolony.sdk.logs import Logs

    entry = Log(message="a", timestamp=5)
    server = fake_server({"state": 1}, [entry], {"state": 2}, [Log(message="b", timestamp=7)], {"state": 2}, None)
    logs = Logs(connect(server), None)
    assert [entry.message async for entry in logs.follow("p")] == ["a", "b"]
    asked = [message.get("since", 0) for message in server.messages if message["msgtype"] == "getlogsmsg"]
    assert asked == [0, 5, 7]
