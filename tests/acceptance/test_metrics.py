"""The metrics that Prometheus reads: counters equal what was done, gauges equal a recount, labels stay few."""

from __future__ import annotations

import json
import re
import time
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from http.client import HTTPConnection
from typing import Any

import psycopg
import pytest
from clocked import ClockedServer, eventually
from colonies import Colony, RunningServer, create_colony, envelope, free_port
from prometheus_client import generate_latest
from prometheus_client.parser import text_string_to_metric_families

from kolony.crypto import PrivateKey
from kolony_apiserver.rpc.registry import registry
from kolony_apiserver.scans import counts, generators

Samples = dict[tuple[str, frozenset[tuple[str, str]]], float]

STATES = ("waiting", "running", "success", "failed", "cancelled")

NAMES = {
    "colonies_processes": "gauge",
    "colonies_workflows": "gauge",
    "colonies_process_submitted": "counter",
    "colonies_process_closed": "counter",
    "colonies_process_queue_wait_seconds": "histogram",
    "colonies_process_run_seconds": "histogram",
    "colonies_process_retries": "counter",
    "colonies_assign_seconds": "histogram",
    "colonies_longpoll_open": "gauge",
    "colonies_rpc_seconds": "histogram",
    "colonies_signature_rejects": "counter",
    "colonies_db_pool_size": "gauge",
    "colonies_db_pool_max": "gauge",
    "colonies_db_pool_available": "gauge",
    "colonies_db_pool_waiting": "gauge",
    "colonies_db_pool_requests": "counter",
    "colonies_db_pool_errors": "counter",
    "colonies_db_pool_lost": "counter",
    "colonies_oldest_waiting_seconds": "gauge",
    "colonies_executor_last_seen_seconds": "gauge",
    "colonies_cron_lag_seconds": "gauge",
    "colonies_cron_runs": "counter",
    "colonies_generator_pending": "gauge",
    "colonies_generator_runs": "counter",
    "colonies_leader": "gauge",
    "colonies_signals": "counter",
    "colonies_signal_reconnects": "counter",
    "colonies_build_info": "gauge",
}
"""What there is, and of which kind; the samples of a counter have ``_total`` after its name."""

LABELS = {
    "colonies_processes": {"colony", "state"},
    "colonies_workflows": {"colony", "state"},
    "colonies_process_closed": {"result"},
    "colonies_rpc_seconds": {"method", "code"},
    "colonies_signature_rejects": {"reason"},
    "colonies_oldest_waiting_seconds": {"colony"},
    "colonies_executor_last_seen_seconds": {"colony", "type"},
    "colonies_cron_runs": {"result"},
    "colonies_generator_pending": {"colony"},
    "colonies_generator_runs": {"result"},
    "colonies_signals": {"kind"},
    "colonies_build_info": {"version"},
}


@pytest.fixture
def clocked(database_dsn: str) -> Iterator[ClockedServer]:
    with ClockedServer(database_dsn, build_version="1.2.3") as server:
        yield server


def text(server: ClockedServer) -> str:
    return generate_latest(server.parts.metrics.registry).decode()


def samples(exposition: str) -> Samples:
    return {
        (sample.name, frozenset(sample.labels.items())): sample.value
        for family in text_string_to_metric_families(exposition)
        for sample in family.samples
    }


def value(server: ClockedServer, name: str, **labels: str) -> float:
    """A sample as it is now; one that is not there yet is 0."""
    return samples(text(server)).get((name, frozenset(labels.items())), 0)


def labelled(server: ClockedServer, name: str, label: str) -> dict[str, float]:
    """The samples of one name by their only label."""
    return {dict(labels)[label]: number for (each, labels), number in samples(text(server)).items() if each == name}


def close(colony: Colony, executor: PrivateKey, msgtype: str = "closesuccessfulmsg") -> str:
    """Submit a process, run it and close it."""
    colony.submit()
    process = colony.assign(executor)
    colony.rpc.ok(msgtype, executor, processid=process["processid"])
    return str(process["processid"])


def end_in_every_way(server: ClockedServer, colony: Colony, executor: PrivateKey) -> None:
    """Six processes: cancelled, waited too long, closed as failed, twice as successful, and ran too long, twice."""
    colony.rpc.ok("cancelprocessmsg", colony.user_key, processid=colony.submit()["processid"])
    colony.submit(maxwaittime=60)
    server.apply_limits(after=61)
    for msgtype in ("closefailedmsg", "closesuccessfulmsg", "closesuccessfulmsg"):
        close(colony, executor, msgtype)
    colony.submit(maxexectime=60, maxretries=1)
    for _ in range(2):
        colony.assign(executor)
        server.apply_limits(after=61)


def test_counters_equal_what_was_done(clocked: ClockedServer) -> None:
    colony = clocked.colony()
    end_in_every_way(clocked, colony, colony.add_executor("e1"))
    assert value(clocked, "colonies_process_submitted_total") == 6
    assert labelled(clocked, "colonies_process_closed_total", "result") == {
        "successful": 2,
        "failed": 3,
        "cancelled": 1,
    }
    assert value(clocked, "colonies_process_retries_total") == 1
    assert value(clocked, "colonies_assign_seconds_count") == 5
    assert value(clocked, "colonies_process_queue_wait_seconds_count") == 3
    assert value(clocked, "colonies_process_run_seconds_count") == 3
    assert value(clocked, "colonies_rpc_seconds_count", method="assignprocessmsg", code="200") == 5
    assert value(clocked, "colonies_rpc_seconds_count", method="submitfuncspecmsg", code="200") == 6
    assert value(clocked, "colonies_build_info", version="1.2.3") == 1


def test_what_changed_nothing_does_not_count_as_done(clocked: ClockedServer) -> None:
    colony = clocked.colony()
    executor = colony.add_executor("e1")
    call, ok = colony.rpc.call, colony.rpc.ok
    for _ in range(2):
        ok("submitfuncspecmsg", colony.user_key, spec=colony.spec(), idempotencykey="once")
    assert call("submitfuncspecmsg", colony.user_key, spec=colony.spec(priority=10**6)).status == 400
    ok("kolonysubmitfuncspecsmsg", colony.user_key, colonyname=colony.name, specs=[colony.spec()] * 4)
    process = {"processid": colony.assign(executor)["processid"]}
    for _ in range(2):
        ok("closesuccessfulmsg", executor, **process)
    for refused in ("closefailedmsg", "cancelprocessmsg"):
        assert call(refused, executor, **process).status == 400

    assert value(clocked, "colonies_process_submitted_total") == 5
    assert labelled(clocked, "colonies_process_closed_total", "result") == {"successful": 1}


def test_waits_and_runs_are_measured(clocked: ClockedServer) -> None:
    colony = clocked.colony()
    executor = colony.add_executor("e1")
    colony.submit()
    clocked.clock.advance(42)
    process = colony.assign(executor)
    clocked.clock.advance(13)
    colony.rpc.ok("closesuccessfulmsg", executor, processid=process["processid"])
    assert value(clocked, "colonies_process_queue_wait_seconds_sum") == pytest.approx(42, abs=0.001)
    assert value(clocked, "colonies_process_run_seconds_sum") == pytest.approx(13, abs=0.001)


def test_an_assign_takes_as_long_as_it_was_parked(clocked: ClockedServer) -> None:
    colony = clocked.colony()
    executor = colony.add_executor("e1")
    began = time.monotonic()
    with ThreadPoolExecutor(1) as thread:
        parked = thread.submit(colony.assign, executor, 30)
        eventually(lambda: value(clocked, "colonies_longpoll_open") == 1)
        at_least = time.monotonic()
        # Another executor that gets nothing is no assign that took its time.
        assert colony.rpc.call("assignprocessmsg", executor, colonyname=colony.name, timeout=-1).status == 404
        at_least = time.monotonic() - at_least
        colony.submit()
        parked.result()
    assert value(clocked, "colonies_assign_seconds_count") == 1
    assert at_least <= value(clocked, "colonies_assign_seconds_sum") <= time.monotonic() - began


def test_parked_calls_are_seen_while_they_wait(clocked: ClockedServer) -> None:
    colony = clocked.colony()
    executors = [colony.add_executor(f"e{number}") for number in range(3)]
    with ThreadPoolExecutor(3) as threads:
        parked = [
            threads.submit(colony.rpc.call, "assignprocessmsg", executor, colonyname=colony.name, timeout=30)
            for executor in executors
        ]
        eventually(lambda: value(clocked, "colonies_longpoll_open") == 3)
        colony.submit()
        eventually(lambda: value(clocked, "colonies_longpoll_open") == 2)
        clocked.run(lambda parts: close_room(parts))
        assert sorted(call.result().status for call in parked) == [200, 404, 404]
    assert value(clocked, "colonies_longpoll_open") == 0
    assert value(clocked, "colonies_assign_seconds_count") == 1


async def close_room(parts: Any) -> None:
    parts.room.shut()


def recount(server: ClockedServer) -> dict[tuple[str, str], int]:
    """The processes by colony and state, counted one by one."""
    with psycopg.connect(server.dsn) as connection:
        rows = connection.execute("select colonyname, state from processes").fetchall()
    return dict(Counter((colony, STATES[state]) for colony, state in rows))


def shown(server: ClockedServer) -> dict[tuple[str, str], int]:
    """The gauge of processes, measured now, without what is zero."""
    server.run(counts.measure)
    return {
        (dict(labels)["colony"], dict(labels)["state"]): int(number)
        for (name, labels), number in samples(text(server)).items()
        if name == "colonies_processes" and number
    }


def pending_changes(server: ClockedServer) -> int:
    """How many changes of counters were not added up yet."""
    with psycopg.connect(server.dsn) as connection:
        (count,) = connection.execute("select count(*) from count_changes").fetchone() or (-1,)
    return int(count)


def test_gauges_equal_a_recount_before_and_after_counters_are_added_up(clocked: ClockedServer) -> None:
    colonies = [clocked.colony(), clocked.colony()]
    for colony in colonies:
        executor = colony.add_executor("e1")
        end_in_every_way(clocked, colony, executor)
        for _ in range(3):
            colony.submit()
        colony.assign(executor)
        colony.rpc.ok("removeprocessmsg", colony.user_key, processid=colony.submit()["processid"])
        colony.rpc.ok("removeexecutormsg", colony.colony_key, colonyname=colony.name, executorname="e1")
    expected = recount(clocked)
    assert expected[colonies[0].name, "waiting"] == 3
    assert pending_changes(clocked) > 0
    assert shown(clocked) == expected
    clocked.fold_counts()
    assert pending_changes(clocked) == 0
    assert shown(clocked) == expected

    first, second = colonies
    first.rpc.ok("removeallprocessesmsg", first.colony_key, colonyname=first.name, state=-1)
    assert shown(clocked) == recount(clocked) == {key: count for key, count in expected.items() if key[0] != first.name}
    second.rpc.ok("removecolonymsg", second.server_key, colonyname=second.name)
    assert shown(clocked) == recount(clocked) == {}


def test_the_age_of_what_waits_longest(clocked: ClockedServer) -> None:
    colony, idle = clocked.colony(), clocked.colony()
    oldest = colony.submit(priority=-5)
    clocked.clock.advance(100)
    colony.submit(priority=5)
    clocked.clock.advance(20)
    clocked.run(counts.measure)
    ages = labelled(clocked, "colonies_oldest_waiting_seconds", "colony")
    assert ages == {colony.name: pytest.approx(120, abs=0.01), idle.name: 0}

    colony.rpc.ok("removeprocessmsg", colony.user_key, processid=oldest["processid"])
    clocked.run(counts.measure)
    ages = labelled(clocked, "colonies_oldest_waiting_seconds", "colony")
    assert ages == {colony.name: pytest.approx(20, abs=0.01), idle.name: 0}


def test_the_silence_of_the_executor_that_is_silent_longest(clocked: ClockedServer) -> None:
    colony = clocked.colony()
    silent, busy = colony.add_executor("e1"), colony.add_executor("e2")
    colony.add_executor("e3", "never-called")
    for executor in (silent, busy):
        assert colony.rpc.call("assignprocessmsg", executor, colonyname=colony.name, timeout=-1).status == 404
        clocked.run(lambda parts: parts.contacts.tick())
        clocked.clock.advance(100)
    clocked.run(counts.measure)
    name = "colonies_executor_last_seen_seconds"
    assert labelled(clocked, name, "type") == {"cli": pytest.approx(200, abs=0.01)}

    colony.rpc.ok("rejectexecutormsg", colony.colony_key, colonyname=colony.name, executorname="e1")
    clocked.run(counts.measure)
    assert labelled(clocked, name, "type") == {"cli": pytest.approx(100, abs=0.01)}


def test_refused_signatures_are_counted_by_reason(clocked: ClockedServer) -> None:
    colony = clocked.colony()
    message = {"msgtype": "getcolonymsg", "colonyname": colony.name}
    for signature in ("", "zz", "00" * 65):
        body = envelope(message, colony.user_key) | {"signature": signature}
        assert colony.rpc.send(json.dumps(body).encode()).status == 403
    proof = {"time": clocked.clock.now_ns(), "nonce": "n"}
    statuses = [
        colony.rpc.call("getcolonymsg", colony.user_key, colonyname=colony.name, fresh=fresh).status
        for fresh in (proof, proof, proof | {"time": 1}, proof | {"nonce": ""})
    ]
    assert statuses == [200, 403, 403, 403]
    # A stranger signs as well as anyone.
    assert colony.rpc.call("getcolonymsg", PrivateKey.generate(), colonyname=colony.name).status == 403
    assert labelled(clocked, "colonies_signature_rejects_total", "reason") == {
        "invalid": 3,
        "replayed": 1,
        "expired": 1,
        "unproven": 1,
    }


def test_labels_stay_few_whatever_is_sent(clocked: ClockedServer) -> None:
    colony = clocked.colony()
    executor = colony.add_executor("an-executor")
    colony.submit(funcname="a-function", label="a-label")
    process = colony.assign(executor)
    for number in range(20):
        assert colony.rpc.call(f"made-up-{number}", colony.user_key).status == 403
        assert colony.rpc.call("getprocessmsg", colony.user_key, processid=f"no-process-{number}").status == 404
    assert colony.rpc.send(b"no envelope").status == 400
    colony.rpc.ok("versionmsg", None)
    clocked.run(lambda parts: parts.contacts.tick())
    clocked.run(counts.measure)

    exposition = text(clocked)
    for name in ("made-up", "no-process", "a-function", "a-label", "an-executor", process["processid"]):
        assert name not in exposition
    assert not re.search(r"[0-9a-f]{64}", exposition)
    calls = {
        (dict(labels)["method"], dict(labels)["code"]): count
        for (name, labels), count in samples(exposition).items()
        if name == "colonies_rpc_seconds_count"
    }
    assert calls["unknown", "403"] == 20
    assert calls["unknown", "400"] == 1
    assert calls["getprocessmsg", "404"] == 20
    assert calls["versionmsg", "200"] == 1
    assert {method for method, _ in calls} <= {"unknown", "versionmsg", *registry()}


def start_by_time_and_by_data(server: ClockedServer, colony: Colony) -> None:
    """A workflow by a cron, and one by a generator."""
    node = {"nodename": "a", "funcname": "echo", "conditions": {"executortype": "cli"}}
    common = {"colonyname": colony.name, "name": "n", "workflowspec": json.dumps({"functionspecs": [node]})}
    cron = colony.rpc.ok("addcronmsg", colony.user_key, cron={**common, "interval": 10})
    colony.rpc.ok("runcronmsg", colony.user_key, cronid=cron["cronid"])
    generator = colony.rpc.ok("addgeneratormsg", colony.user_key, generator={**common, "trigger": 1})
    colony.rpc.ok("packgeneratormsg", colony.user_key, generatorid=generator["generatorid"], arg="a")
    server.scan(generators.tick)


def test_names_kinds_and_labels(clocked: ClockedServer) -> None:
    colony = clocked.colony()
    end_in_every_way(clocked, colony, colony.add_executor("e1"))
    empty = {"colonyname": colony.name, "functionspecs": []}
    colony.rpc.ok("submitworkflowspecmsg", colony.user_key, spec=empty)
    assert colony.rpc.send(json.dumps({"payloadtype": "getcolonymsg"}).encode()).status == 403
    clocked.run(lambda parts: parts.contacts.tick())
    start_by_time_and_by_data(clocked, colony)
    clocked.run(counts.measure)

    families = list(text_string_to_metric_families(text(clocked)))
    assert {family.name: family.type for family in families} == NAMES
    assert [family.name for family in families if not family.documentation] == []
    labels = {family.name: {name for each in family.samples for name in each.labels} - {"le"} for family in families}
    assert {name: found for name, found in labels.items() if found} == LABELS


# --- the port ---


def get(port: int, path: str) -> tuple[int, str, str]:
    """Status, content type and body of a page."""
    connection = HTTPConnection("127.0.0.1", port, timeout=10)
    try:
        connection.request("GET", path)
        response = connection.getresponse()
        return response.status, response.headers["content-type"] or "", response.read().decode()
    finally:
        connection.close()


def test_the_monitor_port_serves_what_the_server_counts(new_server: Callable[..., RunningServer]) -> None:
    port = free_port()
    server = new_server(COLONIES_MONITOR_PORT=str(port), BUILD_VERSION="4.5.6")
    colony = create_colony(server)
    close(colony, colony.add_executor("e1"))

    status, content_type, body = get(port, "/metrics")
    assert status == 200
    assert content_type.startswith("text/plain; version=")
    found = samples(body)
    assert found["colonies_process_submitted_total", frozenset()] == 1
    assert found["colonies_process_closed_total", frozenset({("result", "successful")})] == 1
    assert found["colonies_build_info", frozenset({("version", "4.5.6")})] == 1
    assert 1 <= found["colonies_db_pool_size", frozenset()] <= found["colonies_db_pool_max", frozenset()]

    # What is read from the database follows by itself.
    success = ("colonies_processes", frozenset({("colony", colony.name), ("state", "success")}))
    eventually(lambda: samples(get(port, "/metrics")[2]).get(success) == 1)
    # The API's own port shows none of it.
    assert get(server.port, "/metrics")[0] == 404
    assert server.stop() == 0
