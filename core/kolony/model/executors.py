"""Executors: the members that pull work and run it."""

from __future__ import annotations

from datetime import datetime
from enum import IntEnum

from msgspec import UNSET

from kolony.model.base import NO_TIME, Int64, Model, Sparse


class ExecutorState(IntEnum):
    """Where an executor stands with its colony; only approved ones are given work."""

    PENDING = 0
    APPROVED = 1
    REJECTED = 2
    UNREGISTERED = 3


class Gpu(Model):
    """GPUs of a machine, or asked for by a function specification."""

    name: str = ""
    mem: str = ""
    count: Int64 = 0
    nodecount: Int64 = 0


class Hardware(Model):
    """One kind of machine that an executor has; the texts are informal and do not influence assignment."""

    model: str = ""
    nodes: Int64 = 0
    cpu: str = ""
    cores: Int64 = 0
    mem: str = ""
    storage: str = ""
    gpu: Gpu = Gpu()
    platform: str = ""
    architecture: str = ""
    network: list[str] | None = None


class Software(Model):
    """One piece of software that an executor has."""

    name: str = ""
    type: str = ""
    version: str = ""


class Capabilities(Model):
    """What an executor says it has."""

    hardware: list[Hardware] | None = None
    software: list[Software] | None = None


class Project(Model):
    """Use of an allocation by one project, in the units of the site."""

    allocatedcpu: Int64 = 0
    usedcpu: Int64 = 0
    allocatedgpu: Int64 = 0
    usedgpu: Int64 = 0
    allocatedstorage: Int64 = 0
    usedstorage: Int64 = 0


class Allocations(Model):
    """Allocations of an executor, by project name."""

    projects: dict[str, Project] | None = None


class Executor(Model):
    """An executor of a colony; ``executorname`` is unique in the colony, ``executorid`` is its identity."""

    executorid: str = ""
    executortype: str = ""
    executorname: str = ""
    colonyname: str = ""
    state: Int64 = ExecutorState.PENDING
    requirefuncreg: bool = False
    commissiontime: datetime = NO_TIME
    lastheardfromtime: datetime = NO_TIME
    locationname: Sparse[str] = UNSET
    capabilities: Capabilities = Capabilities()
    allocations: Allocations = Allocations()
    blueprintid: Sparse[str] = UNSET
    blueprintgen: Sparse[Int64] = UNSET
