"""Attributes in the database."""

from __future__ import annotations

from kolony.model.attributes import Attribute
from kolony_apiserver.store.database import Row
from kolony_apiserver.store.repository import Repository


class Attributes(Repository):
    """Queries about attributes."""

    async def add(self, attribute: Attribute, *, executorid: str) -> str | None:
        """Attach an attribute; the workflow of the process, or `None` when this executor does not run it."""
        workflowid: str | None = await self.session.value(
            "add_attribute",
            attributeid=attribute.attributeid,
            targetid=attribute.targetid,
            attributetype=attribute.attributetype,
            key=attribute.key,
            value=attribute.value,
            executorid=executorid,
        )
        return workflowid

    async def get(self, attributeid: str) -> Attribute | None:
        """One attribute, which names its colony."""
        return await self.session.one("get_attribute", _attribute, attributeid=attributeid)


def _attribute(row: Row) -> Attribute:
    return Attribute(
        attributeid=row["attributeid"],
        targetid=row["targetid"],
        targetcolonyname=row["colonyname"],
        targetprocessgraphid=row["workflowid"],
        state=row["state"],
        attributetype=row["attributetype"],
        key=row["key"],
        value=row["value"],
    )
