"""The cache of callers: what is remembered is trusted only while the database is heard from."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from datetime import UTC, datetime, tzinfo
from typing import cast

import pytest

from kolony.crypto import Identity
from kolony.errors import Unavailable
from kolony.model.executors import ExecutorState
from kolony_apiserver import membership
from kolony_apiserver.membership import POLL_INTERVAL, TRUST, Caller, Callers, Membership
from kolony_apiserver.store.members import Authority, Changes, MemberReads

ALICE, BOB, NOBODY = Identity("a" * 64), Identity("b" * 64), Identity("0" * 64)
NOW = datetime(2026, 2, 12, tzinfo=UTC)


def user(colony: str = "dev", name: str = "alice") -> Authority:
    return Authority(role="user", colonyname=colony, name=name, type="", location="", state=0)


def executor(colony: str = "dev", name: str = "e1", state: ExecutorState = ExecutorState.APPROVED) -> Authority:
    return Authority(role="executor", colonyname=colony, name=name, type="cli", location="umeå", state=state)


class Clock:
    """A clock that stands until a test moves it."""

    zone: tzinfo = UTC

    def __init__(self) -> None:
        self.seconds = 1000.0
        self.followed: list[datetime] = []

    def now(self) -> datetime:
        return NOW

    def now_ns(self) -> int:
        return 0

    def monotonic(self) -> float:
        return self.seconds

    def follow(self, database_now: datetime) -> None:
        self.followed.append(database_now)


class Reads:
    """The database, as far as membership reads it."""

    def __init__(self) -> None:
        self.members: defaultdict[str, list[Authority]] = defaultdict(list)
        self.looked_up: list[str] = []
        self.readings = 0
        self.version = 0
        self.changed: list[str] = []
        self.gap = False
        self.away = False
        self.looking = asyncio.Event()
        self.go_on = asyncio.Event()
        self.go_on.set()

    async def authorities(self, identity: str) -> list[Authority]:
        self.looked_up.append(identity)
        self._answer()
        found = list(self.members[identity])
        self.looking.set()
        await self.go_on.wait()
        return found

    async def changes_since(self, version: int) -> Changes:
        self._answer()
        self.readings += 1
        changed, self.changed = self.changed, []
        return Changes(version=self.version, identities=changed, gap=self.gap, now=NOW)

    def change(self, identity: str, *authorities: Authority) -> None:
        """Somebody is something else from now on."""
        self.members[identity] = list(authorities)
        self.changed.append(identity)
        self.version += 1

    def _answer(self) -> None:
        if self.away:
            raise Unavailable("the database is away; try again")


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
async def reads() -> Reads:
    reads = Reads()
    reads.members[ALICE] = [user()]
    reads.members[BOB] = [executor()]
    return reads


@pytest.fixture
async def callers(reads: Reads, clock: Clock) -> Callers:
    """A cache that has just heard from the database."""
    callers = Callers(cast(MemberReads, reads), clock)
    await callers.tick()
    return callers


async def test_who_was_looked_up_is_remembered(callers: Callers, reads: Reads) -> None:
    first = await callers.recall(ALICE)
    assert first == Caller(identity=ALICE, users={"dev": "alice"})
    assert await callers.recall(ALICE) is first
    assert (await callers.recall(BOB)).executor_in("dev") == Membership(name="e1", type="cli", location="umeå", state=1)
    assert reads.looked_up == [ALICE, BOB]


async def test_a_change_that_was_read_forgets_who_changed_and_nobody_else(callers: Callers, reads: Reads) -> None:
    await callers.recall(ALICE)
    bob = await callers.recall(BOB)
    reads.change(ALICE)
    await callers.tick()
    assert (await callers.recall(ALICE)).users == {}
    assert await callers.recall(BOB) is bob


async def test_who_is_told_to_be_forgotten_is_looked_up_again_at_once(callers: Callers, reads: Reads) -> None:
    await callers.recall(ALICE)
    reads.members[ALICE] = []
    callers.forget([ALICE, NOBODY])
    assert (await callers.recall(ALICE)).users == {}


async def test_a_gap_in_the_changes_forgets_everyone(callers: Callers, reads: Reads) -> None:
    await callers.recall(ALICE)
    await callers.recall(BOB)
    reads.gap = True
    await callers.tick()
    await callers.recall(ALICE)
    await callers.recall(BOB)
    assert reads.looked_up == [ALICE, BOB, ALICE, BOB]


async def test_silence_is_not_trust(callers: Callers, reads: Reads, clock: Clock) -> None:
    await callers.recall(ALICE)
    clock.seconds += TRUST - 0.01
    await callers.recall(ALICE)
    assert reads.readings == 1

    # Nothing was heard for too long: whoever calls now waits until the changes are read, and is what they say.
    clock.seconds += 0.01
    reads.change(ALICE)
    assert (await callers.recall(ALICE)).users == {}
    assert reads.readings == 2


async def test_those_who_call_after_silence_share_one_reading(callers: Callers, reads: Reads, clock: Clock) -> None:
    await callers.recall(ALICE)
    clock.seconds += TRUST
    found = await asyncio.gather(*[callers.recall(ALICE) for _ in range(1_000)])
    assert all(caller.users == {"dev": "alice"} for caller in found)
    assert reads.readings == 2
    assert reads.looked_up == [ALICE]


async def test_nobody_is_let_in_while_the_database_is_away(callers: Callers, reads: Reads, clock: Clock) -> None:
    await callers.recall(ALICE)
    reads.away = True
    for _ in range(int(TRUST / POLL_INTERVAL) + 1):
        with pytest.raises(Unavailable):
            await callers.tick()
        clock.seconds += POLL_INTERVAL
    with pytest.raises(Unavailable):
        await callers.recall(ALICE)
    reads.away = False
    await callers.tick()
    assert (await callers.recall(ALICE)).users == {"dev": "alice"}


async def test_trust_counts_from_the_question_and_not_from_the_answer(reads: Reads, clock: Clock) -> None:
    callers = Callers(cast(MemberReads, reads), clock)
    answer = reads.changes_since

    async def slow(version: int) -> Changes:
        changes = await answer(version)
        clock.seconds += TRUST
        return changes

    reads.changes_since = slow  # type: ignore[method-assign]
    await callers.tick()
    for _ in range(2):
        await callers.recall(ALICE)
    assert reads.readings == 3


async def test_a_change_that_overtakes_a_look_up_wins(callers: Callers, reads: Reads) -> None:
    reads.go_on.clear()
    looking = asyncio.create_task(callers.recall(ALICE))
    await reads.looking.wait()
    # The look-up has read what was true before; now it changes, and that is noticed first.
    reads.change(ALICE)
    await callers.tick()
    reads.go_on.set()
    await looking
    assert (await callers.recall(ALICE)).users == {}


async def test_strangers_are_not_remembered(callers: Callers, reads: Reads) -> None:
    assert await callers.recall(NOBODY) == Caller(identity=NOBODY)
    reads.members[NOBODY] = [user(name="newcomer")]
    assert (await callers.recall(NOBODY)).users == {"dev": "newcomer"}


async def test_there_is_a_limit_to_what_is_remembered(
    callers: Callers, reads: Reads, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(membership, "MAX_ENTRIES", 2)
    identities = [Identity(str(number) * 64) for number in range(3)]
    for identity in identities:
        reads.members[identity] = [user()]
        await callers.recall(identity)
    reads.looked_up.clear()
    for identity in reversed(identities):
        await callers.recall(identity)
    assert reads.looked_up == [identities[0]]


async def test_the_clock_hears_the_time_of_the_database(callers: Callers, clock: Clock) -> None:
    assert clock.followed == [NOW]


@pytest.mark.parametrize(
    ("state", "approved", "member"),
    [
        (ExecutorState.PENDING, False, True),
        (ExecutorState.APPROVED, True, True),
        (ExecutorState.REJECTED, False, False),
        (ExecutorState.UNREGISTERED, False, False),
    ],
)
async def test_what_an_executor_may_depends_on_its_state(
    callers: Callers, reads: Reads, state: ExecutorState, approved: bool, member: bool
) -> None:
    reads.members[NOBODY] = [executor(state=state)]
    caller = await callers.recall(NOBODY)
    assert (caller.is_approved_member("dev"), caller.is_member("dev")) == (approved, member)
    assert (caller.is_approved_member("other"), caller.is_member("other")) == (False, False)
    # As a user the same key is a member, whatever became of the executor.
    reads.change(NOBODY, executor(state=state), user(name="alice"))
    await callers.tick()
    caller = await callers.recall(NOBODY)
    assert (caller.is_approved_member("dev"), caller.is_member("dev")) == (True, True)
    assert caller.name_in("dev") == "e1"


async def test_one_key_may_be_many_things(callers: Callers, reads: Reads) -> None:
    def authority(role: str, colony: str = "") -> Authority:
        return Authority(role=role, colonyname=colony, name="", type="", location="", state=0)

    reads.members[NOBODY] = [
        authority("server"),
        authority("owner", "dev"),
        authority("owner", "other"),
        user("third", "alice"),
        executor("fourth", "e1"),
    ]
    caller = await callers.recall(NOBODY)
    assert caller.server_owner
    assert caller.owns == {"dev", "other"}
    assert [colony for colony in ("dev", "other", "third", "fourth") if caller.is_member(colony)] == ["third", "fourth"]
    assert (caller.name_in("third"), caller.name_in("fourth"), caller.name_in("dev")) == ("alice", "e1", "")


@pytest.mark.parametrize("order", [1, -1])
async def test_of_a_removed_and_a_registered_executor_the_registered_one_counts(
    callers: Callers, reads: Reads, order: int
) -> None:
    records = [executor(name="old", state=ExecutorState.UNREGISTERED), executor(name="new")]
    reads.members[NOBODY] = records[::order]
    caller = await callers.recall(NOBODY)
    assert caller.name_in("dev") == "new"
    assert caller.is_approved_member("dev")
