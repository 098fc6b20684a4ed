"""Nonces that were used: a message that proves its freshness counts once."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from datetime import datetime

from kolony_apiserver.store.batch import Batch
from kolony_apiserver.store.database import Database, records


class Nonces:
    """Remembers nonces, many at once.

    The commit does not wait for the disk: what the message does is committed later on the same log, so whenever that
    is durable the nonce is as well.
    """

    def __init__(self, database: Database) -> None:
        self._lane = database.lane(durable=False)
        self._batch: Batch[tuple[str, datetime], bool] = Batch(self._use)

    async def use(self, nonce: str, now: datetime) -> bool:
        """Remember a nonce; false when it was used before."""
        return await self._batch.add((nonce, now))

    async def close(self) -> None:
        """Finish what is under way and close the connection."""
        await self._batch.finish()
        await self._lane.close()

    async def _use(self, used: Sequence[tuple[str, datetime]]) -> list[bool]:
        now = max(now for _, now in used)
        rows = await self._lane.all("use_nonces", nonces=records([{"nonce": nonce} for nonce, _ in used]), now=now)
        # The same nonce may stand twice in one batch: then one of the calls is a replay.
        new = Counter(row["nonce"] for row in rows)
        results = []
        for nonce, _ in used:
            results.append(new[nonce] > 0)
            new[nonce] -= 1
        return results
