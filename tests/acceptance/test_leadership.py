"""Several servers and the one that leads: who does, what becomes of parked calls, and how fast another takes over."""

from __future__ import annotations

import signal
import socket
import time
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

import psycopg
import pytest
from clocked import eventually
from several import Servers, StartServer


@pytest.fixture
def servers(new_server: StartServer, database_dsn: str) -> Servers:
    return Servers(new_server, database_dsn)


@pytest.fixture
def pool() -> Iterator[ThreadPoolExecutor]:
    with ThreadPoolExecutor(32) as pool:
        yield pool


def parked(servers: Servers, calls: list[Future[Any]]) -> None:
    """Wait until calls hang at the leader."""

    def count() -> int:
        with psycopg.connect(servers.dsn) as connection:
            row = connection.execute("select count(*) from executors where lastheardfromtime is not null").fetchone()
        return int(row[0]) if row else 0

    eventually(lambda: count() >= len(calls))
    assert not [call for call in calls if call.done()]


def test_the_cluster_shows_its_servers_and_who_leads_since_when(servers: Servers) -> None:
    shown = [servers.at(name).rpc.ok("getclustermsg", servers.key) for name in servers.by_name]
    for cluster in shown:
        assert {node["name"] for node in cluster["nodes"]} == set("abc")
        assert cluster["leader"]["name"] == servers.leader() == "a"
        assert cluster["leader"]["apiport"] == servers.by_name["a"].port
        assert cluster["term"] == 1
        assert cluster["since"] == shown[0]["since"]
    ports = {node["relayport"] for node in shown[0]["nodes"]}
    assert len(ports) == 3
    assert 0 not in ports


def test_a_follower_hands_out_through_the_leader(servers: Servers) -> None:
    executors = {name: servers.colony.add_executor(f"e-{name}") for name in servers.by_name}
    sent = [servers.at(name).submit(args=[number]) for number, name in enumerate("abcabc")]
    given = [servers.assign(name, executors[name]).payload for name in "bcabca"]
    # The clocks of the servers are those of the database but for milliseconds.
    in_order = sorted(sent, key=lambda process: int(process["prioritytime"]))
    assert [each["processid"] for each in given] == [each["processid"] for each in in_order]
    for name, process in zip("bcabca", given, strict=True):
        servers.at(name).rpc.ok("closesuccessfulmsg", executors[name], processid=process["processid"])
    assert servers.assign("b", executors["b"], timeout=-1).status == 404
    assert servers.assign("b", executors["b"], timeout=1).status == 404


def test_parked_calls_wait_on_when_the_leader_is_killed(servers: Servers, pool: ThreadPoolExecutor) -> None:
    keys = [servers.colony.add_executor(f"e{number}") for number in range(20)]
    leader, (one, other) = servers.leader(), servers.followers()
    calls = [pool.submit(servers.assign, name, key) for name, key in zip([one, other] * 10, keys, strict=True)]
    parked(servers, calls)
    servers.kill(leader)
    servers.new_leader(leader)
    sent = {servers.at(one).submit()["processid"] for _ in keys}
    answers = [call.result() for call in calls]
    assert {answer.status for answer in answers} == {200}
    assert {answer.payload["processid"] for answer in answers} == sent


def test_a_leader_that_is_told_to_stop_gives_way_at_once(servers: Servers) -> None:
    key = servers.colony.add_executor("e")
    leader, (follower, _) = servers.leader(), servers.followers()
    servers.at(follower).submit()
    servers.by_name[leader].process.send_signal(signal.SIGTERM)
    began = time.monotonic()
    servers.new_leader(leader)
    assert servers.assign(follower, key).status == 200
    assert time.monotonic() - began < 1.5, "far less than a lease lasts"
    assert servers.by_name[leader].process.wait() == 0


def test_a_leader_that_was_stopped_for_a_while_writes_nothing_in_its_old_term(
    servers: Servers, pool: ThreadPoolExecutor
) -> None:
    key, mine = servers.colony.add_executor("e"), servers.colony.add_executor("f")
    leader, (follower, _) = servers.leader(), servers.followers()
    at_leader = pool.submit(servers.assign, leader, mine)
    parked(servers, [at_leader])
    stopped = servers.by_name[leader].process
    stopped.send_signal(signal.SIGSTOP)
    try:
        servers.new_leader(leader)
        taken = pool.submit(servers.assign, follower, key)
        sent = servers.at(follower).submit()
        assert taken.result().payload["processid"] == sent["processid"]
    finally:
        stopped.send_signal(signal.SIGCONT)
    # Its client was parked there all the time, and is served by the new leader.
    sent = servers.at(follower).submit()
    assert at_leader.result().payload["processid"] == sent["processid"]
    assert servers.leader() != leader


def test_a_stopped_server_in_the_middle_of_a_leaders_write_holds_nobody_up(servers: Servers) -> None:
    """Its transaction is ended by whoever leads next."""
    leader = servers.leader()
    with psycopg.connect(servers.dsn, application_name="kolony/left-over") as stranger:
        stranger.execute("select from leadership for key share")
        servers.kill(leader)
        servers.new_leader(leader)
        with pytest.raises(psycopg.OperationalError):
            stranger.execute("select 1")


def test_nobody_parks_a_call_without_the_secret(servers: Servers) -> None:
    with psycopg.connect(servers.dsn) as connection:
        row = connection.execute("select relayhost, relayport from servers where name = 'a'").fetchone()
    assert row is not None
    with socket.create_connection(row, timeout=10) as intruder:
        intruder.sendall(bytes(16))
        assert len(intruder.recv(16)) == 16
        intruder.sendall((40).to_bytes(4) + bytes(16) + bytes(40))
        while chunk := intruder.recv(1000):
            assert len(chunk) < 100, "only its own proof, no answer"
    assert "refused" in servers.by_name["a"].log.read_text()
