"""Two thousand executors that come at once, and come back at once when they were all cut off."""

from __future__ import annotations

import asyncio
import contextlib
import secrets
import time
from collections.abc import AsyncIterator

from chaos.calls import Line
from chaos.colony import HERD, NAME, Colony

from kolony.crypto import PrivateKey
from kolony.wire.assignments import AssignProcess
from kolony.wire.envelope import seal_request
from kolony.wire.message import Freshness

SIZE = 2_000
_POLL = 30


class Herd:
    """Executors for whom there is no work, each on a connection of its own."""

    def __init__(self, colony: Colony) -> None:
        self._colony = colony
        self.sent = 0
        """How many have sent their call since they came last."""

    @contextlib.asynccontextmanager
    async def present(self) -> AsyncIterator[None]:
        """All of them come at once, and are cut off at the end."""
        self.sent = 0
        keys = self._colony.executor_keys[HERD]
        members = [asyncio.create_task(self._member(number, keys[number % len(keys)])) for number in range(SIZE)]
        try:
            yield
        finally:
            for member in members:
                member.cancel()
            await asyncio.gather(*members, return_exceptions=True)

    async def _member(self, number: int, key: PrivateKey) -> None:
        endpoints = self._colony.endpoints
        first = True
        while True:
            line = Line(endpoints[number % len(endpoints)])
            try:
                await line.open()
                fresh = Freshness(time=time.time_ns(), nonce=secrets.token_hex(16))
                call = line.post(seal_request(AssignProcess(colonyname=NAME, timeout=_POLL, fresh=fresh), key))
                if first:
                    self.sent += 1
                    first = False
                await call
            except OSError:
                number += 1
            finally:
                line.close()
            await asyncio.sleep(self._colony.chance.uniform(0.05, 0.3))
