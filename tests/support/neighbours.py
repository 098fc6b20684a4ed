"""Servers on one database, as far as they have a room, subscriptions and signals; their ticks are the test's."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

from rooms import Room, open_room
from storage import Storage, open_storage, until

from kolony_apiserver.cluster.changes import Changes
from kolony_apiserver.cluster.signals import Signals
from kolony_apiserver.events.hub import Hub
from kolony_apiserver.metrics import Metrics
from kolony_apiserver.store.signals import SignalWires


@dataclass
class Neighbour:
    """One server."""

    room: Room
    hub: Hub
    signals: Signals
    metrics: Metrics

    @property
    def storage(self) -> Storage:
        return self.room.storage

    def counted(self, name: str, **labels: str) -> int:
        """The value of a counter."""
        value = self.metrics.registry.get_sample_value(name, labels)
        assert value is not None
        return int(value)

    def sent(self) -> int:
        return self.counted("colonies_signals_total", kind="sent")

    def reconnects(self) -> int:
        return self.counted("colonies_signal_reconnects_total")

    async def hears(self) -> None:
        """Wait until this server knows what others want, and need not guess."""
        await until(lambda: not self.signals._is_guessing())

    async def knows_of_seekers(self) -> None:
        """Wait until this server knows that others seek processes."""
        await until(lambda: any(peer.wants.sought for peer in self.signals._peers.values()))

    async def knows_of_followers(self, count: int = 1) -> None:
        """Wait until this server knows so many states that others follow."""
        await until(lambda: any(len(peer.wants.followed or ()) >= count for peer in self.signals._peers.values()))

    async def is_settled(self) -> None:
        """Wait until this server has nothing to catch up with."""
        pulse = self.signals._last_pulse
        await until(lambda: self.signals._last_pulse > pulse + 1)

    async def dies(self) -> None:
        """Say and hear nothing more, as if the process were killed."""
        await self.signals.stop()
        if self.signals._sender is not None:
            self.signals._sender.cancel()
            self.signals._sender = None


@asynccontextmanager
async def open_neighbour(storage: Storage, name: str, dsn: str = "") -> AsyncIterator[Neighbour]:
    """A server on the database of a storage, or on another way to it; it shares the clock."""
    async with open_storage(dsn or storage.dsn, name=name) as own:
        own.clock = storage.clock
        async with open_room(own) as room:
            metrics = Metrics()
            hub = Hub()
            changes = Changes(own.database, hub)
            signals = Signals(SignalWires(own.database), room.room, changes, own.clock, metrics)
            room.room.elsewhere = hub.elsewhere = signals
            signals.start()
            try:
                yield Neighbour(room, hub, signals, metrics)
            finally:
                await signals.stop()
                async with asyncio.timeout(5):
                    await signals.close()
