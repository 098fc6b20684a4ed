"""Nonces that were used: a message that proves its freshness counts once."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from datetime import datetime

from kolony_apiserver.store.batch import Batch
from kolony_apiserver.store.database import Database


class Nonces:
    """Remembers nonces, many at once.

    The commit does not wait for the disk: what the message does is committed later on the same log, so whenever that
    is durable the nonce is as well.
    """

    def __init__(self, database: Database) -> None:
        self._lane = database.lane(durable=False)
        self._batch: Batch[tuple[str, datetime], bool] = Batch(self._use)

    async def use(self, identity: str, nonce: str, now: datetime) -> bool:
        """Remember a nonce of a caller; false when it was used before."""
        return await self._batch.add((digest(identity, nonce), now))

    async def close(self) -> None:
        """Finish what is under way and close the connection."""
        await self._batch.finish()
        await self._lane.close()

    async def _use(self, used: Sequence[tuple[str, datetime]]) -> list[bool]:
        digests = [each for each, _ in used]
        now = max(now for _, now in used)
        rows = await self._lane.all("use_nonces", nonces=",".join(digests), now=now)
        seen = {row["nonce"] for row in rows}
        results = []
        for each in digests:
            results.append(each not in seen)
            # Where a nonce stands twice in one batch, one of the calls is a replay.
            seen.add(each)
        return results


def digest(identity: str, nonce: str) -> str:
    """What is stored of a caller's nonce: always as short, and in no need of quoting."""
    return hashlib.sha3_256(f"{identity}:{nonce}".encode()).hexdigest()[:32]
