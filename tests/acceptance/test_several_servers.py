"""Several servers on one database serve a colony as one: work, events and members, also while signals are lost."""

from __future__ import annotations

import re
import statistics
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any
from urllib.request import urlopen

import psycopg
import pytest
from clocked import eventually
from colonies import Answer, Colony, KeptRpc, RunningServer, create_colony, create_database, free_port, start_server
from lines import ThreadedLine
from sockets import Socket, open_socket

from kolony.crypto import PrivateKey

WAITING, RUNNING, SUCCESSFUL, FAILED, CANCELLED = range(5)
SIGNALS = "kolony-signals"


@dataclass
class Member:
    """A server with its metrics."""

    server: RunningServer
    monitor: int

    def metric(self, name: str) -> float:
        """What the server counts under a name, over all labels."""
        with urlopen(f"http://127.0.0.1:{self.monitor}/metrics", timeout=5) as page:
            text = page.read().decode()
        values = re.findall(rf"^{name}(?:{{[^}}]*}})? (\S+)$", text, re.MULTILINE)
        return sum(float(value) for value in values)


@dataclass
class Pair:
    """Two servers of one cluster; what the second says to the database goes over a line that can be cut."""

    dsn: str
    line: ThreadedLine
    members: tuple[Member, Member]
    a: Colony
    """A colony, spoken to through the first server."""
    b: Colony
    """The same colony, spoken to through the second."""

    def parks(self, colony: Colony, calls: int = 1) -> None:
        """Wait until so many assign calls hang at the server of a colony."""
        [member] = [each for each in self.members if each.server is colony.server]
        eventually(lambda: member.metric("colonies_longpoll_open") == calls)


@pytest.fixture(scope="module")
def cluster(
    postgres_dsn: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[str, ThreadedLine, tuple[Member, Member]]]:
    dsn, key, folder = create_database(postgres_dsn), PrivateKey.generate(), tmp_path_factory.mktemp("pair")

    def start(name: str, dsn: str) -> Member:
        monitor = free_port()
        settings = {"COLONIES_SERVER_NAME": name, "COLONIES_MONITOR_PORT": str(monitor)}
        return Member(start_server(dsn, folder, server_key=key, **settings), monitor)

    with ThreadedLine(dsn) as line:
        members = start("a", dsn), start("b", line.dsn)
        yield dsn, line, members
        assert [each.server.stop() for each in members] == [0, 0]


@pytest.fixture
def pair(cluster: tuple[str, ThreadedLine, tuple[Member, Member]]) -> Iterator[Pair]:
    dsn, line, members = cluster
    a = create_colony(members[0].server)
    b = Colony(members[1].server, a.name, a.server_key, a.colony_key, a.user_key)
    eventually(lambda: line.connected(SIGNALS) == 1)
    yield Pair(dsn, line, members, a, b)
    line.mend()


@pytest.fixture
def threads() -> Iterator[ThreadPoolExecutor]:
    with ThreadPoolExecutor(8) as pool:
        yield pool


def end(pair: Pair) -> None:
    with psycopg.connect(pair.dsn, autocommit=True) as connection:
        ended = connection.execute(
            "select pg_terminate_backend(pid) from pg_stat_activity where application_name = 'kolony-signals/b'"
        ).fetchall()
    assert len(ended) == 1


def refuse(pair: Pair) -> None:
    """Until the test is over, or mends the line."""
    pair.line.cut(SIGNALS)


def hold(pair: Pair) -> None:
    assert pair.line.hold(SIGNALS) == 1


Fault = Callable[[Pair], None]


# --- work ---


@pytest.mark.parametrize("there", ["a", "b"])
def test_a_submit_wakes_an_executor_on_the_other_server(pair: Pair, threads: ThreadPoolExecutor, there: str) -> None:
    """Far sooner than servers look by themselves, which is once a second."""
    here, waits = (pair.b, pair.a) if there == "a" else (pair.a, pair.b)
    executor = here.add_executor("e1")
    rpc = KeptRpc(waits.host, waits.port)
    seconds = []

    def assign() -> tuple[str, float]:
        process = rpc.ok("assignprocessmsg", executor, colonyname=waits.name, timeout=30)
        taken = time.perf_counter()
        rpc.ok("closesuccessfulmsg", executor, processid=process["processid"])
        return process["processid"], taken

    for _ in range(20):
        call = threads.submit(assign)
        pair.parks(waits)
        began = time.perf_counter()
        submitted = here.submit()
        processid, taken = call.result(30)
        assert processid == submitted["processid"]
        seconds.append(taken - began)
    rpc.close()
    assert statistics.median(seconds) < 0.1


def test_also_for_demands_that_nobody_had_before(pair: Pair, threads: ThreadPoolExecutor) -> None:
    executor = pair.b.add_executor("e1")
    seconds = []
    for number in range(10):
        call = threads.submit(pair.b.assign, executor, 30)
        pair.parks(pair.b)
        began = time.perf_counter()
        process = pair.a.submit(conditions={"cpu": f"{number + 1}m"})
        assert call.result(30)["processid"] == process["processid"]
        seconds.append(time.perf_counter() - began)
    assert statistics.median(seconds) < 0.2


def test_workflows_wake_executors_on_the_other_server(pair: Pair, threads: ThreadPoolExecutor) -> None:
    first, second = pair.a.add_executor("e1", "first"), pair.b.add_executor("e2", "second")
    call = threads.submit(pair.b.assign, second, 30)
    pair.parks(pair.b)
    nodes = [
        {"nodename": "x", "funcname": "f", "conditions": {"executortype": "first"}},
        {"nodename": "y", "funcname": "f", "conditions": {"executortype": "second", "dependencies": ["x"]}},
    ]
    workflow = pair.a.rpc.ok(
        "submitworkflowspecmsg", pair.a.user_key, spec={"colonyname": pair.a.name, "functionspecs": nodes}
    )
    started = pair.a.assign(first, timeout=10)
    pair.a.rpc.ok("closesuccessfulmsg", first, processid=started["processid"])
    assert call.result(10)["processgraphid"] == workflow["processgraphid"]


# --- events ---


def follow(socket: Socket, colony: Colony, key: PrivateKey, state: int) -> None:
    names = {"colonyname": colony.name, "executortype": "cli"}
    socket.send("subscribeprocessesmsg", key, **names, state=state, timeout=60)
    # Requests are taken in order: when the next one is refused, this one was taken.
    assert "does not match" in socket.answers_next(key).message


def told(socket: Socket, count: int) -> list[str]:
    """The processes of the next events."""
    return [socket.event()["processid"] for _ in range(count)]


def test_subscribers_hear_of_everything_that_happens_on_the_other_server(pair: Pair) -> None:
    """Each event once, and in order; the last ones show that nothing came twice."""
    a, executor = pair.a, pair.a.add_executor("e1")
    states = (WAITING, RUNNING, SUCCESSFUL, FAILED, CANCELLED)
    with (
        open_socket(pair.b) as waiting,
        open_socket(pair.b) as running,
        open_socket(pair.b) as good,
        open_socket(pair.b) as bad,
        open_socket(pair.b) as cancelled,
    ):
        for socket, state in zip((waiting, running, good, bad, cancelled), states, strict=True):
            follow(socket, pair.b, executor, state)
        submitted: dict[str, list[str]] = {name: [] for name in ("good", "bad", "cancelled")}
        for _ in range(3):
            for name, found in submitted.items():
                processid = a.submit()["processid"]
                found.append(processid)
                if name == "cancelled":
                    a.rpc.ok("cancelprocessmsg", a.user_key, processid=processid)
                    continue
                assert a.assign(executor)["processid"] == processid
                closing = "closesuccessfulmsg" if name == "good" else "closefailedmsg"
                a.rpc.ok(closing, executor, processid=processid)
        everything = [processid for trio in zip(*submitted.values(), strict=True) for processid in trio]
        assert told(waiting, 9) == everything
        assert told(running, 6) == [each for each in everything if each not in submitted["cancelled"]]
        assert told(good, 3) == submitted["good"]
        assert told(bad, 3) == submitted["bad"]
        assert told(cancelled, 3) == submitted["cancelled"]
        # A process that is tried again waits again, and runs again.
        again = a.submit(maxexectime=1, maxretries=1)["processid"]
        assert a.assign(executor)["processid"] == again
        assert a.assign(executor, timeout=20)["processid"] == again
        assert told(waiting, 2) == told(running, 2) == [again, again]


@pytest.mark.parametrize("fault", [end, refuse, hold])
def test_events_of_a_gap_are_caught_up_with(pair: Pair, fault: Fault) -> None:
    a, executor, b = pair.a, pair.a.add_executor("e1"), pair.members[1]
    with open_socket(pair.b) as waiting, open_socket(pair.b) as ended:
        follow(waiting, pair.b, executor, WAITING)
        follow(ended, pair.b, executor, SUCCESSFUL)
        before = a.submit()["processid"]
        assert told(waiting, 1) == [before]
        reconnects = b.metric("colonies_signal_reconnects_total")
        fault(pair)
        during = [a.submit()["processid"] for _ in range(3)]
        for processid in (before, *during):
            assert a.assign(executor)["processid"] == processid
            a.rpc.ok("closesuccessfulmsg", executor, processid=processid)
        eventually(lambda: b.metric("colonies_signal_reconnects_total") > reconnects)
        pair.line.mend()
        assert told(waiting, 3) == during
        assert told(ended, 4) == [before, *during]
        after = a.submit()["processid"]
        assert told(waiting, 1) == [after]


# --- members ---


@pytest.fixture(params=[None, refuse, hold], ids=["", "refused", "held"])
def disturbed(request: pytest.FixtureRequest, pair: Pair) -> Pair:
    """Servers of which the second may hear no signals."""
    if request.param is not None:
        request.param(pair)
    return pair


def ask(colony: Colony, key: PrivateKey) -> int:
    return colony.rpc.call("getcolonymsg", key, colonyname=colony.name).status


def in_force(condition: Callable[[], Any]) -> None:
    """Wait until a change is in force, for a second at most."""
    eventually(condition, within=1)


def test_an_approval_is_in_force_on_the_other_server(disturbed: Pair) -> None:
    a, b = disturbed.a, disturbed.b
    key = a.add_executor("e1", approve=False)
    assert ask(b, key) == 403
    a.rpc.ok("approveexecutormsg", a.colony_key, colonyname=a.name, executorname="e1")
    in_force(lambda: ask(b, key) == 200)


ENDS: dict[str, Callable[[Colony, PrivateKey], Any]] = {
    "rejected": lambda colony, key: colony.rpc.ok(
        "rejectexecutormsg", colony.colony_key, colonyname=colony.name, executorname="e1"
    ),
    "removed": lambda colony, key: colony.rpc.ok(
        "removeexecutormsg", colony.colony_key, colonyname=colony.name, executorname="e1"
    ),
    "another key": lambda colony, key: colony.rpc.ok(
        "changeexecutoridmsg", key, colonyname=colony.name, executorid=PrivateKey.generate().identity
    ),
}


@pytest.mark.parametrize("change", ENDS)
def test_an_end_is_in_force_on_the_other_server(disturbed: Pair, threads: ThreadPoolExecutor, change: str) -> None:
    """Its key is refused, and its calls that hang there end, within a second."""
    a, b = disturbed.a, disturbed.b
    key = a.add_executor("e1")
    call: Future[Answer] = threads.submit(b.rpc.call, "assignprocessmsg", key, colonyname=b.name, timeout=60)
    disturbed.parks(b)
    assert ask(b, key) == 200
    ENDS[change](a, key)
    changed = time.monotonic()
    in_force(lambda: ask(b, key) == 403)
    assert call.result(5).status != 200
    assert time.monotonic() - changed < 1
