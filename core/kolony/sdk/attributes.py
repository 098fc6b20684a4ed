"""Attributes of processes."""

from __future__ import annotations

from kolony.model.attributes import Attribute
from kolony.sdk.api import Api, M, method
from kolony.sdk.settings import Key
from kolony.wire.attributes import AddAttribute, GetAttribute


class Attributes(Api[M]):
    """Attributes of processes."""

    @method
    async def add(self, attribute: Attribute, *, key: Key | None = None) -> Attribute:
        """Attach an attribute to the running process that it names (the executor that runs it)."""
        return await self._call(AddAttribute(attribute=attribute), key, once=True)

    @method
    async def get(self, attributeid: str, *, key: Key | None = None) -> Attribute:
        """Look up an attribute (member)."""
        return await self._call(GetAttribute(attributeid=attributeid), key)
