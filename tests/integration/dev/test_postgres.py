"""The embedded PostgreSQL: private, durable, and never in the way of the next start."""

from __future__ import annotations

import os
import shutil
import signal
import stat
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import psycopg
import pytest
from psycopg.conninfo import conninfo_to_dict

from kolony.errors import ConfigurationError, ServerError
from kolony_apiserver.dev import postgres, programs
from kolony_apiserver.dev.postgres import EmbeddedPostgres

SERVE = """
import sys
from pathlib import Path
from kolony_apiserver.dev.postgres import EmbeddedPostgres
with EmbeddedPostgres(Path(sys.argv[1])) as server:
    print(server.dsn, flush=True)
    sys.stdin.read()
"""
"""A program that runs a server for as long as its standard input is open."""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder in which a server ran before."""
    folder = tmp_path_factory.mktemp("embedded") / "database"
    with EmbeddedPostgres(folder):
        pass
    return folder


@pytest.fixture
def owner(folder: Path) -> Iterator[subprocess.Popen[str]]:
    """A process of its own that runs a server on the folder."""
    with serving(folder) as process:
        yield process
        process.kill()


def serving(folder: Path, *prefix: str) -> subprocess.Popen[str]:
    pipe = subprocess.PIPE
    return subprocess.Popen([*prefix, sys.executable, "-c", SERVE, folder], stdin=pipe, stdout=pipe, text=True)


def first_line(process: subprocess.Popen[str]) -> str:
    assert process.stdout is not None
    return process.stdout.readline().strip()


def postmaster(folder: Path) -> psutil.Process:
    return psutil.Process(int((folder / "data" / "postmaster.pid").read_text().split()[0]))


def has_ended(process: psutil.Process) -> bool:
    """Whether it is gone, or waits only to be reaped by a parent that is not us."""
    try:
        return process.status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True


def answer(dsn: str) -> int:
    with psycopg.connect(dsn) as connection:
        (value,) = connection.execute("select 42").fetchone() or (None,)
        return value


def test_a_second_start_continues_with_the_data(tmp_path: Path) -> None:
    server = EmbeddedPostgres(tmp_path / "new" / "database")
    with server, psycopg.connect(server.dsn) as connection:
        connection.execute("create table kept as select 'Grüße' as word")
    with server, psycopg.connect(server.dsn) as connection:
        assert connection.execute("select word from kept").fetchone() == ("Grüße",)
        found = connection.execute(
            "select current_setting('fsync'), current_setting('server_encoding'), datcollate, version()"
            " from pg_database where datname = current_database()"
        ).fetchone()
    assert found is not None
    assert found[:3] == ("on", "UTF8", "C")
    assert found[3].startswith("PostgreSQL 18")


def test_only_this_user_reaches_it(folder: Path) -> None:
    with EmbeddedPostgres(folder) as server:
        modes = {path.name: stat.S_IMODE(path.stat().st_mode) for path in [folder, *folder.iterdir()]}
        assert modes.pop("socket") == modes.pop("data") == modes.pop(folder.name) == 0o700
        assert modes == {"lock": 0o600, "log": 0o600, "password": 0o600}
        assert Path(str(conninfo_to_dict(server.dsn)["host"])).parent == folder
        with psycopg.connect(server.dsn) as connection:
            assert connection.execute("show listen_addresses").fetchone() == ("",)


def test_a_wrong_password_is_refused(folder: Path) -> None:
    with EmbeddedPostgres(folder) as server, pytest.raises(psycopg.OperationalError, match="password"):
        psycopg.connect(server.dsn, password="wrong")


@pytest.mark.parametrize("name", ["long/" * 40, "comma,", "quote'\" \\"])
def test_any_path_will_do(tmp_path: Path, name: str) -> None:
    with EmbeddedPostgres(tmp_path / name / "database") as server:
        socket = Path(str(conninfo_to_dict(server.dsn)["host"]))
        assert stat.S_IMODE(socket.stat().st_mode) == 0o700
        assert answer(server.dsn) == 42
    assert socket.is_relative_to(tmp_path) or not socket.exists()


def test_a_killed_server_recovers(folder: Path) -> None:
    with EmbeddedPostgres(folder) as server:
        connection = psycopg.connect(server.dsn, autocommit=True)
        connection.execute("create table survives ()")
        postmaster(folder).kill()
    connection.close()
    with EmbeddedPostgres(folder) as server, psycopg.connect(server.dsn) as connection:
        connection.execute("drop table survives")


def test_it_ends_with_the_process_that_started_it(folder: Path, owner: subprocess.Popen[str]) -> None:
    first_line(owner)
    orphan = postmaster(folder)
    owner.kill()
    deadline = time.monotonic() + 30
    while not has_ended(orphan):
        assert time.monotonic() < deadline
        time.sleep(0.05)


def test_an_orphan_is_stopped_first(folder: Path, owner: subprocess.Popen[str]) -> None:
    first_line(owner)
    orphan = postmaster(folder)
    orphan.suspend()
    owner.kill()
    owner.wait()
    with subprocess.Popen(["sh", "-c", f"sleep 0.3; kill -CONT {orphan.pid}"]), EmbeddedPostgres(folder) as server:
        assert answer(server.dsn) == 42
        assert has_ended(orphan)


def test_a_ctrl_c_in_the_terminal_does_not_reach_it(folder: Path) -> None:
    with EmbeddedPostgres(folder):
        assert os.getsid(postmaster(folder).pid) != os.getsid(0)


def test_a_folder_has_one_user_at_a_time(folder: Path, owner: subprocess.Popen[str]) -> None:
    dsn = first_line(owner)
    with pytest.raises(ConfigurationError, match="another process uses"):
        EmbeddedPostgres(folder).start()
    assert answer(dsn) == 42


def test_a_stale_file_that_names_another_process_is_no_hindrance(folder: Path) -> None:
    with EmbeddedPostgres(folder):
        remains = (folder / "data" / "postmaster.pid").read_text().splitlines(keepends=True)
        postmaster(folder).kill()
    other = subprocess.Popen([*programs._as_child(), shutil.which("sleep") or "sleep", "60"])
    (folder / "data" / "postmaster.pid").write_text("".join([f"{other.pid}\n", *remains[1:]]))
    try:
        with EmbeddedPostgres(folder) as server:
            assert answer(server.dsn) == 42
        assert other.poll() is None
    finally:
        other.kill()
        other.wait()


def test_other_peoples_folders_are_left_alone(tmp_path: Path) -> None:
    tmp_path.chmod(0o755)
    (tmp_path / "letter").touch()
    with pytest.raises(ConfigurationError, match="holds other files"):
        EmbeddedPostgres(tmp_path).start()
    assert stat.S_IMODE(tmp_path.stat().st_mode) == 0o755
    assert [path.name for path in tmp_path.iterdir()] == ["letter"]


def test_an_unfinished_first_start_is_begun_again(tmp_path: Path) -> None:
    (tmp_path / "lock").touch()
    (tmp_path / "data.new").mkdir()
    (tmp_path / "data.new" / "PG_VERSION").touch()
    with EmbeddedPostgres(tmp_path) as server:
        assert answer(server.dsn) == 42


def test_a_start_that_fails_says_why_and_leaves_nothing_running(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    server = EmbeddedPostgres(folder)
    with monkeypatch.context() as patch:
        patch.setitem(postgres._SETTINGS, "shared_buffers", "many")
        with pytest.raises(ServerError, match=r'did not start in .*\n.*"shared_buffers": "many"'):
            server.start()
    with server:
        assert answer(server.dsn) == 42


def test_a_lost_password_is_not_replaced(tmp_path: Path) -> None:
    with EmbeddedPostgres(tmp_path):
        pass
    (tmp_path / "password").unlink()
    with pytest.raises(ConfigurationError, match="password is gone"):
        EmbeddedPostgres(tmp_path).start()


@pytest.mark.parametrize(
    ("name", "value", "advice"),
    [("_WHEEL", "no_such_package", r"kolony\[dev\]"), ("_SETPRIV", "no-such-program", "util-linux")],
)
def test_what_is_missing_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, value: str, advice: str
) -> None:
    monkeypatch.setattr(programs, name, value)
    with pytest.raises(ConfigurationError, match=advice):
        EmbeddedPostgres(tmp_path).start()


def test_a_plain_user_can_run_it(tmp_path: Path) -> None:
    """Run by root, this gives up root but for the way to the interpreter, which may be in a private folder."""
    prefix: list[str] = []
    if os.geteuid() == 0:
        tmp_path.chmod(0o700)
        os.chown(tmp_path, programs.NOBODY, programs.NOBODY)
        prefix = programs._as_child()
    with serving(tmp_path / "database", *prefix) as process:
        assert answer(first_line(process)) == 42
        assert process.pid != postmaster(tmp_path / "database").pid
        assert {*postmaster(tmp_path / "database").uids()} == {(tmp_path / "database").stat().st_uid}
        process.send_signal(signal.SIGINT)
