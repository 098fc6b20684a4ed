"""Several servers from one command, on one port."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from typing import Any

import psutil
import psycopg
from clocked import eventually
from colonies import RunningServer, create_colony

StartServer = Callable[..., RunningServer]

WORKERS = 3


def start(new_server: StartServer, **settings: str) -> RunningServer:
    return new_server(
        COLONIES_WORKERS=str(WORKERS), COLONIES_SERVER_NAME="w", COLONIES_EXCLUSIVE_ASSIGN="true", **settings
    )


def nodes(server: RunningServer) -> dict[str, Any]:
    cluster = server.rpc.ok("getclustermsg", server.server_key)
    return {node["name"]: node for node in cluster["nodes"]}


def pids(server: RunningServer) -> set[int]:
    return {child.pid for child in psutil.Process(server.process.pid).children()}


def test_workers_are_servers_of_one_cluster_behind_one_port(new_server: StartServer) -> None:
    server = start(new_server, COLONIES_DB_MAX_OPEN_CONNS="9")
    eventually(lambda: set(nodes(server)) == {"w-0", "w-1", "w-2"})
    shown = nodes(server).values()
    assert {node["apiport"] for node in shown} == {server.port}
    assert len({node["relayport"] for node in shown}) == WORKERS
    colony = create_colony(server)
    executor = colony.add_executor("e")
    sent = [colony.submit()["processid"] for _ in range(10)]
    # Each call is a connection of its own, which some worker gets.
    assert sorted(colony.assign(executor, timeout=10)["processid"] for _ in sent) == sorted(sent)
    with psycopg.connect(server.dsn) as connection:
        rows = connection.execute(
            "select distinct application_name from pg_stat_activity"
            " where datname = current_database() and application_name like 'kolony/w%'"
        ).fetchall()
    assert {name for (name,) in rows} == {f"kolony/w-{number}" for number in range(WORKERS)}


def test_a_worker_that_dies_is_started_again(new_server: StartServer) -> None:
    server = start(new_server)
    eventually(lambda: len(nodes(server)) == WORKERS)
    before = pids(server)
    victim = min(before)
    os.kill(victim, signal.SIGKILL)
    eventually(lambda: len(pids(server)) == WORKERS and victim not in pids(server))
    colony = create_colony(server)
    assert colony.submit()["state"] == 0


def test_workers_end_with_their_parent(new_server: StartServer) -> None:
    server = start(new_server)
    children = [psutil.Process(pid) for pid in pids(server)]
    assert len(children) == WORKERS
    server.process.kill()
    gone, alive = psutil.wait_procs(children, timeout=30)
    assert not alive
    assert len(gone) == WORKERS


def test_all_stop_in_order(new_server: StartServer) -> None:
    server = start(new_server)
    children = [psutil.Process(pid) for pid in pids(server)]
    assert server.stop() == 0
    assert not psutil.wait_procs(children, timeout=1)[1]
