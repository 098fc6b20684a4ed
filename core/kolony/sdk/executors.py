"""Executors."""

from __future__ import annotations

from msgspec.structs import replace

from kolony.model.executors import Allocations, Capabilities, Executor
from kolony.sdk.api import Api, M, method
from kolony.sdk.settings import Key
from kolony.wire.executors import (
    AddExecutor,
    ApproveExecutor,
    ChangeExecutorId,
    GetExecutor,
    GetExecutorById,
    GetExecutors,
    RejectExecutor,
    RemoveExecutor,
    ReportAllocation,
    UpdateExecutor,
)


class Executors(Api[M]):
    """Executors of a colony; membership is the colony owner's business."""

    @method
    async def add(self, executor: Executor, *, key: Key | None = None) -> Executor:
        """Add an executor, which then waits for approval (colony owner)."""
        executor = replace(executor, colonyname=self._colony(executor.colonyname))
        return await self._call(AddExecutor(executor=executor), key or self._keys.colony, once=True)

    @method
    async def approve(self, name: str, *, colony: str = "", key: Key | None = None) -> None:
        """Let an executor take work (colony owner)."""
        message = ApproveExecutor(colonyname=self._colony(colony), executorname=name)
        await self._call(message, key or self._keys.colony)

    @method
    async def reject(self, name: str, *, colony: str = "", key: Key | None = None) -> None:
        """Refuse an executor (colony owner)."""
        message = RejectExecutor(colonyname=self._colony(colony), executorname=name)
        await self._call(message, key or self._keys.colony)

    @method
    async def get(self, name: str, *, colony: str = "", key: Key | None = None) -> Executor:
        """Look up an executor by name (member)."""
        return await self._call(GetExecutor(colonyname=self._colony(colony), executorname=name), key)

    @method
    async def get_by_id(self, identity: str, *, colony: str = "", key: Key | None = None) -> Executor:
        """Look up an executor by identity (member)."""
        return await self._call(GetExecutorById(colonyname=self._colony(colony), executorid=identity), key)

    @method
    async def find(self, *, colony: str = "", key: Key | None = None) -> list[Executor]:
        """All executors of a colony, in every state (member)."""
        return await self._call(GetExecutors(colonyname=self._colony(colony)), key)

    @method
    async def update(self, name: str, capabilities: Capabilities, *, colony: str = "", key: Key | None = None) -> None:
        """Replace what an executor says it has (the executor itself)."""
        message = UpdateExecutor(colonyname=self._colony(colony), executorname=name, capabilities=capabilities)
        await self._call(message, key)

    @method
    async def report(self, name: str, allocations: Allocations, *, colony: str = "", key: Key | None = None) -> None:
        """Replace the allocations of an executor (the executor itself)."""
        message = ReportAllocation(colonyname=self._colony(colony), executorname=name, allocations=allocations)
        await self._call(message, key)

    @method
    async def change_id(self, identity: str, *, colony: str = "", key: Key | None = None) -> None:
        """Give the calling executor another key, at once; processes it runs stay with the old one."""
        await self._call(ChangeExecutorId(colonyname=self._colony(colony), executorid=identity), key, once=True)

    @method
    async def remove(self, name: str, *, colony: str = "", key: Key | None = None) -> None:
        """Unregister an executor; what it runs returns to the queue (colony owner)."""
        message = RemoveExecutor(colonyname=self._colony(colony), executorname=name)
        await self._call(message, key or self._keys.colony)
