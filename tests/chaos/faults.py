"""The faults: each begins, lasts as long as it takes to matter, and is over when the cluster is whole again."""

from __future__ import annotations

import asyncio
import random
import signal
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass

from chaos.audit import Audit
from chaos.herd import SIZE, Herd
from chaos.postgres import KillablePostgres
from chaos.record import Record
from chaos.servers import Server
from chaos.waiting import until
from chaos.wires import Use

COMMIT = "connection cut between COMMIT and the answer"

_TAKE_OVER = 8.0
"""Seconds in which somebody else leads, or a fault ends without that."""

_HERD_TIMEOUT = 60.0
_WHOLE_TIMEOUT = 60.0


@dataclass
class Site:
    """What faults happen to."""

    postgres: KillablePostgres
    servers: Sequence[Server]
    audit: Audit
    herd: Herd
    record: Record
    chance: random.Random

    def strike(self, name: str) -> None:
        """Note that a fault happens now, which ends when the cluster is whole."""
        self._fault = self.record.strike(name, lasting=True)

    async def leader(self) -> Server:
        """The server that leads."""
        servers = {server.name: server for server in self.servers}
        found: list[Server] = []

        async def leads() -> bool:
            found[:] = [server for name in [await self.audit.leader()] if (server := servers.get(name))]
            return bool(found) and found[0].is_ready

        if not await until(leads, _WHOLE_TIMEOUT):
            raise TimeoutError("nobody leads")
        return found[0]

    async def whole(self) -> None:
        """Wait until most servers take calls, one leads, and work is handed out since the last fault began."""

        async def works() -> bool:
            ready = sum(server.is_ready for server in self.servers)
            return 2 * ready > len(self.servers) and self.record.recovery(self._fault) is not None

        await self.leader()
        if not await until(works, _WHOLE_TIMEOUT):
            raise TimeoutError("no work is handed out")

    async def another_leads(self, old: Server) -> None:
        """Wait until another server leads, and a little longer."""
        await self.audit.leader_other_than(old.name, _TAKE_OVER)
        await asyncio.sleep(self.chance.uniform(0.1, 0.6))


async def kill_server(site: Site) -> None:
    """SIGKILL of a random server."""
    server = site.chance.choice(site.servers)
    site.strike("SIGKILL of a random server")
    server.send(signal.SIGKILL)


async def kill_leader(site: Site) -> None:
    """SIGKILL of the leader."""
    leader = await site.leader()
    site.strike("SIGKILL of the leader")
    leader.send(signal.SIGKILL)
    await site.another_leads(leader)


async def stop_leader(site: Site) -> None:
    """SIGSTOP of the leader for longer than its lease, then SIGCONT."""
    leader = await site.leader()
    site.strike("SIGSTOP of the leader, SIGCONT after its lease")
    leader.send(signal.SIGSTOP)
    try:
        await asyncio.sleep(2.5)
        await site.another_leads(leader)
    finally:
        leader.send(signal.SIGCONT)


async def stop_follower(site: Site) -> None:
    """SIGSTOP of a server that does not lead, for about as long as others wait for a sign of life, then SIGCONT."""
    leader = await site.leader()
    follower = site.chance.choice([server for server in site.servers if server is not leader])
    site.strike("SIGSTOP of a follower, SIGCONT after a while")
    follower.send(signal.SIGSTOP)
    await asyncio.sleep(site.chance.uniform(1.4, 2.4))
    follower.send(signal.SIGCONT)


async def cut_lease(site: Site) -> None:
    """The leader does not reach its lease, but the tables."""
    leader = await site.leader()
    site.strike("leader cut from its lease, not from the tables")
    leader.wire.refuse(Use.LEASE)
    await site.another_leads(leader)
    leader.wire.mend()


async def cut_tables(site: Site) -> None:
    """The leader does not reach the tables, but its lease."""
    leader = await site.leader()
    site.strike("leader cut from the tables, not from its lease")
    leader.wire.refuse(Use.TABLES)
    await site.another_leads(leader)
    leader.wire.mend()


async def hold_leader(site: Site) -> None:
    """What the leader sends arrives when another one leads."""
    leader = await site.leader()
    site.strike("what the leader sends held until another leads")
    leader.wire.hold(Use.TABLES, Use.LEASE)
    await site.another_leads(leader)
    leader.wire.mend()


async def kill_postgres(site: Site) -> None:
    """SIGKILL of PostgreSQL, and a new start."""
    site.strike("SIGKILL of PostgreSQL, and a new start")
    await site.postgres.kill()
    await asyncio.sleep(site.chance.uniform(0, 0.5))
    await site.postgres.start()


async def stampede(site: Site) -> None:
    """Two thousand executors come, are all cut off, and come back at once."""
    async with site.herd.present():
        await _all_sent(site.herd)
    site.strike(f"{SIZE:,} executors reconnecting at once")
    async with site.herd.present():
        await _all_sent(site.herd)
        await site.whole()


async def _all_sent(herd: Herd) -> None:
    async def sent() -> bool:
        return herd.sent == SIZE

    if not await until(sent, _HERD_TIMEOUT):
        raise TimeoutError(f"of {SIZE} executors {herd.sent} could send their call")


async def slow_database(site: Site) -> None:
    """Everything between the servers and the database takes longer."""
    site.strike("database slowed by 100 to 200 ms")
    for server in site.servers:
        server.wire.delay(site.chance.uniform(0.05, 0.1))
    await asyncio.sleep(2)
    for server in site.servers:
        server.wire.mend()


async def lose_signals(site: Site) -> None:
    """The notifications of one server are held, or their connection is cut."""
    server = site.chance.choice(site.servers)
    site.strike("notifications held or cut")
    if site.chance.random() < 0.5:
        server.wire.hold(Use.SIGNALS)
    else:
        server.wire.refuse(Use.SIGNALS)
    await asyncio.sleep(2)
    server.wire.mend()


async def replace_server(site: Site) -> None:
    """SIGTERM of a server, as in a rolling restart."""
    server = site.chance.choice(site.servers)
    site.strike("SIGTERM of a server")
    server.send(signal.SIGTERM)


Fault = Callable[[Site], Awaitable[None]]

FAULTS: dict[str, Fault] = {
    fault.__name__: fault
    for fault in (
        kill_server,
        kill_leader,
        stop_leader,
        stop_follower,
        cut_lease,
        cut_tables,
        hold_leader,
        kill_postgres,
        stampede,
        slow_database,
        lose_signals,
        replace_server,
    )
}


async def cut_commits(site: Site, pause: float) -> None:
    """Cut connections between commits and their answers, again and again; run beside everything else."""
    while True:
        await asyncio.sleep(pause * site.chance.uniform(0.5, 1.5))
        site.chance.choice(site.servers).wire.cut_after_commits(site.chance.randrange(20))
