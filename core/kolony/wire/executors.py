"""Messages about executors."""

from __future__ import annotations

from kolony.model.executors import Allocations, Capabilities, Executor
from kolony.wire.message import Message


class AddExecutor(Message[Executor], tag="addexecutormsg"):
    """Add an executor, which then waits for approval (colony owner)."""

    failure = "Failed to add executor"
    executor: Executor | None = None


class ApproveExecutor(Message[None], tag="approveexecutormsg"):
    """Let an executor take work (colony owner)."""

    failure = "Failed to approve executor"
    colonyname: str = ""
    executorname: str = ""


class RejectExecutor(Message[None], tag="rejectexecutormsg"):
    """Refuse an executor (colony owner)."""

    failure = "Failed to reject executor"
    colonyname: str = ""
    executorname: str = ""


class RemoveExecutor(Message[None], tag="removeexecutormsg"):
    """Unregister an executor; what it runs returns to the queue (colony owner)."""

    failure = "Failed to remove executor"
    colonyname: str = ""
    executorname: str = ""


class GetExecutors(Message[list[Executor]], tag="getexecutorsmsg"):
    """List the executors of a colony in all states (member)."""

    failure = "Failed to get executors"
    colonyname: str = ""


class GetExecutor(Message[Executor], tag="getexecutormsg"):
    """Look up an executor by name (approved member)."""

    failure = "Failed to get executor"
    colonyname: str = ""
    executorname: str = ""


class GetExecutorById(Message[Executor], tag="getexecutorbyidmsg"):
    """Look up an executor by identity (approved member of its colony)."""

    failure = "Failed to get executor by ID"
    colonyname: str = ""
    executorid: str = ""


class ReportAllocation(Message[None], tag="reportallocationmsg"):
    """Replace the allocations of an executor (the executor itself)."""

    failure = "Failed to report allocation"
    colonyname: str = ""
    executorname: str = ""
    allocations: Allocations = Allocations()


class UpdateExecutor(Message[None], tag="updateexecutormsg"):
    """Replace the capabilities of an executor (the executor itself)."""

    failure = "Failed to update executor"
    colonyname: str = ""
    executorname: str = ""
    capabilities: Capabilities = Capabilities()


class ChangeExecutorId(Message["ChangeExecutorId"], tag="changeexecutoridmsg"):
    """Give an executor a new key (the executor itself); takes effect with the next request."""

    failure = "Failed to change executor Id"
    colonyname: str = ""
    executorid: str = ""
