"""Counters: what polls read instead of counting rows."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import NamedTuple

from kolony.model.base import ColonyName
from kolony_apiserver.store.repository import Repository

WORKFLOWS = 10
"""What the states of workflows are counted above: those of processes are below."""


class Count(NamedTuple):
    """How many processes or workflows of a colony are in a state."""

    colonyname: ColonyName
    state: int
    total: int


class ByState(NamedTuple):
    """What the counters of states say."""

    processes: list[Count]
    workflows: list[Count]


class Oldest(NamedTuple):
    """When the longest waiting process of a colony was submitted."""

    colonyname: ColonyName
    submissiontime: datetime | None


class Silence(NamedTuple):
    """When the longest silent executor of a colony and type was heard from."""

    colonyname: ColonyName
    executortype: str
    heard: datetime


class Counts(Repository):
    """Queries about counters."""

    async def fold(self, limit: int) -> int:
        """Add up at most this many changes; how many there were."""
        await self._lock()
        return int(await self.session.value("fold_counts", limit=limit))

    async def remove_classes(self, classids: Sequence[int]) -> None:
        """Drop the counts of classes that are gone."""
        await self._lock()
        await self.session.run("remove_class_counts", classids=list(classids))

    async def remove_colony(self, colony: str) -> None:
        """Drop the counts of a colony that is gone, and of its classes."""
        await self._lock()
        await self.session.run("remove_colony_changes", colony=colony)
        await self.session.run("remove_colony_counts", colony=colony)
        await self.session.run("remove_stray_class_counts")

    async def _lock(self) -> None:
        """Wait for the adding-up under way: the statements after this see what it did, and the next what they did."""
        await self.session.run("lock_counts")

    async def by_state(self) -> ByState:
        """How many processes and workflows of each colony are in each state."""
        counts = await self.session.all("count_states", lambda row: Count(**row))
        return ByState(
            processes=[each for each in counts if each.state < WORKFLOWS],
            workflows=[each._replace(state=each.state - WORKFLOWS) for each in counts if each.state >= WORKFLOWS],
        )

    async def oldest_waiting(self) -> list[Oldest]:
        """The longest waiting process of each colony, one probe each."""
        return await self.session.all("oldest_waiting", lambda row: Oldest(**row))

    async def silence(self) -> list[Silence]:
        """The longest silent executor of each colony and type."""
        return await self.session.all("executor_silence", lambda row: Silence(**row))
