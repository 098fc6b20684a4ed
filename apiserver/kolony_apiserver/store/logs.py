"""Logs in the database."""

from __future__ import annotations

from kolony.model.logs import Log
from kolony_apiserver.store.database import Row
from kolony_apiserver.store.repository import Repository


class Logs(Repository):
    """Queries about logs."""

    async def add(self, processid: str, message: str, *, executorid: str, timestamp: int) -> bool:
        """Store an entry of a process; false when this executor does not run it."""
        added = await self.session.value(
            "add_process_log", processid=processid, message=message, executorid=executorid, timestamp=timestamp
        )
        return added is not None

    async def add_executor(self, colony: str, executorname: str, message: str, *, timestamp: int) -> None:
        """Store an entry of an executor about itself."""
        await self.session.run(
            "add_executor_log", colony=colony, executorname=executorname, message=message, timestamp=timestamp
        )

    async def of_process(self, processid: str, *, since: int, count: int, latest: bool) -> list[Log]:
        """Entries of a process, oldest first."""
        if latest:
            found = await self.session.all("find_latest_process_logs", _log, processid=processid, count=count)
            return found[::-1]
        return await self.session.all("find_process_logs", _log, processid=processid, since=since, count=count)

    async def of_executor(self, colony: str, executorname: str, *, since: int, count: int, latest: bool) -> list[Log]:
        """Entries of an executor, oldest first."""
        if latest:
            found = await self.session.all(
                "find_latest_executor_logs", _log, colony=colony, executorname=executorname, count=count
            )
            return found[::-1]
        return await self.session.all(
            "find_executor_logs", _log, colony=colony, executorname=executorname, since=since, count=count
        )

    async def search(self, colony: str, pattern: str, *, since: int, count: int) -> list[Log]:
        """Entries of a colony that match a pattern of ``LIKE``, oldest first."""
        return await self.session.all("search_logs", _log, colony=colony, pattern=pattern, since=since, count=count)


def _log(row: Row) -> Log:
    return Log(**row)
