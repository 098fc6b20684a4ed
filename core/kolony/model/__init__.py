"""Domain objects, a module per family: frozen, typed, without I/O."""

from kolony.model.attributes import Attribute, AttributeType
from kolony.model.base import NO_TIME, ColonyName, ExecutorName, Model, ProcessId
from kolony.model.colonies import Colony, Statistics
from kolony.model.crons import Cron, MissedPolicy
from kolony.model.executors import (
    Allocations,
    Capabilities,
    Executor,
    ExecutorState,
    Gpu,
    Hardware,
    Project,
    Software,
)
from kolony.model.functions import Function, FunctionArg
from kolony.model.functionspecs import Conditions, Filesystem, FunctionSpec, SnapshotMount, SyncDir
from kolony.model.generators import Generator
from kolony.model.locations import Location
from kolony.model.logs import Log
from kolony.model.processes import Process, ProcessState
from kolony.model.server import Backend, Cluster, Node, ServerInfo
from kolony.model.users import User
from kolony.model.workflows import Workflow, WorkflowSpec

__all__ = [
    "NO_TIME",
    "Allocations",
    "Attribute",
    "AttributeType",
    "Backend",
    "Capabilities",
    "Cluster",
    "Colony",
    "ColonyName",
    "Conditions",
    "Cron",
    "Executor",
    "ExecutorName",
    "ExecutorState",
    "Filesystem",
    "Function",
    "FunctionArg",
    "FunctionSpec",
    "Generator",
    "Gpu",
    "Hardware",
    "Location",
    "Log",
    "MissedPolicy",
    "Model",
    "Node",
    "Process",
    "ProcessId",
    "ProcessState",
    "Project",
    "ServerInfo",
    "SnapshotMount",
    "Software",
    "Statistics",
    "SyncDir",
    "User",
    "Workflow",
    "WorkflowSpec",
]
