"""What time does to processes, logs, and things that are remembered for a while; in bounded steps, each by index."""

from __future__ import annotations

from datetime import datetime

import msgspec

from kolony.model.processes import EXEC_TIMEOUT, WAIT_TIMEOUT
from kolony_apiserver.store.processes import Change
from kolony_apiserver.store.repository import Repository

_WAIT_ERRORS = msgspec.json.encode([WAIT_TIMEOUT]).decode()
_EXEC_ERRORS = msgspec.json.encode([EXEC_TIMEOUT]).decode()


class Deadlines(Repository):
    """Queries about limits and retention; ``limit`` bounds how many rows one call touches."""

    async def expire_waiting(self, *, now: datetime, limit: int) -> list[Change]:
        """Fail processes whose waiting time is over."""
        return await self.session.all(
            "expire_waiting", lambda row: Change(**row), now=now, limit=limit, errors=_WAIT_ERRORS
        )

    async def expire_running(self, *, now: datetime, limit: int) -> list[Change]:
        """Queue again or fail processes whose execution time is over."""
        return await self.session.all(
            "expire_running", lambda row: Change(**row), now=now, limit=limit, errors=_EXEC_ERRORS
        )

    async def remove_old_processes(self, colony: str, *, before: datetime, limit: int) -> int:
        """Delete successful processes submitted before a time; how many."""
        return int(await self.session.value("remove_old_processes", colony=colony, before=before, limit=limit))

    async def remove_old_logs(self, colony: str, *, before: int, limit: int) -> int:
        """Delete log entries written before a time in Unix nanoseconds; how many."""
        return await self.session.run("remove_old_logs", colony=colony, before=before, limit=limit)

    async def remove_old_submissions(self, *, before: datetime, limit: int) -> int:
        """Forget idempotency keys; how many."""
        return await self.session.run("remove_old_submissions", before=before, limit=limit)

    async def remove_old_nonces(self, *, before: datetime, limit: int) -> int:
        """Forget nonces; how many."""
        return await self.session.run("remove_old_nonces", before=before, limit=limit)
