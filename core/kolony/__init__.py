"""ColonyOS in Python: a client, a worker and the protocol they speak.

The public names below are loaded when they are first used, so that a program that wants only the model or the
protocol does not load the client.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from kolony.crypto import PrivateKey
    from kolony.errors import KolonyError
    from kolony.model import (
        Conditions,
        Cron,
        FunctionSpec,
        Generator,
        Process,
        ProcessState,
        Workflow,
        WorkflowSpec,
    )
    from kolony.sdk.client import AsyncClient, Client
    from kolony.sdk.graphs import Graph
    from kolony.sdk.settings import Settings
    from kolony.sdk.worker import Worker, current_process

    __version__: str

__all__ = [
    "AsyncClient",
    "Client",
    "Conditions",
    "Cron",
    "FunctionSpec",
    "Generator",
    "Graph",
    "KolonyError",
    "PrivateKey",
    "Process",
    "ProcessState",
    "Settings",
    "Worker",
    "Workflow",
    "WorkflowSpec",
    "__version__",
    "current_process",
]

_HOMES = {
    "AsyncClient": "kolony.sdk.client",
    "Client": "kolony.sdk.client",
    "Conditions": "kolony.model",
    "Cron": "kolony.model",
    "FunctionSpec": "kolony.model",
    "Generator": "kolony.model",
    "Graph": "kolony.sdk.graphs",
    "KolonyError": "kolony.errors",
    "PrivateKey": "kolony.crypto",
    "Process": "kolony.model",
    "ProcessState": "kolony.model",
    "Settings": "kolony.sdk.settings",
    "Worker": "kolony.sdk.worker",
    "Workflow": "kolony.model",
    "WorkflowSpec": "kolony.model",
    "current_process": "kolony.sdk.worker",
}


def __getattr__(name: str) -> Any:
    if name == "__version__":
        return import_module("importlib.metadata").version("kolony")
    if name not in _HOMES:
        raise AttributeError(f"module 'kolony' has no attribute {name!r}")
    return getattr(import_module(_HOMES[name]), name)


def __dir__() -> list[str]:
    return sorted([*globals(), *__all__])
