"""The process that a function runs for: what the function can ask about it, and say about it."""

from __future__ import annotations

import contextvars
import logging
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from kolony.model.processes import Process
from kolony.sdk.worker.outbox import Outbox


class RunningProcess:
    """The process that the calling function runs for; see `current_process`.

    Its methods may be called from any thread and never wait: what they say has arrived when the process is closed.
    """

    def __init__(self, process: Process, outbox: Outbox) -> None:
        self.process = process
        self._outbox = outbox

    @property
    def env(self) -> dict[str, str]:
        """The environment that the submitter gave the process; it is not put into that of the worker."""
        return self.process.spec.env

    def log(self, message: str) -> None:
        """Add to the log of the process."""
        self._outbox.log(storable(message))

    def set_output(self, *values: Any) -> None:
        """Replace the output of the process; what the function returns replaces it again, unless it is nothing."""
        self._outbox.set_output(list(values))


_current: contextvars.ContextVar[RunningProcess] = contextvars.ContextVar("kolony_process")


def current_process() -> RunningProcess:
    """The process that the calling function runs for.

    Raises:
        LookupError: the caller does not run in a worker.
    """
    return _current.get()


@contextmanager
def running(process: RunningProcess) -> Iterator[None]:
    """Make a process the current one within the block."""
    token = _current.set(process)
    try:
        yield
    finally:
        _current.reset(token)


class ProcessLogHandler(logging.Handler):
    """Sends log records of a running function to the log of its process; others are not its business."""

    def emit(self, record: logging.LogRecord) -> None:
        """Send a record."""
        process = _current.get(None)
        if process is None:
            return
        try:
            process.log(self.format(record))
        except Exception:
            self.handleError(record)


def storable(text: str) -> str:
    """The text without what no server can store: NUL becomes a picture of it, a lone surrogate a question mark."""
    return text.replace("\0", "\N{SYMBOL FOR NULL}").encode(errors="replace").decode()
