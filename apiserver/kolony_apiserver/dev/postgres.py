"""A PostgreSQL server of our own: the programs of a wheel, one private folder, a child of this process.

The folder holds:

- ``lock``: locked for as long as the process that uses the folder lives, so two never share it, and a server
  found running behind a free lock is an orphan to be stopped;
- ``password``: of the only role, made once;
- ``data``: the cluster. It is built under another name and renamed when complete, so it is never half a cluster;
- ``socket``: the only way in. Nothing listens on a network address;
- ``log``: what the server writes.

The server dies with us and never before us. A Ctrl-C in the terminal does not reach it, because it runs in a
session of its own; when this process ends without `EmbeddedPostgres.stop`, even by SIGKILL, the kernel asks it
for a fast shutdown.
"""

from __future__ import annotations

import fcntl
import os
import secrets
import shutil
import signal
import subprocess
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType
from typing import IO, Self

from kolony.errors import ConfigurationError, ServerError
from kolony_apiserver.dev.programs import Programs, environment, give_to_children

_ROLE = "kolony"
_DATABASE = "postgres"

_PORT = 5432
"""Only a part of the socket's name, given to both sides so that no PGPORT of the environment counts."""

_SOCKET_PATH_LIMIT = 107
"""Most bytes in the path of a Unix socket."""

_START_TIMEOUT = 120.0
"""Seconds for a start; recovery after a crash replays up to ``max_wal_size`` first."""

_STOP_TIMEOUT = 60.0
"""Seconds for a fast shutdown, which ends with a checkpoint."""

_RETRY_TIMEOUT = 15.0
"""Seconds in which the children of a server that was killed have to be gone."""

_POLL = 0.05
"""Seconds between two looks at something that is awaited."""

_SETTINGS = {
    "listen_addresses": "",
    "unix_socket_permissions": "0700",
    "max_connections": "100",
    # The queue's indexes and hot rows stay in memory; more is the page cache's business on a shared machine.
    "shared_buffers": "256MB",
    # Checkpoints are rare, so few pages are logged whole again; those that are get compressed.
    "checkpoint_timeout": "15min",
    "max_wal_size": "2GB",
    "wal_compression": "on",
    # Nothing replicates from here, so the log holds what recovery needs and no more.
    "wal_level": "minimal",
    "max_wal_senders": "0",
    # A queue leaves dead rows and index entries behind at the rate of its work: look for them often.
    "autovacuum_naptime": "10s",
    # Every statement is short: compiling it, or sharing it out, costs more than running it.
    "jit": "off",
    "max_parallel_workers_per_gather": "0",
    "log_checkpoints": "off",
    "timezone": "UTC",
    "log_timezone": "UTC",
}


class EmbeddedPostgres:
    """A PostgreSQL server whose data live in ``folder``, which must be empty, missing, or from a former run.

    The folder becomes private to this user, and a later start continues with its data. Not for concurrent use;
    ``start`` and ``stop`` block and may be called from any thread.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder.resolve()
        self._data = self._folder / "data"
        self._running: ExitStack | None = None
        self._dsn = ""

    @property
    def dsn(self) -> str:
        """Connection string (libpq's ``key='value'`` form, with the password) of the running server."""
        if self._running is None:
            raise RuntimeError("the server is not running")
        return self._dsn

    def start(self) -> None:
        """Start the server and return when it accepts connections; a failed start leaves nothing running.

        Raises:
            ConfigurationError: a program is not installed, or the folder is not ours to use.
            ServerError: PostgreSQL did not start; the text ends with its last words.
        """
        if self._running is not None:
            raise RuntimeError("the server is running already")
        programs = Programs()
        with ExitStack() as stack:
            self._claim_folder(stack)
            self._stop_orphan()
            password = self._password()
            if not self._data.exists():
                self._create_cluster(programs)
            socket_folder = self._socket_folder(stack)
            self._launch(programs, socket_folder, stack)
            self._dsn = _conninfo(
                host=str(socket_folder), port=str(_PORT), user=_ROLE, password=password, dbname=_DATABASE
            )
            self._running = stack.pop_all()

    def stop(self) -> None:
        """Shut the server down and wait for its end; clients are disconnected. Does nothing when none runs."""
        running, self._running = self._running, None
        if running is not None:
            running.close()

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def _claim_folder(self, stack: ExitStack) -> None:
        self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        if self._folder.stat().st_uid != os.geteuid():
            raise ConfigurationError(f"{self._folder} belongs to another user; choose another folder for the database")
        lock = self._folder / "lock"
        if not lock.exists() and any(self._folder.iterdir()):
            # Above all a wrong path must not make somebody's folder private.
            raise ConfigurationError(f"{self._folder} holds other files; choose an empty folder for the database")
        self._folder.chmod(0o700)
        file = stack.enter_context(_open_private(lock))
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise ConfigurationError(f"another process uses the database in {self._folder}; stop it first") from None

    def _stop_orphan(self) -> None:
        """Stop a server that outlived the process it was started by, or wait until it has ended by itself."""
        pid = self._recorded_pid()
        if not self._serves_us(pid):
            return
        os.kill(pid, signal.SIGINT)
        deadline = time.monotonic() + _STOP_TIMEOUT
        while self._serves_us(pid):
            if time.monotonic() > deadline:
                raise ServerError(f"a former PostgreSQL of {self._folder} (process {pid}) does not stop")
            time.sleep(_POLL)

    def _serves_us(self, pid: int) -> bool:
        """Whether a process is a PostgreSQL of this folder; a stale file may name one that is anything else."""
        try:
            arguments = Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
        except (FileNotFoundError, ProcessLookupError):
            return False
        return os.fsencode(self._data) in arguments

    def _recorded_pid(self) -> int:
        """The process that ``postmaster.pid`` names, which a killed server leaves behind; 0 when there is none."""
        try:
            return int((self._data / "postmaster.pid").read_text().split(maxsplit=1)[0])
        except (FileNotFoundError, IndexError, ValueError):
            return 0

    def _password(self) -> str:
        file = self._folder / "password"
        if self._data.exists():
            try:
                return file.read_text().strip()
            except FileNotFoundError:
                raise ConfigurationError(f"{file} is gone, and the data in {self._data} cannot be opened") from None
        password = secrets.token_urlsafe(32)
        file.unlink(missing_ok=True)
        with _open_private(file) as out:
            out.write(password.encode())
        return password

    def _create_cluster(self, programs: Programs) -> None:
        unfinished = self._folder / "data.new"
        if unfinished.exists():
            shutil.rmtree(unfinished)
        unfinished.mkdir(mode=0o700)
        give_to_children(unfinished)
        options = {
            "pgdata": str(unfinished),
            "username": _ROLE,
            "pwfile": str(self._folder / "password"),
            "auth": "scram-sha-256",
            "encoding": "UTF8",
            "locale": "C",
        }
        done = subprocess.run(
            programs.command("initdb", *(f"--{name}={value}" for name, value in options.items())),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            env=environment(),
            start_new_session=True,
            check=False,
        )
        if done.returncode != 0:
            raise ServerError(f"initdb failed in {self._folder}:\n{_last_lines(done.stdout)}")
        unfinished.rename(self._data)

    def _socket_folder(self, stack: ExitStack) -> Path:
        """Where the socket goes: into our folder, or into a temporary one where libpq could not name that."""
        folder = self._folder / "socket"
        name = os.fsencode(folder / f".s.PGSQL.{_PORT}")
        if len(name) <= _SOCKET_PATH_LIMIT and b"," not in name:
            folder.mkdir(mode=0o700, exist_ok=True)
        else:
            # In /tmp and not where TMPDIR says, which may be as long.
            folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="kolony-", dir="/tmp")))
        return folder

    def _launch(self, programs: Programs, socket_folder: Path, stack: ExitStack) -> None:
        """Start the server and wait for it; start it again while the children of one that was killed keep it out."""
        # The kernel ties a child to the thread that started it, so that thread has to stay for as long.
        starter = stack.enter_context(ThreadPoolExecutor(1, thread_name_prefix="postgres"))
        log = stack.enter_context(_open_private(self._folder / "log"))
        first_line = log.tell()

        def launch() -> subprocess.Popen[bytes]:
            process = starter.submit(
                subprocess.Popen,
                programs.command("postgres", "-D", str(self._data), *_options(socket_folder)),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                env=environment(stale_pid=self._recorded_pid()),
                start_new_session=True,
            ).result()
            stack.callback(_shut_down, process)
            return process

        begin = time.monotonic()
        process = launch()
        while not _accepts_connections(programs, socket_folder):
            elapsed = time.monotonic() - begin
            if process.poll() is not None:
                if not self._recorded_pid() or elapsed > _RETRY_TIMEOUT:
                    raise self._failure("PostgreSQL did not start", first_line)
                process = launch()
            elif elapsed > _START_TIMEOUT:
                raise self._failure(f"PostgreSQL was not ready after {_START_TIMEOUT:.0f} seconds", first_line)
            time.sleep(_POLL)

    def _failure(self, what: str, first_line: int) -> ServerError:
        written = (self._folder / "log").read_bytes()[first_line:]
        return ServerError(f"{what} in {self._folder}:\n{_last_lines(written)}")


def _options(socket_folder: Path) -> list[str]:
    quoted = str(socket_folder).replace('"', '""')
    settings = _SETTINGS | {"port": str(_PORT), "unix_socket_directories": f'"{quoted}"'}
    return [part for name, value in settings.items() for part in ("-c", f"{name}={value}")]


def _conninfo(**parts: str) -> str:
    escaped = ((name, text.replace("\\", r"\\").replace("'", r"\'")) for name, text in parts.items())
    return " ".join(f"{name}='{text}'" for name, text in escaped)


def _accepts_connections(programs: Programs, socket_folder: Path) -> bool:
    target = [f"--host={socket_folder}", f"--port={_PORT}", f"--username={_ROLE}", f"--dbname={_DATABASE}"]
    command = programs.command("pg_isready", "--quiet", *target)
    return subprocess.run(command, env=environment(), check=False).returncode == 0


def _shut_down(process: subprocess.Popen[bytes]) -> None:
    """End a server: a fast shutdown, or at last an immediate one, from which the next start recovers."""
    if process.poll() is not None:
        return
    process.send_signal(signal.SIGINT)
    try:
        process.wait(_STOP_TIMEOUT)
    except subprocess.TimeoutExpired:
        process.send_signal(signal.SIGQUIT)
        process.wait()


def _open_private(file: Path) -> IO[bytes]:
    """Open for appending a file that only this user can read."""
    return os.fdopen(os.open(file, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600), "ab")


def _last_lines(output: bytes, *, count: int = 15) -> str:
    return "\n".join(output.decode(errors="replace").splitlines()[-count:])
