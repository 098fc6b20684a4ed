"""Function specifications: descriptions of work."""

from __future__ import annotations

from typing import Generic

from msgspec import UNSET

from kolony.model.base import Int64, Model, Sparse, V
from kolony.model.executors import Gpu

MIN_PRIORITY, MAX_PRIORITY = -50_000, 50_000


class Conditions(Model):
    """Where a process may run, and what it asks for.

    ``cpu`` is text such as ``1000m``, ``mem`` and ``storage`` text such as ``10Gi``; ``walltime`` is seconds;
    ``dependencies`` are names of parent nodes in a workflow.
    """

    colonyname: str = ""
    executornames: list[str] | None = None
    executortype: str = ""
    locationname: Sparse[str] = UNSET
    dependencies: list[str] = []
    nodes: Int64 = 0
    cpu: str = ""
    processes: Int64 = 0
    processespernode: Int64 = 0
    mem: str = ""
    storage: str = ""
    gpu: Gpu = Gpu()
    walltime: Int64 = 0


class OnStart(Model):
    """Which side wins a conflict before the run."""

    keeplocal: bool = False


class OnClose(Model):
    """Which side wins a conflict after the run."""

    keeplocal: bool = False


class OnConflicts(Model):
    """Conflict rules of a synchronised directory."""

    onstart: OnStart = OnStart()
    onclose: OnClose = OnClose()


class SnapshotMount(Model):
    """A snapshot of files to mount, read only."""

    snapshotid: str = ""
    label: str = ""
    dir: str = ""
    keepfiles: bool = False
    keepsnapshot: bool = False


class SyncDir(Model):
    """A directory to synchronise with a file label before and after the run."""

    label: str = ""
    dir: str = ""
    keepfiles: bool = False
    onconflicts: OnConflicts = OnConflicts()


class Filesystem(Model):
    """Files that the process works on; for the executor, the server only keeps it."""

    mount: str = ""
    snapshots: list[SnapshotMount] | None = None
    dirs: list[SyncDir] | None = None


class FunctionSpec(Model, Generic[V]):
    """A function to run: its name and arguments, where it may run, and its limits.

    Times are seconds; 0 and -1 mean no limit. ``maxretries`` counts how often an execution that ran out of time
    is queued again, negative without end. A higher ``priority`` (-50,000 to 50,000) is worth a head start of a
    day per step.
    """

    nodename: str = ""
    funcname: str = ""
    args: list[V] = []
    kwargs: dict[str, V] = {}
    priority: Int64 = 0
    maxwaittime: Int64 = 0
    maxexectime: Int64 = 0
    maxretries: Int64 = 0
    conditions: Conditions = Conditions()
    label: str = ""
    fs: Filesystem = Filesystem()
    env: dict[str, str] = {}
    channels: Sparse[list[str]] = UNSET
