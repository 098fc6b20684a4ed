"""Generators."""

from __future__ import annotations

import secrets

from msgspec.structs import replace

from kolony.model.generators import Generator
from kolony.sdk.api import Api, M, method
from kolony.sdk.crons import ALL, Workflow, workflow_text
from kolony.sdk.settings import Key
from kolony.wire.generators import (
    AddGenerator,
    GetGenerator,
    GetGenerators,
    PackGenerator,
    RemoveGenerator,
    ResolveGenerator,
)


class Generators(Api[M]):
    """Generators of a colony. Any member may do anything with any of them."""

    @method
    async def add(self, generator: Generator, workflow: Workflow | None = None, *, key: Key | None = None) -> Generator:
        """Add a generator that starts workflows (member). The workflow may also stand in the generator as text."""
        colony = self._colony(generator.colonyname)
        text = generator.workflowspec if workflow is None else workflow_text(workflow, colony)
        message = AddGenerator(generator=replace(generator, colonyname=colony, workflowspec=text))
        return await self._call(message, key, once=True)

    @method
    async def get(self, generatorid: str, *, key: Key | None = None) -> Generator:
        """Look up a generator, with the number of arguments that wait (member)."""
        return await self._call(GetGenerator(generatorid=generatorid), key)

    @method
    async def resolve(self, name: str, *, colony: str = "", key: Key | None = None) -> Generator:
        """Look up a generator by name (member)."""
        return await self._call(ResolveGenerator(colonyname=self._colony(colony), generatorname=name), key)

    @method
    async def find(self, *, count: int = ALL, colony: str = "", key: Key | None = None) -> list[Generator]:
        """The generators of a colony, the oldest first (member)."""
        return await self._call(GetGenerators(colonyname=self._colony(colony), count=count), key)

    @method
    async def pack(self, generatorid: str, arg: str, *, idempotencykey: str = "", key: Key | None = None) -> None:
        """Add an argument; it ends in exactly one workflow, however often the connection breaks (member)."""
        message = PackGenerator(
            generatorid=generatorid, arg=arg, idempotencykey=idempotencykey or secrets.token_hex(16)
        )
        await self._call(message, key)

    @method
    async def remove(self, generatorid: str, *, key: Key | None = None) -> None:
        """Remove a generator and what waits in it; workflows that it started go on (member)."""
        await self._call(RemoveGenerator(generatorid=generatorid), key, once=True)
