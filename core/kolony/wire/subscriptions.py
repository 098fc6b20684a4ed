"""Messages of the WebSocket: subscriptions to processes that reach a state."""

from __future__ import annotations

from typing import Generic

from kolony.model.base import Int64, V
from kolony.model.processes import Process
from kolony.wire.message import Message

ONE, MANY = "subscribeprocessmsg", "subscribeprocessesmsg"
"""Payload types: of one process, which is also that of every event; and of all processes for an executor type."""


class SubscribeProcess(Message[Process[V]], Generic[V], tag=ONE):
    """Be told when one process reaches a state, for ``timeout`` seconds (member of its colony)."""

    failure = "Failed to subscribe to process"
    colonyname: str = ""
    processid: str = ""
    executortype: str = ""
    state: Int64 = 0
    timeout: Int64 = 0


class SubscribeProcesses(Message[Process[V]], Generic[V], tag=MANY):
    """Be told when any process for an executor type reaches a state, for ``timeout`` seconds (executor)."""

    failure = "Failed to subscribe to processes"
    colonyname: str = ""
    executortype: str = ""
    state: Int64 = 0
    timeout: Int64 = 0
