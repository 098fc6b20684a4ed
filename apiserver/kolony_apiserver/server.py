"""A server from start to end: what it is made of, and the order in which it is started and stopped.

On SIGTERM the server says it is not ready, ends parked calls as their timeout would, lets calls under way finish and
commit what they wrote, and exits.
"""

from __future__ import annotations

import asyncio
import contextlib
import functools
import logging
import secrets
import socket
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import UTC
from zoneinfo import ZoneInfo

import uvloop
from msgspec.structs import replace

from kolony.errors import ConfigurationError, KolonyError, NotLeading, Unavailable
from kolony_apiserver.clock import Clock, DatabaseClock
from kolony_apiserver.cluster.changes import Changes
from kolony_apiserver.cluster.desk import Desk
from kolony_apiserver.cluster.election import Election
from kolony_apiserver.cluster.leases import lease_of
from kolony_apiserver.cluster.roster import Roster
from kolony_apiserver.cluster.signals import Signals
from kolony_apiserver.contacts import FLUSH_INTERVAL, Contacts
from kolony_apiserver.events.hub import Hub
from kolony_apiserver.membership import POLL_INTERVAL, Callers
from kolony_apiserver.metrics import Metrics
from kolony_apiserver.queue.room import WaitingRoom
from kolony_apiserver.scans import counts, crons, deadlines, executors, generators, retention
from kolony_apiserver.scans.loop import Loop
from kolony_apiserver.services import assignments as assigning
from kolony_apiserver.services.context import Homes, Parts
from kolony_apiserver.settings import MAX_NAME, Settings
from kolony_apiserver.store.assignments import AssignmentWrites
from kolony_apiserver.store.database import Database
from kolony_apiserver.store.generators import PackWrites
from kolony_apiserver.store.leadership import TermWrites
from kolony_apiserver.store.members import MemberReads
from kolony_apiserver.store.migrate import migrate
from kolony_apiserver.store.nonces import Nonces
from kolony_apiserver.store.processes import ProcessWrites
from kolony_apiserver.store.servers import Member, ServerWrites
from kolony_apiserver.store.signals import SignalWires
from kolony_apiserver.store.unit import Store
from kolony_apiserver.web.app import create_app
from kolony_apiserver.web.listener import Beside, Listener, nothing_beside
from kolony_apiserver.web.monitor import monitor

log = logging.getLogger(__name__)

_ROOM_INTERVAL = 1.0
_LOOPBACK = "127.0.0.1"
_ANY_HOST = ("0.0.0.0", "::", "")
_CLOSE_TIMEOUT = 3.0
"""Seconds for which a part that closes may wait for the database, once all calls have ended."""


@asynccontextmanager
async def open_parts(settings: Settings, *, clock: Clock | None = None, loops: bool = True) -> AsyncIterator[Parts]:
    """The parts of a server, with its loops running; on exit what was begun is finished first.

    Tests pass a clock that they set, and call the ticks of the loops themselves.
    """
    await asyncio.to_thread(migrate, settings.dsn)
    clock = clock or DatabaseClock(UTC if settings.timezone == "UTC" else ZoneInfo(settings.timezone))
    name = settings.name or f"{socket.gethostname()[: MAX_NAME - 9]}-{secrets.token_hex(4)}"
    async with AsyncExitStack() as stack:
        database = await stack.enter_async_context(
            Database(settings.dsn, name=name, timezone=settings.timezone, pool_size=settings.pool_size)
        )
        if settings.server_id:
            async with database.session() as session:
                await Store(session).server.init_server_id(settings.server_id)
        servers = ServerWrites(database)
        roster = Roster(servers, _member(settings, name, await servers.address()))
        # Whoever starts under the name of a server that was killed does not hold what that one held.
        lease = lease_of(settings, database, f"{name}_{secrets.token_hex(4)}")
        election = Election(lease, TermWrites(database), roster, clock)
        reads = MemberReads(database)
        assignments = AssignmentWrites(database)
        exclusive = settings.exclusive_assign
        room = WaitingRoom(assignments, clock, term=(lambda: election.term) if exclusive else None)
        desk = Desk(room, election, roster, clock, exclusive=exclusive)
        if exclusive:
            roster.me = replace(roster.me, relayport=await desk.listen(roster.me.relayhost, settings.relay_port))
        metrics, hub = Metrics(), Hub()
        room.elsewhere = hub.elsewhere = signals = Signals(
            SignalWires(database), room, Changes(database, hub), clock, metrics
        )
        parts = Parts(
            settings=settings,
            clock=clock,
            database=database,
            writes=ProcessWrites(database, room),
            packs=PackWrites(database),
            nonces=Nonces(database),
            callers=Callers(reads, clock),
            contacts=Contacts(database, clock),
            room=room,
            desk=desk,
            hub=hub,
            signals=signals,
            roster=roster,
            election=election,
            metrics=metrics,
            homes=Homes(),
        )
        for close in (
            signals.close,
            reads.close,
            assignments.close,
            parts.nonces.close,
            parts.writes.finish,
            parts.packs.finish,
            parts.contacts.close,
            roster.close,
            election.close,
            roster.leave,
            desk.close,
            election.resign,
        ):
            stack.push_async_callback(_closed, close)
        parts.metrics.build_info.labels(settings.build_version).set(1)
        parts.metrics.leader.set_function(lambda: election.term is not None)
        parts.callers.when_changed = _reviewing(parts)
        if exclusive:
            election.when_lost = room.vacate
        parts.metrics.longpolls.set_function(lambda: len(desk))
        parts.metrics.follow_pool(database.statistics)
        await parts.callers.tick()
        # Who keeps the lease may be away: this server serves without leading.
        with contextlib.suppress(Unavailable):
            await election.tick()
        await room.load()
        claims = asyncio.create_task(room.run(), name="claims")
        stack.push_async_callback(_cancelled, claims)
        if loops:
            signals.start()
            stack.push_async_callback(signals.stop)
        cluster = Loop("cluster", election.tick, interval=election.interval)
        signals.when_stirred = cluster.hurry
        for loop in [cluster, *_loops(parts)] if loops else []:
            loop.start()
            stack.push_async_callback(loop.stop)
        yield parts


def _member(settings: Settings, name: str, address: str) -> Member:
    """How this server introduces itself to the others."""
    address = address or _LOOPBACK
    return Member(
        name=name,
        host=address if settings.host in _ANY_HOST else settings.host,
        apiport=settings.port,
        relayhost=settings.relay_host or address,
        relayport=settings.relay_port,
        secret=secrets.token_hex(32),
    )


def _reviewing(parts: Parts) -> Callable[[Iterable[str]], None]:
    """What is done about the parked calls of those who changed."""
    reviews: set[asyncio.Task[None]] = set()

    async def review(identities: Iterable[str]) -> None:
        try:
            await assigning.review(parts, identities)
        except KolonyError as error:
            # They stay parked; no claim gives anything to an executor that is not approved.
            log.warning("review of parked calls: %s", error.message)

    def changed(identities: Iterable[str]) -> None:
        task = asyncio.create_task(review(list(identities)))
        reviews.add(task)
        task.add_done_callback(reviews.discard)

    return changed


def _loops(parts: Parts) -> list[Loop]:
    settings, ticks = parts.settings, functools.partial
    return [
        Loop("membership", parts.callers.tick, interval=POLL_INTERVAL),
        Loop("contacts", parts.contacts.tick, interval=FLUSH_INTERVAL),
        Loop("waiting executors", ticks(executors.note_waiting, parts), interval=executors.interval(settings)),
        Loop("queue", parts.room.tick, interval=_ROOM_INTERVAL),
        Loop("gauges", ticks(counts.measure, parts), interval=counts.GAUGE_INTERVAL),
        Loop("deadlines", _led(parts, deadlines.tick), interval=deadlines.INTERVAL),
        Loop("executors", _led(parts, executors.tick), interval=settings.cleanup_interval),
        Loop("crons", _led(parts, crons.tick), interval=settings.cron_checker_period / 1000),
        Loop("generators", _led(parts, generators.tick), interval=settings.generator_checker_period / 1000),
        Loop("retention", _led(parts, retention.tick), interval=retention.INTERVAL),
        Loop("counts", _led(parts, counts.fold), interval=counts.INTERVAL),
    ]


def _led(parts: Parts, tick: Callable[[Parts, int], Awaitable[None]]) -> Callable[[], Awaitable[None]]:
    """A tick that only the leader makes, in its term."""

    async def led() -> None:
        if (term := parts.election.term) is not None:
            # A term that ends in the middle of a tick is no failure: another server goes on.
            with contextlib.suppress(NotLeading):
                await tick(parts, term)

    return led


async def _closed(close: Callable[[], Awaitable[None]]) -> None:
    """Close a part; a database that is away or hangs does not keep the server from stopping."""
    try:
        async with asyncio.timeout(_CLOSE_TIMEOUT):
            await close()
    except KolonyError as error:
        log.warning("stopping: %s", error.message)
    except TimeoutError:
        log.warning("stopping: the database does not answer")


async def _cancelled(task: asyncio.Task[None]) -> None:
    task.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await task


async def serve(settings: Settings, *, beside: Beside = nothing_beside, listening: socket.socket | None = None) -> None:
    """Run a server until SIGTERM or SIGINT, on a socket that is given or on the port of its settings."""
    async with open_parts(settings) as parts:
        ready = asyncio.Event()
        ready.set()

        async def drain() -> None:
            log.info("stopping: another server may lead, parked calls end, calls under way finish")
            await _closed(parts.election.resign)
            parts.signals.stir()
            parts.desk.shut()

        listener = Listener(create_app(parts, ready.is_set), settings, unready=ready.clear, drain=drain, beside=beside)
        async with monitor(settings, parts.metrics.registry):
            await listener.serve(None if listening is None else [listening])
        if not listener.started:
            raise ConfigurationError(
                f"cannot listen on {settings.host}:{settings.port} (COLONIES_SERVER_PORT): is the port taken?"
            )


def run_until_stopped(
    settings: Settings, *, beside: Beside = nothing_beside, listening: socket.socket | None = None
) -> None:
    """Run a server in an event loop of its own until SIGTERM or SIGINT."""
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(serve(settings, beside=beside, listening=listening))
