"""The process that a function runs for: what the function can ask about it, and say about it."""

from __future__ import annotations

import contextvars
import logging
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Unpack

from kolony.errors import BadRequest
from kolony.model.functionspecs import FunctionSpec
from kolony.model.processes import Process
from kolony.sdk.specs import SpecOptions, named, spec_of, with_options
from kolony.sdk.worker.outbox import Outbox


@dataclass(frozen=True, kw_only=True, slots=True)
class Child:
    """A process to be added below the one that runs; see `RunningProcess.add_child`."""

    spec: FunctionSpec
    childprocessid: str
    insert: bool


class RunningProcess:
    """The process that the calling function runs for; see `current_process`.

    Its methods may be called from any thread and never wait: what they say has arrived when the process is closed.
    """

    def __init__(self, process: Process, outbox: Outbox) -> None:
        self.process = process
        self.added: list[Child] = []
        """The children that the function added, in its order."""
        self._outbox = outbox

    @property
    def env(self) -> dict[str, str]:
        """The environment that the submitter gave the process; it is not put into that of the worker."""
        return self.process.spec.env

    @property
    def input(self) -> list[Any]:
        """In a workflow, the outputs of the parents, one after the other."""
        return self.process.input

    @property
    def children(self) -> list[str]:
        """In a workflow, the ids of the processes that wait for this one; those that were added here are not there."""
        return self.process.children

    def log(self, message: str) -> None:
        """Add to the log of the process."""
        self._outbox.log(storable(message))

    def set_output(self, *values: Any) -> None:
        """Replace the output of the process; what the function returns replaces it again, unless it is nothing."""
        self._outbox.set_output(list(values))

    def add_child(
        self,
        function: FunctionSpec | str,
        *args: Any,
        name: str = "",
        childprocessid: str = "",
        insert: bool = False,
        **options: Unpack[SpecOptions],
    ) -> None:
        """Let the workflow grow: add a process that waits for this one, as `Workflows.add_child` does.

        It runs on executors of the type that this process asked for, unless another is named; without a name it is
        named after its function, with a number. Children are added when the function has returned, just before the
        process is closed, so a run that fails or is given up adds none.

        Raises:
            BadRequest: the process is not part of a workflow.
        """
        if not self.process.processgraphid:
            raise BadRequest("a process that is not part of a workflow has no children")
        spec = spec_of(function, *args, **options)
        if not spec.conditions.executortype:
            spec = with_options(spec, executortype=self.process.spec.conditions.executortype)
        spec = named(spec, name or spec.nodename or f"{spec.funcname}-{len(self.added) + 1}")
        self.added.append(Child(spec=spec, childprocessid=childprocessid, insert=insert))


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
