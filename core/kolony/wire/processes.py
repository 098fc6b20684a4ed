"""Messages about processes."""

from __future__ import annotations

from typing import Generic

from kolony.model.base import Int64, V
from kolony.model.functionspecs import FunctionSpec
from kolony.model.processes import Process
from kolony.wire.message import Message

MAX_COUNT = 100
"""Most processes of one list."""

MAX_BULK = 10_000
"""Most processes of one bulk submit."""


class SubmitFunctionSpec(Message[Process[V]], Generic[V], tag="submitfuncspecmsg"):
    """Submit one function specification (approved member).

    A submit that repeats the caller's ``idempotencykey`` in a colony answers with the process of the first.
    """

    failure = "Failed to submit process spec"
    malformed = "Failed to submit process, invalid JSON"
    spec: FunctionSpec[V] | None = None
    idempotencykey: str = ""


class SubmitFunctionSpecs(Message[list[Process[V]]], Generic[V], tag="kolonysubmitfuncspecsmsg"):
    """Submit many function specifications of one colony at once, all or none (approved member)."""

    failure = "Failed to submit process specs"
    colonyname: str = ""
    specs: list[FunctionSpec[V]] = []
    idempotencykey: str = ""


class GetProcess(Message[Process[V]], Generic[V], tag="getprocessmsg"):
    """Look up a process (approved member)."""

    failure = "Failed to get process"
    processid: str = ""


class GetProcesses(Message[list[Process[V]]], Generic[V], tag="getprocessesmsg"):
    """List processes in one state (approved member).

    At most one filter counts: ``executortype``, else ``initiator``, else ``label``.
    """

    failure = "Failed to get processes"
    colonyname: str = ""
    count: Int64 = 0
    state: Int64 = 0
    executortype: str = ""
    label: str = ""
    initiator: str = ""


class GetProcessHistory(Message[list[Process[V]]], Generic[V], tag="getprocesshistmsg"):
    """Processes in one state submitted within the last ``seconds`` (approved member)."""

    failure = "Failed to get process history"
    malformed = "Failed to get process hist, invalid JSON"
    colonyname: str = ""
    executorid: str = ""
    seconds: Int64 = 0
    state: Int64 = 0


class CloseSuccessful(Message[None], Generic[V], tag="closesuccessfulmsg"):
    """Finish a process (the executor that runs it).

    ``out`` replaces the stored output unless it is empty. With an ``attempt`` the close counts only for that
    assignment.
    """

    failure = "Failed to close process as successful"
    malformed = "Failed to close successful, invalid JSON"
    processid: str = ""
    out: list[V] | None = None
    attempt: Int64 | None = None


class CloseFailed(Message[None], tag="closefailedmsg"):
    """Fail a process (the executor that runs it); it is not tried again."""

    failure = "Failed to close process as failed"
    malformed = "Failed to close failed, invalid JSON"
    processid: str = ""
    errors: list[str] | None = None
    attempt: Int64 | None = None


class SetOutput(Message[None], Generic[V], tag="setoutputmsg"):
    """Replace the output of a running process (the executor that runs it, in this ``attempt`` if it names one)."""

    failure = "Failed to set output"
    processid: str = ""
    out: list[V] | None = None
    attempt: Int64 | None = None


class CancelProcess(Message[None], tag="cancelprocessmsg"):
    """Cancel a waiting or running process (approved member)."""

    failure = "Failed to cancel process"
    processid: str = ""


class RemoveProcess(Message[None], tag="removeprocessmsg"):
    """Delete a process that does not run (approved member)."""

    failure = "Failed to remove process"
    processid: str = ""
    all: bool = False


class RemoveAllProcesses(Message[None], tag="removeallprocessesmsg"):
    """Delete the processes in one state, or all with -1 (colony owner)."""

    failure = "Failed to remove all processes"
    colonyname: str = ""
    state: Int64 = 0
