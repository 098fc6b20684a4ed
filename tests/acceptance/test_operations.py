"""What an operator sees: stopping, starting together, several servers on one database, wrong settings, outages."""

from __future__ import annotations

import base64
import json
import os
import re
import secrets
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from datetime import datetime, timedelta
from http.client import HTTPConnection
from pathlib import Path
from typing import Any

import psycopg
import pytest
from clocked import eventually
from colonies import Answer, Colony, RunningServer, create_colony, create_database, envelope, free_port, start_server
from psycopg.conninfo import conninfo_to_dict

from kolony.crypto import PrivateKey
from kolony_apiserver.dev.postgres import EmbeddedPostgres
from kolony_apiserver.main import main
from kolony_apiserver.membership import TRUST

StartServer = Callable[..., RunningServer]

NO_TIME = "0001-01-01T00:00:00Z"


@pytest.fixture
def threads() -> Iterator[ThreadPoolExecutor]:
    with ThreadPoolExecutor(16) as pool:
        yield pool


def get(host: str, port: int, path: str) -> tuple[int, str]:
    """Status and body of a page."""
    connection = HTTPConnection(host, port, timeout=10)
    try:
        connection.request("GET", path)
        response = connection.getresponse()
        return response.status, response.read().decode()
    finally:
        connection.close()


def ready(server: RunningServer) -> bool:
    """Whether the server wants to be sent calls; one that does not listen does not."""
    try:
        return get(server.host, server.port, "/ready")[0] == 200
    except OSError:
        return False


def assign(colony: Colony, executor: PrivateKey, timeout: int = 60) -> Answer:
    return colony.rpc.call("assignprocessmsg", executor, colonyname=colony.name, timeout=timeout)


def through(server: RunningServer, colony: Colony) -> Colony:
    """The same colony, spoken to through another server."""
    return Colony(server, colony.name, colony.server_key, colony.colony_key, colony.user_key)


def count(dsn: str, query: str) -> int:
    """The number that a query gives."""
    with psycopg.connect(dsn) as connection:
        row = connection.execute(query).fetchone()  # type: ignore[call-overload]
    assert row is not None
    return int(row[0])


# --- stopping ---


@contextmanager
def submits_held_up(dsn: str) -> Iterator[None]:
    """Somebody holds a lock that no submit can pass."""
    with psycopg.connect(dsn) as connection:
        connection.execute("lock table processes in share row exclusive mode")
        yield
        connection.rollback()


def held_up(dsn: str) -> int:
    """How many statements wait for a lock."""
    return count(
        dsn, "select count(*) from pg_stat_activity where datname = current_database() and wait_event_type = 'Lock'"
    )


def test_parked_calls_end_as_at_their_timeout(new_server: StartServer, threads: ThreadPoolExecutor) -> None:
    monitor = free_port()
    server = new_server(COLONIES_MONITOR_PORT=str(monitor))
    colony, paused = create_colony(server), create_colony(server)
    paused.rpc.ok("pauseassignmentsmsg", paused.colony_key, colonyname=paused.name)
    parked = [threads.submit(assign, colony, colony.add_executor(f"e{number}")) for number in range(3)]
    held_back = threads.submit(assign, paused, paused.add_executor("e1"))
    eventually(lambda: "colonies_longpoll_open 4.0" in get(server.host, monitor, "/metrics")[1])

    began = time.monotonic()
    assert server.stop() == 0
    assert time.monotonic() - began < 10
    assert {(call.result().status, call.result().message) for call in parked} == {
        (404, "No process available for assignment")
    }
    assert (held_back.result().status, held_back.result().message) == (
        408,
        "Assignment timeout: colony assignments are paused",
    )


def test_a_submit_under_way_is_committed_and_answered(new_server: StartServer, threads: ThreadPoolExecutor) -> None:
    server = new_server()
    colony = create_colony(server)
    assert ready(server)
    with submits_held_up(server.dsn):
        under_way = threads.submit(colony.submit)
        eventually(lambda: held_up(server.dsn) > 0)
        server.process.send_signal(signal.SIGTERM)
        eventually(lambda: not ready(server))
        assert not under_way.done()
        assert server.process.poll() is None
    process = under_way.result()
    assert server.process.wait(20) == 0
    with psycopg.connect(server.dsn) as connection:
        assert connection.execute("select processid from processes").fetchall() == [(process["processid"],)]


def test_a_database_that_hangs_does_not_keep_the_server_from_stopping(
    new_server: StartServer, threads: ThreadPoolExecutor
) -> None:
    server = new_server(COLONIES_DRAIN_TIMEOUT="1")
    colony = create_colony(server)
    with submits_held_up(server.dsn):
        under_way = threads.submit(colony.rpc.call, "submitfuncspecmsg", colony.user_key, spec=colony.spec())
        eventually(lambda: held_up(server.dsn) > 0)
        began = time.monotonic()
        assert server.stop() == 0
        assert time.monotonic() - began < 10
        # Nobody knows whether it was done, and the client is told so.
        refusal = under_way.result()
        assert (refusal.status, refusal.error) == (503, True)
        assert "the server stopped" in refusal.message


# --- several servers ---


@pytest.fixture(scope="module")
def pair(postgres_dsn: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[RunningServer, RunningServer]]:
    """Two servers that were started at the same time on one empty database."""
    dsn, key = create_database(postgres_dsn), PrivateKey.generate()
    folder = tmp_path_factory.mktemp("pair")
    with ThreadPoolExecutor(2) as threads:
        servers = list(threads.map(lambda _: start_server(dsn, folder, server_key=key), range(2)))
    yield servers[0], servers[1]
    for server in servers:
        assert server.stop() == 0


@pytest.fixture
def a(pair: tuple[RunningServer, RunningServer]) -> Colony:
    """A colony, spoken to through one server."""
    return create_colony(pair[0])


@pytest.fixture
def b(pair: tuple[RunningServer, RunningServer], a: Colony) -> Colony:
    """The same colony, spoken to through the other."""
    return through(pair[1], a)


def test_servers_that_start_together_make_one_schema(
    postgres_dsn: str, tmp_path: Path, threads: ThreadPoolExecutor
) -> None:
    dsn, keys = create_database(postgres_dsn), [PrivateKey.generate() for _ in range(4)]
    servers = list(threads.map(lambda key: start_server(dsn, tmp_path, server_key=key), keys))
    try:
        assert all(ready(server) for server in servers)
        applied = count(dsn, "select count(*) from _yoyo_migration")
        assert applied == count(dsn, "select count(distinct migration_id) from _yoyo_migration") > 0
        # Of several owners the first to come is the owner, of all servers.
        owners = [
            [server.rpc.call("getcoloniesmsg", key).status == 200 for key in keys]  # by server
            for server in servers
        ]
        assert all(owner == owners[0] for owner in owners)
        assert owners[0].count(True) == 1
    finally:
        assert [server.stop() for server in servers] == [0] * 4


def test_what_one_server_stores_all_serve(a: Colony, b: Colony) -> None:
    executor = b.add_executor("e1")
    process = a.submit()
    assert b.assign(executor, timeout=10)["processid"] == process["processid"]
    a.rpc.ok("closesuccessfulmsg", executor, processid=process["processid"], out=["done"])
    assert b.rpc.ok("getprocessmsg", b.user_key, processid=process["processid"])["out"] == ["done"]


REVOCATIONS: dict[str, Callable[[Colony], Any]] = {
    "a removed user": lambda colony: colony.rpc.ok(
        "removeusermsg", colony.colony_key, colonyname=colony.name, name="alice"
    ),
    "a changed key": lambda colony: colony.rpc.ok(
        "changeuseridmsg", colony.user_key, colonyname=colony.name, userid=PrivateKey.generate().identity
    ),
    "a removed colony": lambda colony: colony.rpc.ok("removecolonymsg", colony.server_key, colonyname=colony.name),
}


@pytest.mark.parametrize("what", REVOCATIONS)
def test_who_is_removed_on_one_server_is_refused_by_all_within_a_second(a: Colony, b: Colony, what: str) -> None:
    def served() -> bool:
        return b.rpc.call("getcolonymsg", b.user_key, colonyname=b.name).status == 200

    eventually(served)
    REVOCATIONS[what](a)
    assert a.rpc.call("getcolonymsg", a.user_key, colonyname=a.name).status == 403
    revoked = last_served = time.monotonic()
    while (asked := time.monotonic()) < revoked + 10 and served():
        last_served = asked
    assert last_served - revoked < 1


@pytest.mark.parametrize("change", ["rejectexecutormsg", "removeexecutormsg"])
def test_an_executor_loses_and_regains_its_work_on_all_servers(a: Colony, b: Colony, change: str) -> None:
    executor = a.add_executor("e1")
    names = {"colonyname": a.name, "executorname": "e1"}
    assert b.rpc.call("getcolonymsg", executor, colonyname=b.name).status == 200
    a.rpc.ok(change, a.colony_key, **names)
    # What it must not get it does not get, from the first moment on: the database itself says so.
    process = b.submit()
    assert assign(b, executor, timeout=-1).status in (403, 404)
    eventually(lambda: assign(b, executor, timeout=-1).status == 403, within=2)
    a.rpc.ok("approveexecutormsg", a.colony_key, **names)
    assert eventually(lambda: given(assign(b, executor, timeout=-1)), within=2) == process["processid"]


def given(answer: Answer) -> str:
    """The id of the process that an assign was answered with, or nothing."""
    return answer.payload["processid"] if answer.status == 200 else ""


def test_a_process_submitted_on_one_server_is_taken_on_another(
    a: Colony, b: Colony, threads: ThreadPoolExecutor
) -> None:
    executor = b.add_executor("e1")
    for number in range(2):
        # The second is of demands that nobody has had before.
        parked = threads.submit(b.assign, executor, 30)
        submitted_at = time.monotonic()
        process = a.submit(conditions={"cpu": f"{number}m"})
        assert parked.result()["processid"] == process["processid"]
        assert time.monotonic() - submitted_at < 3


def test_a_pause_holds_on_all_servers(a: Colony, b: Colony, threads: ThreadPoolExecutor) -> None:
    executor = b.add_executor("e1")
    a.rpc.ok("pauseassignmentsmsg", a.colony_key, colonyname=a.name)
    process = a.submit()
    assert assign(b, executor, timeout=-1).status in (404, 503)
    assert b.rpc.ok("getpausestatusmsg", b.user_key, colonyname=b.name)["ispaused"] is True
    parked = threads.submit(b.assign, executor, 30)
    resumed_at = time.monotonic()
    a.rpc.ok("resumeassignmentsmsg", a.colony_key, colonyname=a.name)
    assert parked.result()["processid"] == process["processid"]
    assert time.monotonic() - resumed_at < 3


def test_executors_of_two_servers_share_a_queue(a: Colony, b: Colony, threads: ThreadPoolExecutor) -> None:
    executors = [(server, a.add_executor(f"e{number}")) for number in range(4) for server in (a, b)[number % 2 :][:1]]
    submitted = {a.submit()["processid"] for _ in range(20)}

    def drain(server: Colony, executor: PrivateKey) -> list[str]:
        taken = []
        while processid := given(assign(server, executor, timeout=2)):
            taken.append(processid)
            server.rpc.ok("closesuccessfulmsg", executor, processid=processid)
        return taken

    taken = [processid for each in threads.map(lambda pair: drain(*pair), executors) for processid in each]
    assert sorted(taken) == sorted(submitted)


# --- settings ---

DSN = "postgresql://kolony:db-secret@127.0.0.1:1/kolony"

WRONG = [
    ("COLONIES_SERVER_PORT", "http"),
    ("COLONIES_SERVER_PORT", "0"),
    ("COLONIES_SERVER_HTTP_PORT", "65536"),
    ("COLONIES_MONITOR_PORT", "-1"),
    ("COLONIES_SERVER_ID", "short"),
    ("COLONIES_SERVER_ID", "A" * 64),
    ("COLONIES_DB_PORT", "five"),
    ("COLONIES_DB_MAX_OPEN_CONNS", "0"),
    ("TZ", "Mars/Olympus"),
    ("COLONIES_EXCLUSIVE_ASSIGN", "yes"),
    ("COLONIES_ALLOW_EXECUTOR_REREGISTER", "on"),
    ("COLONIES_STALE_EXECUTOR_DURATION", "10m"),
    ("COLONIES_CLEANUP_INTERVAL", "-1"),
    ("COLONIES_RETENTION_POLICY", "nan"),
    ("COLONIES_MAX_BODY_BYTES", "8MiB"),
    ("COLONIES_MAX_WORKFLOW_BODY_BYTES", "0"),
    ("COLONIES_REQUIRE_FRESHNESS", "maybe"),
    ("COLONIES_FRESHNESS_WINDOW", "inf"),
    ("COLONIES_IDEMPOTENCY_WINDOW", "a day"),
    ("COLONIES_DRAIN_TIMEOUT", "soon"),
]


@pytest.mark.parametrize(("name", "text"), WRONG)
def test_a_wrong_setting_is_named_in_one_line(name: str, text: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLONIES_DB_DSN", DSN)
    monkeypatch.setenv(name, text)
    monkeypatch.setattr("sys.argv", ["kolony-apiserver"])
    with pytest.raises(SystemExit) as exit:
        main()
    # A text is what the program writes to standard error before it exits with 1.
    line = exit.value.code
    assert isinstance(line, str)
    assert re.fullmatch(rf"kolony-apiserver: {name}='{re.escape(text)}' is wrong: \S.*", line)


def run_server(**settings: str) -> tuple[int, list[str]]:
    """Start a server that cannot start: its exit code, and the lines it wrote that are no log."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("COLONIES_")}
    done = subprocess.run(
        [sys.executable, "-m", "kolony_apiserver.main"],
        env={**environment, "COLONIES_SERVER_HTTP_HOST": "127.0.0.1", **settings},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.stdout == ""
    return done.returncode, [line for line in done.stderr.splitlines() if not line.startswith("{")]


def test_a_wrong_setting_ends_the_program() -> None:
    code, lines = run_server(COLONIES_DB_DSN=DSN, COLONIES_SERVER_PORT="http")
    assert code == 1
    (line,) = lines
    assert line.startswith("kolony-apiserver: COLONIES_SERVER_PORT='http' is wrong: ")


@pytest.mark.parametrize(
    ("settings", "reason"),
    [
        ({}, "no database: set COLONIES_DB_DSN, or COLONIES_DB_HOST with"),
        ({"COLONIES_DB_DSN": DSN}, "Connection refused"),
        ({"COLONIES_DB_DSN": "db-secret"}, "COLONIES_DB_DSN is no connection string of PostgreSQL"),
    ],
)
def test_a_database_that_cannot_be_opened_ends_the_program(settings: dict[str, str], reason: str) -> None:
    code, lines = run_server(COLONIES_SERVER_PORT=str(free_port()), **settings)
    assert code == 1
    (line,) = lines
    assert line.startswith("kolony-apiserver: ")
    assert "COLONIES_DB_" in line
    assert reason in line
    assert "db-secret" not in line


@pytest.mark.parametrize("name", ["COLONIES_SERVER_PORT", "COLONIES_MONITOR_PORT"])
def test_a_port_that_is_taken_ends_the_program(server: RunningServer, database_dsn: str, name: str) -> None:
    ports = {"COLONIES_SERVER_PORT": str(free_port()), "COLONIES_MONITOR_PORT": str(free_port())}
    code, lines = run_server(COLONIES_DB_DSN=database_dsn, **ports | {name: str(server.port)})
    assert code == 1
    (line,) = lines
    assert line.startswith("kolony-apiserver: cannot ")
    assert f"127.0.0.1:{server.port} ({name})" in line
    assert ready(server)


# --- outages of the database ---


@pytest.fixture(scope="module")
def own_postgres(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EmbeddedPostgres]:
    """A PostgreSQL that nobody else uses, to be stopped and started."""
    with EmbeddedPostgres(tmp_path_factory.mktemp("own") / "cluster") as postgres:
        yield postgres


def test_a_database_that_was_restarted_meanwhile_is_not_noticed(
    own_postgres: EmbeddedPostgres, new_server: StartServer
) -> None:
    colony = create_colony(new_server(create_database(own_postgres.dsn)))
    executor = colony.add_executor("e1")
    colony.submit()
    held = colony.assign(executor)
    own_postgres.stop()
    own_postgres.start()
    colony.rpc.ok("closesuccessfulmsg", executor, processid=held["processid"])
    process = colony.submit()
    assert colony.assign(executor)["processid"] == process["processid"]


def test_calls_are_refused_while_the_database_is_away_and_served_once_it_is_back(
    own_postgres: EmbeddedPostgres, new_server: StartServer, threads: ThreadPoolExecutor
) -> None:
    server = new_server(create_database(own_postgres.dsn))
    colony = create_colony(server)
    executor, waiter = colony.add_executor("e1"), colony.add_executor("e2", "other")
    process = colony.submit()
    parked = threads.submit(assign, colony, waiter)
    assert colony.rpc.call("getprocessmsg", executor, processid=process["processid"]).status == 200

    own_postgres.stop()
    # However well everyone is remembered: nobody is trusted once nothing was heard for so long.
    stopped = time.monotonic()
    eventually(lambda: time.monotonic() - stopped > TRUST)
    processid = {"processid": process["processid"]}
    calls = [
        threads.submit(colony.rpc.call, msgtype, key, **fields)
        for msgtype, key, fields in (
            ("getprocessmsg", colony.user_key, processid),
            ("submitfuncspecmsg", colony.user_key, {"spec": colony.spec()}),
            ("assignprocessmsg", executor, {"colonyname": colony.name, "timeout": 60}),
            ("assignprocessmsg", executor, {"colonyname": colony.name, "timeout": -1}),
            ("closesuccessfulmsg", executor, processid),
            ("getcoloniesmsg", server.server_key, {}),
            # Nobody can tell that this one is a stranger.
            ("getcoloniesmsg", PrivateKey.generate(), {}),
        )
    ]
    for call in calls:
        answer = call.result()
        assert (answer.status, answer.error, answer.message) == (503, True, "the database is away; try again")
    assert colony.rpc.call("versionmsg", None).status == 200
    assert get(server.host, server.port, "/health") == (200, "")

    own_postgres.start()
    back = time.monotonic()
    eventually(lambda: colony.rpc.call("getprocessmsg", colony.user_key, **processid).status == 200)
    assert time.monotonic() - back < 5
    # None of the calls that come after fails, whichever connection it needs, and nobody was forgotten.
    assert colony.assign(executor)["processid"] == process["processid"]
    colony.rpc.ok("closesuccessfulmsg", executor, **processid)
    other = colony.submit(conditions={"executortype": "other"})
    assert given(parked.result()) == other["processid"]
    eventually(lambda: "membership goes on" in server.log.read_text())
    assert server.log.read_text().count("membership: the database is away") == 1


def test_a_server_whose_database_is_away_stops_in_order(
    own_postgres: EmbeddedPostgres, new_server: StartServer
) -> None:
    server = new_server(create_database(own_postgres.dsn))
    colony = create_colony(server)
    assert assign(colony, colony.add_executor("e1"), timeout=-1).status == 404
    own_postgres.stop()
    try:
        assert server.stop() == 0
    finally:
        own_postgres.start()


# --- restarts ---


def test_a_restart_keeps_everything(new_server: StartServer) -> None:
    first = new_server()
    colony = create_colony(first)
    executor = colony.add_executor("e1", locationname="Umeå", capabilities={"software": [{"name": "python"}]})
    colony.add_executor("pending", approve=False)
    function = {"executorname": "e1", "colonyname": colony.name, "funcname": "echo", "executortype": "cli"}
    colony.rpc.ok("addfunctionmsg", executor, fun=function)
    location = {"locationid": "1", "name": "Umeå", "colonyname": colony.name, "long": 20.2, "lat": 63.8}
    colony.rpc.ok("addlocationmsg", colony.colony_key, location=location)
    ended = colony.submit(env={"A": "1"}, args=[1.0, {"k": [None, True]}], conditions={"cpu": "2000m"})
    colony.assign(executor)
    colony.rpc.ok("addlogmsg", executor, processid=ended["processid"], message="half way")
    colony.rpc.ok("closesuccessfulmsg", executor, processid=ended["processid"], out=["done"])
    running, waiting = colony.submit(maxexectime=1000), colony.submit(priority=-3)
    colony.assign(executor)
    colony.rpc.ok("pauseassignmentsmsg", colony.colony_key, colonyname=colony.name)

    def everything(server: RunningServer) -> dict[str, Any]:
        named = {"colonyname": colony.name}
        reads: list[tuple[str, PrivateKey, dict[str, Any]]] = [
            ("getcoloniesmsg", first.server_key, {}),
            ("getexecutorsmsg", colony.user_key, named),
            ("getusersmsg", colony.user_key, named),
            ("getfunctionsmsg", colony.user_key, named),
            ("getlocationsmsg", colony.user_key, named),
            ("getpausestatusmsg", colony.user_key, named),
            ("getcolonystatsmsg", colony.user_key, named),
            ("getlogsmsg", colony.user_key, {"processid": ended["processid"], "count": 10}),
            *(
                ("getprocessmsg", colony.user_key, {"processid": each["processid"]})
                for each in (ended, running, waiting)
            ),
        ]
        return {f"{msgtype} {fields}": server.rpc.ok(msgtype, key, **fields) for msgtype, key, fields in reads}

    before = everything(first)
    assert first.stop() == 0

    # The database knows its owner; the setting only counts where it does not.
    second = new_server(first.dsn, server_key=PrivateKey.generate())
    assert everything(second) == before
    assert second.rpc.call("getcoloniesmsg", second.server_key).status == 403
    assert before["getpausestatusmsg " + str({"colonyname": colony.name})]["ispaused"] is True

    colony = through(second, colony)
    colony.rpc.ok("closesuccessfulmsg", executor, processid=running["processid"])
    colony.rpc.ok("resumeassignmentsmsg", colony.colony_key, colonyname=colony.name)
    assert colony.assign(executor, timeout=10)["processid"] == waiting["processid"]


# --- time zones and logs ---


def test_times_are_shown_in_the_zone_of_the_server(new_server: StartServer) -> None:
    server = new_server(TZ="Asia/Kolkata")
    colony = create_colony(server)
    executor = colony.add_executor("e1", lastheardfromtime="2021-06-01T00:00:00.1+02:00")
    read = colony.rpc.ok("getexecutormsg", colony.user_key, colonyname=colony.name, executorname="e1")
    assert read["lastheardfromtime"] == "2021-06-01T03:30:00.100000+05:30"
    never = colony.add_executor("e2", approve=False)
    by_id = colony.rpc.ok("getexecutorbyidmsg", colony.user_key, colonyname=colony.name, executorid=never.identity)
    assert by_id["lastheardfromtime"] == NO_TIME

    submitted = colony.submit(maxwaittime=60)
    assert [submitted[name] for name in ("starttime", "endtime", "execdeadline")] == [NO_TIME] * 3
    assigned = colony.assign(executor)
    assert [assigned[name] for name in ("endtime", "execdeadline")] == [NO_TIME] * 2
    stored = colony.rpc.ok("getprocessmsg", colony.user_key, processid=submitted["processid"])
    for process, name in (
        (submitted, "submissiontime"),
        (submitted, "waitdeadline"),
        (assigned, "starttime"),
        (stored, "submissiontime"),
        (stored, "starttime"),
    ):
        moment = datetime.fromisoformat(process[name])
        assert process[name].endswith("+05:30")
        assert abs(datetime.now(moment.tzinfo) - moment) < timedelta(seconds=90)
    assert stored["submissiontime"] == submitted["submissiontime"]


def test_logs_are_lines_of_json_without_secrets(new_server: StartServer) -> None:
    server = new_server(COLONIES_VERBOSE="true")
    colony = create_colony(server)
    executor = colony.add_executor("e1")
    secret = f"secret-{secrets.token_hex(8)}"
    message = {"msgtype": "submitfuncspecmsg", "spec": colony.spec(args=[secret], env={"PASSWORD": secret})}
    sent = envelope(message, colony.user_key)
    assert colony.rpc.send(json.dumps(sent).encode()).status == 200
    process = colony.assign(executor)
    colony.rpc.ok("addlogmsg", executor, processid=process["processid"], message=secret)
    for out in ([secret], [f"{secret}\0"], [secret] * 2):
        colony.rpc.call("setoutputmsg", executor, processid=process["processid"], out=out)
    colony.rpc.ok("closesuccessfulmsg", executor, processid=process["processid"], out=[secret])
    # Refusals of all sorts, among them those that the server did not expect to meet.
    colony.rpc.call("getuserbyidmsg", colony.user_key, colonyname=colony.name, userid=secret)
    colony.rpc.call("getusermsg", colony.user_key, colonyname=colony.name, name=secret)
    colony.rpc.call("closefailedmsg", executor, processid=secret, attempt=2**31)
    colony.rpc.call("closefailedmsg", executor, processid=process["processid"], attempt=2**31, errors=[secret])
    colony.rpc.call(secret, colony.user_key)
    colony.rpc.post(json.dumps(sent | {"signature": secret}).encode())
    colony.rpc.post(secret.encode())
    with psycopg.connect(server.dsn, autocommit=True) as connection:
        connection.execute("alter table logs rename to no_logs")
        assert colony.rpc.call("addexecutorlogmsg", executor, colonyname=colony.name, executorname="e1", message=secret)
        connection.execute("alter table no_logs rename to logs")
    assert server.stop() == 0

    text = server.log.read_text()
    lines = [json.loads(line) for line in text.splitlines()]
    assert {frozenset(line) - {"exception"} for line in lines} == {frozenset({"time", "level", "logger", "message"})}
    assert any("submitfuncspecmsg answered 200" in line["message"] for line in lines)
    password = conninfo_to_dict(server.dsn).get("password")
    hidden = [secret, sent["payload"], sent["signature"], base64.b64encode(secret.encode()).decode()]
    hidden += [key.hex for key in (server.server_key, colony.colony_key, colony.user_key, executor)]
    hidden += [str(password)] if password else []
    assert [each for each in hidden if each in text] == []
