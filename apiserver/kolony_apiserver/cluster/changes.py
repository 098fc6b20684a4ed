"""What subscribers of this server are told of what changed on others."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from datetime import datetime

from kolony_apiserver.events.hub import BACKLOG, Event, Hub, Topic, as_it_was, came_into
from kolony_apiserver.store.database import Database
from kolony_apiserver.store.unit import Store

_AT_ONCE = 500


class Changes:
    """Loads the processes that changed, and delivers them."""

    def __init__(self, database: Database, hub: Hub) -> None:
        self._database = database
        self.hub = hub

    async def deliver(self, events: Iterable[Event]) -> None:
        """Tell subscribers of these events of other servers, in their order."""
        wanted = [each for each in events if self.hub.wanted(each)]
        for start in range(0, len(wanted), _AT_ONCE):
            some = wanted[start : start + _AT_ONCE]
            by_colony: defaultdict[str, set[str]] = defaultdict(set)
            for each in some:
                by_colony[each.colonyname].add(each.processid)
            async with self._database.session() as session:
                processes = Store(session).processes
                loaded = {
                    process.processid: process
                    for colony, processids in by_colony.items()
                    for process in await processes.get_many(colony, list(processids))
                }
            for each in some:
                if (process := loaded.get(each.processid)) is not None:
                    self.hub.deliver(as_it_was(process, each.state))

    async def catch_up(self, since: datetime) -> None:
        """Tell subscribers what they may have missed since a time."""
        by_colony: defaultdict[str, dict[str, list[Topic]]] = defaultdict(lambda: defaultdict(list))
        for topic in self.hub.topics():
            if topic.processid:
                by_colony[topic.colonyname][topic.processid].append(topic)
            else:
                await self._catch_up_with_type(topic, since)
        for colony, topics in by_colony.items():
            ids = list(topics)
            for start in range(0, len(ids), _AT_ONCE):
                await self._catch_up_with(colony, ids[start : start + _AT_ONCE], topics, since)

    async def _catch_up_with(
        self, colony: str, processids: list[str], topics: dict[str, list[Topic]], since: datetime
    ) -> None:
        async with self._database.session() as session:
            processes = await Store(session).processes.get_many(colony, processids)
        for process in processes:
            for topic in topics[process.processid]:
                came = came_into(process, topic.state)
                if process.state == topic.state or (came is not None and came >= since):
                    self.hub.deliver(as_it_was(process, topic.state))

    async def _catch_up_with_type(self, topic: Topic, since: datetime) -> None:
        async with self._database.session() as session:
            found = await Store(session).processes.changed_since(
                topic.colonyname, executortype=topic.executortype, state=topic.state, since=since, count=BACKLOG
            )
        came = [(time, process) for process in found if (time := came_into(process, topic.state)) is not None]
        for time, process in sorted(came, key=lambda each: each[0]):
            self.hub.deliver(as_it_was(process, topic.state), since=time)
