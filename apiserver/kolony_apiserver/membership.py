"""Who callers are: a cache of identities that never outlives its proof.

Every change of a member is recorded in the database with the change itself. This server reads those records several
times a second and forgets who changed. An entry counts only while such a reading is less than `TRUST` seconds old:
silence is not trust, so a call that comes later waits for another reading, and fails when the database cannot be asked.
A key that was revoked anywhere is refused here within a second.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable

import msgspec

from kolony.crypto import Identity
from kolony.model.executors import ExecutorState
from kolony_apiserver.clock import Clock
from kolony_apiserver.store.members import Authority, MemberReads

TRUST = 0.5
POLL_INTERVAL = 0.2
MAX_ENTRIES = 200_000


class Membership(msgspec.Struct, frozen=True, kw_only=True):
    """An executor as far as authorisation and matching need it."""

    name: str
    type: str
    location: str
    state: int


class Caller(msgspec.Struct, frozen=True, kw_only=True):
    """An identity and everything it is in this server; ``executors`` and ``users`` are by colony."""

    identity: Identity
    server_owner: bool = False
    owns: frozenset[str] = frozenset()
    executors: dict[str, Membership] = {}
    users: dict[str, str] = {}

    def executor_in(self, colonyname: str) -> Membership | None:
        """The executor that this identity is in a colony, approved or not."""
        return self.executors.get(colonyname)

    def is_approved_member(self, colonyname: str) -> bool:
        """Whether this is a user or an approved executor of a colony."""
        executor = self.executors.get(colonyname)
        return (executor is not None and executor.state == ExecutorState.APPROVED) or colonyname in self.users

    def is_member(self, colonyname: str) -> bool:
        """Whether this is a user, or an executor that is approved or may yet be."""
        executor = self.executors.get(colonyname)
        return (
            executor is not None and executor.state in (ExecutorState.PENDING, ExecutorState.APPROVED)
        ) or colonyname in self.users

    def name_in(self, colonyname: str) -> str:
        """The name of this member in a colony; an executor's before a user's."""
        executor = self.executors.get(colonyname)
        return executor.name if executor is not None else self.users.get(colonyname, "")


class Callers:
    """The cache of callers."""

    def __init__(self, reads: MemberReads, clock: Clock) -> None:
        self._reads = reads
        self._clock = clock
        self._entries: dict[Identity, Caller] = {}
        self.when_changed: Callable[[Iterable[str]], None] = lambda identities: None
        """Told of identities that are something else now, on whichever server that was decided."""
        self._version = -1
        self._forgotten = 0
        self._seen_at = float("-inf")
        self._reading: asyncio.Task[None] | None = None

    async def recall(self, identity: Identity) -> Caller:
        """Who this identity is; an unknown one is nobody."""
        if self._clock.monotonic() - self._seen_at >= TRUST:
            # One look at the changes serves all who call now; a look-up for each would bury a busy database.
            await self.tick()
        if (known := self._entries.get(identity)) is not None:
            return known
        forgotten = self._forgotten
        caller = _caller(identity, await self._reads.authorities(identity))
        # A change that was seen while the look-up ran may be newer than what it found.
        if forgotten == self._forgotten and (caller.executors or caller.users or caller.owns):
            if len(self._entries) >= MAX_ENTRIES:
                del self._entries[next(iter(self._entries))]
            self._entries[identity] = caller
        return caller

    def forget(self, identities: Iterable[str]) -> None:
        """Drop what is known of these identities."""
        self._forgotten += 1
        identities = list(identities)
        for identity in identities:
            self._entries.pop(Identity(identity), None)
        self.when_changed(identities)

    def forget_all(self) -> None:
        """Drop everything."""
        self._forgotten += 1
        self._entries.clear()

    async def tick(self) -> None:
        """Read who changed. To be called every `POLL_INTERVAL` seconds; calls that come together share one reading."""
        if self._reading is None:
            self._reading = asyncio.create_task(self._read())
            self._reading.add_done_callback(self._read_once)
        await asyncio.shield(self._reading)

    def _read_once(self, reading: asyncio.Task[None]) -> None:
        self._reading = None
        if not reading.cancelled():
            # Whoever waits for the reading gets its error; without a waiter nobody would have asked.
            reading.exception()

    async def _read(self) -> None:
        asked_at = self._clock.monotonic()
        changes = await self._reads.changes_since(self._version)
        self._clock.follow(changes.now)
        if changes.gap:
            self.forget_all()
        elif changes.identities:
            self.forget(changes.identities)
        self._version = changes.version
        self._seen_at = asked_at


def _caller(identity: Identity, authorities: list[Authority]) -> Caller:
    # Where an executor was removed and added again under another name, the registered one counts.
    authorities = sorted(authorities, key=lambda each: each.state != ExecutorState.UNREGISTERED)
    return Caller(
        identity=identity,
        server_owner=any(each.role == "server" for each in authorities),
        owns=frozenset(each.colonyname for each in authorities if each.role == "owner"),
        executors={
            each.colonyname: Membership(name=each.name, type=each.type, location=each.location, state=each.state)
            for each in authorities
            if each.role == "executor"
        },
        users={each.colonyname: each.name for each in authorities if each.role == "user"},
    )
