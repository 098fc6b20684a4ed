"""Colonies: the groups that members belong to and work is submitted in."""

from __future__ import annotations

from kolony.model.base import Model


class Colony(Model):
    """A colony; ``colonyid`` is the identity of its owner, ``name`` is unique in the server."""

    colonyid: str = ""
    name: str = ""


class Statistics(Model):
    """Counts of one colony, or of the whole server."""

    colonies: int = 0
    executors: int = 0
    activeexecutors: int = 0
    unregisteredexecutors: int = 0
    waitingprocesses: int = 0
    runningprocesses: int = 0
    successfulprocesses: int = 0
    failedprocesses: int = 0
    cancelledprocesses: int = 0
    waitingworkflows: int = 0
    runningworkflows: int = 0
    successfulworkflows: int = 0
    failedworkflows: int = 0
    cancelledworkflows: int = 0
