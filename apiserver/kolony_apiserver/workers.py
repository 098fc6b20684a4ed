"""Several servers from one command: workers that share a port, each a server of the cluster like any other.

The kernel spreads new connections over the workers. One that ends is started again. They end when the parent does, even
when that is killed.
"""

from __future__ import annotations

import ctypes
import logging
import os
import signal
import socket
import sys
import time
from collections.abc import Callable

from msgspec.structs import replace

from kolony.errors import ConfigurationError
from kolony_apiserver.settings import Settings

log = logging.getLogger(__name__)

Serve = Callable[[Settings, socket.socket], None]
"""Runs a server on a socket until it is told to stop."""

_SIGNALS = (signal.SIGTERM, signal.SIGINT, signal.SIGCHLD)
_PAUSE = 1.0
"""Seconds between the starts of one worker, so that one that cannot start does not keep the machine busy."""

_BEGINNING = 30.0
"""Seconds after the start in which a worker that fails shows that a setting is wrong."""

_PR_SET_PDEATHSIG = 1


def supervise(settings: Settings, count: int, serve: Serve) -> int:
    """Run so many workers until SIGTERM or SIGINT; the exit code.

    Where a worker fails soon after the start, so would all others: then all are stopped.
    """
    _require_free(settings)
    signal.pthread_sigmask(signal.SIG_BLOCK, _SIGNALS)
    team = _Team(settings, count, serve)
    while team.running or team.due:
        got = signal.sigtimedwait(_SIGNALS, team.next_start())
        if got is not None and got.si_signo != signal.SIGCHLD:
            team.stop()
        team.reap()
        team.start()
    return team.code


class _Team:
    """The workers: which run, by process id, and which are to be started when."""

    def __init__(self, settings: Settings, count: int, serve: Serve) -> None:
        self._settings = settings
        self._count = count
        self._serve = serve
        self._started: dict[int, float] = {}
        self._stopping = False
        self._began = time.monotonic()
        self.running: dict[int, int] = {}
        self.due: dict[int, float] = dict.fromkeys(range(count), 0.0)
        self.code = 0
        self.start()

    def next_start(self) -> float:
        """Seconds until a worker is to be started."""
        return max(min(self.due.values(), default=float("inf")) - time.monotonic(), 0) if self.due else 3_600

    def start(self) -> None:
        """Start the workers that are due."""
        now = time.monotonic()
        for number in [number for number, when in self.due.items() if when <= now]:
            del self.due[number]
            self._started[number] = now
            self.running[self._fork(number)] = number

    def _fork(self, number: int) -> int:
        parent = os.getpid()
        pid = os.fork()
        if pid:
            return pid
        code = 1
        try:
            # A Ctrl-C is for the parent, which tells the workers.
            os.setpgid(0, 0)
            ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)
            signal.pthread_sigmask(signal.SIG_UNBLOCK, _SIGNALS)
            if os.getppid() == parent:
                self._serve(settings_of(self._settings, number, self._count), _listening(self._settings))
                code = 0
        except ConfigurationError as error:
            log.error("worker %d: %s", number, error.message)
        except BaseException:
            log.exception("worker %d failed", number)
        finally:
            sys.stderr.flush()
            os._exit(code)

    def reap(self) -> None:
        """Note which workers ended, and when they are to be started again."""
        while self.running:
            pid, status = os.waitpid(-1, os.WNOHANG)
            if pid == 0:
                return
            number = self.running.pop(pid)
            code = os.waitstatus_to_exitcode(status)
            if self._stopping:
                self.code = self.code or max(code, 0)
            elif code == 1 and time.monotonic() - self._began < _BEGINNING:
                self.code = code
                self.stop()
            else:
                log.warning("worker %d ended with %d and is started again", number, code)
                self.due[number] = self._started[number] + _PAUSE

    def stop(self) -> None:
        """Tell all workers to stop, and start none again."""
        self._stopping = True
        self.due.clear()
        for pid in self.running:
            os.kill(pid, signal.SIGTERM)


def settings_of(settings: Settings, number: int, count: int) -> Settings:
    """The settings of one worker: with a name and ports of its own, and its part of the connections."""
    return replace(
        settings,
        name=f"{settings.name}-{number}" if settings.name else "",
        monitor_port=settings.monitor_port and settings.monitor_port + number,
        relay_port=settings.relay_port and settings.relay_port + number,
        pool_size=max(settings.pool_size // count, 1),
    )


def _listening(settings: Settings) -> socket.socket:
    """A socket on the port that all workers share."""
    listener = _socket(settings)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
    listener.bind((settings.host, settings.port))
    return listener


def _require_free(settings: Settings) -> None:
    """Refuse a port that somebody else listens on: a shared one would not be refused."""
    try:
        with _socket(settings) as probe:
            probe.bind((settings.host, settings.port))
    except OSError as error:
        raise ConfigurationError(
            f"cannot listen on {settings.host}:{settings.port} (COLONIES_SERVER_PORT): {error.strerror}"
        ) from error


def _socket(settings: Settings) -> socket.socket:
    made = socket.socket(socket.AF_INET6 if ":" in settings.host else socket.AF_INET)
    made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    return made
