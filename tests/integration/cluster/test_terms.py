"""The election, and the fence: what a server writes as leader in a term that is over."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager

import psycopg
import pytest
from clocked import SetClock
from sites import Site, open_site
from storage import Storage

from kolony.errors import KolonyError, NotLeading
from kolony_apiserver.cluster.election import Election
from kolony_apiserver.cluster.leases import RowLease
from kolony_apiserver.cluster.roster import Roster
from kolony_apiserver.scans import counts, crons, deadlines, executors, generators, retention
from kolony_apiserver.services.context import LeaderUnit
from kolony_apiserver.store.assignments import Claim, Search, Seat
from kolony_apiserver.store.database import Database
from kolony_apiserver.store.leadership import TermWrites
from kolony_apiserver.store.servers import Member, ServerWrites


class HandClock(SetClock):
    """A clock whose seconds pass when a test says so."""

    def __init__(self) -> None:
        super().__init__()
        self.seconds = 0.0

    def monotonic(self) -> float:
        return self.seconds


class Candidate:
    """A server as far as the election goes."""

    def __init__(self, database: Database, name: str, *, duration: float = 60) -> None:
        self.clock = HandClock()
        me = Member(name=name, host="h", apiport=1, relayhost="h", relayport=2, secret="s")
        self.roster = Roster(ServerWrites(database), me)
        self.lease = RowLease(database, name="kolony", holder=name, duration=duration)
        self.terms = TermWrites(database)
        self.election = Election(self.lease, self.terms, self.roster, self.clock)
        self.lost = 0
        self.election.when_lost = self._lose

    def _lose(self) -> None:
        self.lost += 1

    async def tick(self) -> int | None:
        await self.election.tick()
        return self.election.term


@pytest.fixture
async def storage(migrated_dsn: str, storage: Storage) -> AsyncIterator[Storage]:
    await storage.rows("update leadership set term = 0, holder = ''; delete from leases; delete from servers")
    yield storage


@asynccontextmanager
async def candidates(storage: Storage, names: str, *, duration: float = 60) -> AsyncIterator[list[Candidate]]:
    async with AsyncExitStack() as stack:
        made = []
        for name in names:
            database = await stack.enter_async_context(Database(storage.dsn, name=name))
            made.append(Candidate(database, name, duration=duration))
            stack.push_async_callback(made[-1].election.close)
            stack.push_async_callback(made[-1].roster.close)
        yield made


async def run_out(storage: Storage) -> None:
    """Let the lease run out."""
    await storage.rows("update leases set expires = clock_timestamp() - interval '1 second'")


async def test_one_leads_and_the_others_know(storage: Storage) -> None:
    async with candidates(storage, "abc") as (a, b, c):
        assert [await each.tick() for each in (a, b, c)] == [1, None, None]
        assert {each.roster.leader.name for each in (b, c) if each.roster.leader} == {"a"}
        assert [await each.tick() for each in (c, b, a)] == [None, None, 1]
        assert [member.name for member in c.roster.members] == ["a", "b", "c"]


async def test_the_lease_is_trusted_for_a_part_of_its_time(storage: Storage) -> None:
    async with candidates(storage, "a", duration=10) as (a,):
        assert await a.tick() == 1
        a.clock.seconds += 7.9
        assert a.election.term == 1
        a.clock.seconds += 0.2
        assert a.election.term is None
        assert await a.tick() == 1, "it is still the same term when nobody else took one"


async def test_another_leads_when_the_lease_has_run_out(storage: Storage) -> None:
    async with candidates(storage, "ab") as (a, b):
        await a.tick()
        await run_out(storage)
        assert await b.tick() == 2
        assert a.election.term == 1, "it has not looked"
        assert await a.tick() is None
        assert a.lost == 1


async def test_who_resigns_lets_another_lead_at_once_and_stays_out(storage: Storage) -> None:
    async with candidates(storage, "ab") as (a, b):
        await a.tick()
        await a.election.resign()
        assert (a.election.term, a.lost) == (None, 1)
        assert await b.tick() == 2
        await b.election.resign()
        assert await a.tick() is None


async def test_who_asked_too_early_begins_no_term(storage: Storage) -> None:
    """Between its look at the term and its own, another term began."""
    async with candidates(storage, "ab") as (a, b):
        stale = (await a.roster.refresh()).term
        await b.tick()
        assert await a.terms.take(after=stale, holder="a") is None
        assert await storage.value("select holder from leadership") == "b"


async def test_who_cannot_reach_the_tables_does_not_renew(storage: Storage) -> None:
    async with candidates(storage, "ab") as (a, b):
        await a.tick()
        await storage.rows("alter table servers rename to hidden")
        try:
            with pytest.raises(KolonyError):
                await a.tick()
            await run_out(storage)
            with pytest.raises(KolonyError):
                await a.tick()
        finally:
            await storage.rows("alter table hidden rename to servers")
        assert await b.tick() == 2


async def test_a_new_term_waits_for_the_writes_of_the_last_and_ends_those_that_do_not_end(storage: Storage) -> None:
    async with candidates(storage, "ab") as (a, b):
        await a.tick()
        await run_out(storage)
        stopped = await psycopg.AsyncConnection.connect(storage.dsn)
        await stopped.execute("select from leadership where term = 1 for key share")
        taking = asyncio.create_task(b.tick())
        await storage.blocked()
        assert await taking == 2
        with pytest.raises(psycopg.OperationalError):
            await stopped.execute("select 1")
        await stopped.close()


async def test_a_renewal_of_a_term_row_waits_for_nobody(storage: Storage) -> None:
    async with candidates(storage, "a") as (a,):
        await a.tick()
        async with storage.stranger() as writing:
            await writing.execute("select from leadership where term = 1 for key share")
            await a.terms.give_up(1)


async def test_a_claim_in_an_old_term_hands_out_nothing(storage: Storage) -> None:
    worker = await storage.add_executor("e")
    classid = await storage.add_class()
    process = await storage.submit(classid)
    await storage.rows("update leadership set term = 7")

    async def claim(term: int | None) -> list[str]:
        seat = Seat(seat=0, grp=0, colonyname=worker.colony, executorid=worker.identity, executorname=worker.name)
        search = Search(grp=0, classid=classid, low=-(2**63), high=2**63 - 1, most=1)
        claimed = await storage.assignments.claim(
            Claim(seats=[seat], searches=[search], now=storage.clock.now(), term=term)
        )
        return [each.processid for each in claimed.processes.values()]

    assert await claim(6) == []
    assert await claim(8) == []
    assert await claim(7) == [process.processid]
    again = await storage.submit(classid)
    assert await claim(None) == [again.processid], "without exclusive mode there is no term"


async def test_a_claim_under_way_when_the_term_ends_hands_out_nothing(storage: Storage) -> None:
    worker = await storage.add_executor("e")
    classid = await storage.add_class()
    await storage.submit(classid)
    await storage.rows("update leadership set term = 7")
    seat = Seat(seat=0, grp=0, colonyname=worker.colony, executorid=worker.identity, executorname=worker.name)
    search = Search(grp=0, classid=classid, low=-(2**63), high=2**63 - 1, most=1)
    async with storage.stranger() as successor:
        await successor.execute("update leadership set term = 8")
        claim = asyncio.create_task(
            storage.assignments.claim(Claim(seats=[seat], searches=[search], now=storage.clock.now(), term=7))
        )
        await storage.blocked()
        await successor.commit()
        assert (await claim).processes == {}


@pytest.fixture
async def site(migrated_dsn: str) -> AsyncIterator[Site]:
    async with open_site(migrated_dsn) as site:
        yield site


SCANS = (counts.fold, crons.tick, deadlines.tick, executors.tick, generators.tick, retention.tick)


@pytest.mark.parametrize("scan", SCANS, ids=lambda scan: str(scan.__module__))
async def test_no_scan_does_anything_in_an_old_term(scan: object, site: Site) -> None:
    parts = await site.server()
    term = await site.term()
    await scan(parts, term)  # type: ignore[operator]
    with pytest.raises(NotLeading):
        await scan(parts, term - 1)  # type: ignore[operator]


async def test_a_unit_of_work_of_the_leader_keeps_its_term_from_ending(site: Site) -> None:
    parts = await site.server()
    term = await site.term()
    async with LeaderUnit(parts, term), await psycopg.AsyncConnection.connect(site.dsn) as other:
        await other.execute("set lock_timeout = '50ms'")
        with pytest.raises(psycopg.errors.LockNotAvailable):
            await other.execute("update leadership set term = term + 1")
    async with await psycopg.AsyncConnection.connect(site.dsn) as other:
        await other.execute("update leadership set term = term + 1")
        await other.commit()
    with pytest.raises(NotLeading):
        async with LeaderUnit(parts, term):
            raise AssertionError("it was entered")
