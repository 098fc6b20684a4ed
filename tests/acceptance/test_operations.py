"""What an operator sees: stopping, starting together, several servers on one database, wrong settings, outages."""

from __future__ import annotations

import json
import os
import secrets
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from datetime import UTC, datetime
from http.client import HTTPConnection
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import psycopg
import pytest
from clocked import eventually
from colonies import Answer, Colony, RunningServer, create_colony, create_database, envelope, free_port, start_server

from kolony.crypto import PrivateKey
from kolony_apiserver import server as kolony_server
from kolony_apiserver.dev.postgres import EmbeddedPostgres

StartServer = Callable[..., RunningServer]


@pytest.fixture
def threads() -> Iterator[ThreadPoolExecutor]:
    with ThreadPoolExecutor(8) as pool:
        yield pool


def ready(server: RunningServer) -> bool:
    """Whether the server wants to be sent calls; one that does not listen does not."""
    connection = HTTPConnection(server.host, server.port, timeout=5)
    try:
        connection.request("GET", "/ready")
        return connection.getresponse().status == 200
    except OSError:
        return False
    finally:
        connection.close()


def assign(colony: Colony, executor: PrivateKey, timeout: int = 60) -> Answer:
    return colony.rpc.call("assignprocessmsg", executor, colonyname=colony.name, timeout=timeout)


def through(colony: Colony, server: RunningServer) -> Colony:
    """The same colony, spoken to through another server."""
    return Colony(server, colony.name, colony.server_key, colony.colony_key, colony.user_key)


# --- stopping ---


def gauge(port: int, name: str) -> float:
    """A metric without labels, from the monitor port."""
    connection = HTTPConnection("127.0.0.1", port, timeout=5)
    connection.request("GET", "/metrics")
    lines = connection.getresponse().read().decode().splitlines()
    connection.close()
    return next(float(line.split()[1]) for line in lines if line.startswith(f"{name} "))


def test_parked_calls_end_as_at_their_timeout(new_server: StartServer, threads: ThreadPoolExecutor) -> None:
    monitor = free_port()
    server = new_server(COLONIES_MONITOR_PORT=str(monitor))
    colony = create_colony(server)
    executors = [colony.add_executor(f"e{number}") for number in range(4)]
    colony.rpc.ok("pauseassignmentsmsg", create_paused(server, executors[3]).colony_key, colonyname="paused")
    parked = [threads.submit(assign, colony, executor) for executor in executors[:3]]
    held_back = threads.submit(
        server.rpc.call, "assignprocessmsg", executors[3], colonyname="paused", timeout=60
    )
    eventually(lambda: gauge(monitor, "colonies_longpoll_open") == 4)

    began = time.monotonic()
    server.process.send_signal(signal.SIGTERM)
    assert [call.result().status for call in parked] == [404, 404, 404]
    assert {call.result().message for call in parked} == {"No process available for assignment"}
    assert held_back.result().status == 408
    assert server.process.wait(20) == 0
    assert time.monotonic() - began < 10
    assert not ready(server)


def create_paused(server: RunningServer, executor: PrivateKey) -> Colony:
    """A colony named paused, with an executor."""
    colony = Colony(server, "paused", server.server_key)
    owner = {"colonyid": colony.colony_key.identity, "name": "paused"}
    server.rpc.ok("addcolonymsg", server.server_key, colony=owner)
    names = {"executorname": "e1", "colonyname": "paused"}
    server.rpc.ok(
        "addexecutormsg", colony.colony_key, executor={**names, "executorid": executor.identity, "executortype": "cli"}
    )
    server.rpc.ok("approveexecutormsg", colony.colony_key, **names)
    return colony


def holding_submits(dsn: str) -> psycopg.Connection[Any]:
    """A transaction that no submit can pass."""
    connection = psycopg.connect(dsn)
    connection.execute("lock table processes in share row exclusive mode")
    return connection


def blocked(dsn: str) -> int:
    """How many statements wait for a lock."""
    with psycopg.connect(dsn) as connection:
        (count,) = connection.execute(
            "select count(*) from pg_stat_activity where datname = current_database() and wait_event_type = 'Lock'"
        ).fetchone() or (0,)
    return int(count)


def test_a_submit_under_way_is_committed_and_answered(new_server: StartServer, threads: ThreadPoolExecutor) -> None:
    server = new_server()
    colony = create_colony(server)
    with holding_submits(server.dsn) as other:
        under_way = threads.submit(colony.submit)
        eventually(lambda: blocked(server.dsn) > 0)
        server.process.send_signal(signal.SIGTERM)
        eventually(lambda: not ready(server))
        assert not under_way.done()
        assert server.process.poll() is None
        other.rollback()
    process = under_way.result()
    assert server.process.wait(20) == 0
    with psycopg.connect(server.dsn) as connection:
        assert connection.execute("select processid from processes").fetchall() == [(process["processid"],)]


def test_a_database_that_hangs_does_not_keep_the_server_from_stopping(
    new_server: StartServer, threads: ThreadPoolExecutor
) -> None:
    server = new_server(COLONIES_DRAIN_TIMEOUT="1")
    colony = create_colony(server)
    with holding_submits(server.dsn):
        under_way = threads.submit(colony.rpc.call, "submitfuncspecmsg", colony.user_key, spec=colony.spec())
        eventually(lambda: blocked(server.dsn) > 0)
        began = time.monotonic()
        server.process.send_signal(signal.SIGTERM)
        assert server.process.wait(20) == 0
        assert time.monotonic() - began < 10
        assert refused(under_way)


def refused(call: Future[Answer]) -> bool:
    """Whether a call ended without an acknowledgement."""
    try:
        return call.result().status != 200
    except (OSError, ValueError, Exception):
        return True


def test_subscribers_are_let_go(new_server: StartServer) -> None:
    ...
