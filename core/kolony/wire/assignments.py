"""Messages by which executors get work, and owners hold it back."""

from __future__ import annotations

from typing import Generic

from kolony.model.base import Int64, Model, V
from kolony.model.processes import Process
from kolony.wire.message import Message

PAUSE_STATUS_REPLY = "pausestatusreplymsg"
"""Payload type of the answer to `GetPauseStatus`, the only one that is not its question's."""


class AssignProcess(Message[Process[V]], Generic[V], tag="assignprocessmsg"):
    """Take the next process that the caller may run (approved executor).

    Waits up to ``timeout`` seconds when it is positive, not at all when it is negative. ``availablecpu`` and
    ``availablemem`` bound what the process may ask for; empty text means no bound.
    """

    failure = "Failed to assign process"
    mismatched = "Failed to assign process, msg.msgType does not match payloadType"
    colonyname: str = ""
    timeout: Int64 = 0
    availablecpu: str = ""
    availablemem: str = ""


class PauseAssignments(Message[None], tag="pauseassignmentsmsg"):
    """Hold back all processes of a colony (colony owner)."""

    failure = "Failed to pause assignments"
    colonyname: str = ""


class ResumeAssignments(Message[None], tag="resumeassignmentsmsg"):
    """Hand out processes of a colony again (colony owner)."""

    failure = "Failed to resume assignments"
    colonyname: str = ""


class PauseStatus(Model, tag_field="msgtype", tag=PAUSE_STATUS_REPLY):
    """Whether a colony is paused."""

    colonyname: str = ""
    ispaused: bool = False


class GetPauseStatus(Message[PauseStatus], tag="getpausestatusmsg"):
    """Whether a colony is paused (member)."""

    failure = "Failed to get pause status"
    colonyname: str = ""
