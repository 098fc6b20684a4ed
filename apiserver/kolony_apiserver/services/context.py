"""What a service works with: who calls, one unit of work, and the parts of the server that live on."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable
from functools import partial
from types import TracebackType

import msgspec
from msgspec import Raw

from kolony.crypto import Identity
from kolony.errors import NotLeading
from kolony.model.base import ColonyName
from kolony.model.processes import Process
from kolony_apiserver.clock import Clock
from kolony_apiserver.cluster.desk import Desk
from kolony_apiserver.cluster.election import Election
from kolony_apiserver.cluster.roster import Roster
from kolony_apiserver.cluster.signals import Signals
from kolony_apiserver.contacts import Contacts
from kolony_apiserver.events.hub import Event, Hub, as_it_was
from kolony_apiserver.membership import Caller, Callers
from kolony_apiserver.metrics import Metrics
from kolony_apiserver.queue.room import WaitingRoom
from kolony_apiserver.settings import Settings
from kolony_apiserver.store.database import Database
from kolony_apiserver.store.generators import PackWrites
from kolony_apiserver.store.nonces import Nonces
from kolony_apiserver.store.processes import Change, Home, ProcessWrites
from kolony_apiserver.store.unit import Store

Disconnected = Callable[[], Awaitable[None]]

SERVER = Caller(identity=Identity("server"))
"""The server itself, as the one who acts in loops."""


class Parts(msgspec.Struct, frozen=True, kw_only=True):
    """The parts of the server that all calls share."""

    settings: Settings
    clock: Clock
    database: Database
    writes: ProcessWrites
    packs: PackWrites
    nonces: Nonces
    callers: Callers
    contacts: Contacts
    room: WaitingRoom
    desk: Desk
    hub: Hub
    signals: Signals
    roster: Roster
    election: Election
    metrics: Metrics
    homes: Homes


class Homes:
    """The homes of recent processes, so that authorising the executor that closes one costs no query.

    A process never moves; what is remembered of one that was deleted does no harm.
    """

    def __init__(self, size: int = 50_000) -> None:
        self._size = size
        self._homes: dict[str, Home] = {}

    def get(self, processid: str) -> Home | None:
        """The home of a process, if it is remembered."""
        return self._homes.get(processid)

    def put(self, processid: str, home: Home) -> None:
        """Remember a process; the oldest is forgotten when there are too many."""
        self._homes[processid] = home
        if len(self._homes) > self._size:
            del self._homes[next(iter(self._homes))]


class Context:
    """One call: the caller, a store whose transaction ends with the call, and what to do once it is committed."""

    __slots__ = ("_after", "caller", "colony", "disconnected", "parts", "store")

    def __init__(self, parts: Parts, caller: Caller, store: Store, disconnected: Disconnected | None = None) -> None:
        self.parts = parts
        self.caller = caller
        self.store = store
        self.colony = ColonyName("")
        """The colony for which the caller was authorised."""
        self.disconnected = disconnected
        """Returns when the client went away; for calls that wait."""
        self._after: list[Callable[[], None]] = []

    async def home(self, processid: str) -> Home | None:
        """Where a process belongs; `None` when there is no such process."""
        homes = self.parts.homes
        if (home := homes.get(processid)) is None and (home := await self.store.processes.home(processid)) is not None:
            homes.put(processid, home)
        return home

    def after_commit(self, action: Callable[[], None]) -> None:
        """Do this once the transaction is committed, and not at all when it fails."""
        self._after.append(action)

    def committed(self) -> None:
        """Do what waits for the commit."""
        for action in self._after:
            action()

    async def members_changed(self, identities: Iterable[str]) -> None:
        """Record that these identities are something else from now on, on every server."""
        changed = [identity for identity in identities if identity]
        await self.store.members.changed(changed)
        self.after_commit(lambda: self.parts.callers.forget(changed))

    async def publish(self, *, processid: str, colonyname: str, executortype: str, state: int) -> None:
        """Tell subscribers, if there are any, what became of a process that is committed."""
        event = Event(processid, colonyname, executortype, state)
        self.parts.hub.tell(event)
        if process := await self._wanted(event):
            self.parts.hub.deliver(process)

    async def publish_changes(self, changes: Iterable[Change]) -> None:
        """Tell subscribers, if there are any, of processes that something else changed; the changes are committed."""
        for each in changes:
            await self.publish(
                processid=each.processid,
                colonyname=each.colonyname,
                executortype=each.executortype,
                state=each.state,
            )

    async def publish_changes_after_commit(self, changes: Iterable[Change]) -> None:
        """Tell subscribers, if there are any, of changed processes once this unit of work is committed."""
        hub = self.parts.hub
        for each in changes:
            event = Event(each.processid, each.colonyname, each.executortype, each.state)
            self.after_commit(partial(hub.tell, event))
            if process := await self._wanted(event):
                self.after_commit(partial(hub.deliver, process))

    async def _wanted(self, event: Event) -> Process[Raw] | None:
        """The process of an event, if anybody here wants to know of it."""
        if not self.parts.hub.wanted(event):
            return None
        process = await self.store.processes.get(event.colonyname, event.processid)
        return None if process is None else as_it_was(process, event.state)

    def publish_after_commit(self, process: Process[Raw]) -> None:
        """Tell subscribers of a process once this unit of work is committed."""
        self.after_commit(lambda: self.parts.hub.publish(process))


class UnitOfWork:
    """A context whose transaction is committed when the block ends well, and undone when it raises."""

    __slots__ = ("_context", "_session")

    def __init__(self, parts: Parts, caller: Caller, disconnected: Disconnected | None = None) -> None:
        self._session = parts.database.session()
        self._context = Context(parts, caller, Store(self._session), disconnected)

    async def __aenter__(self) -> Context:
        return self._context

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._session.end(commit=kind is None)
        if kind is None:
            self._context.committed()


class LeaderUnit(UnitOfWork):
    """A unit of work of the server as the leader, in one term: when that is over, nothing comes of it.

    Raises:
        NotLeading: the term is over.
    """

    __slots__ = ("_term",)

    def __init__(self, parts: Parts, term: int) -> None:
        super().__init__(parts, SERVER)
        self._term = term

    async def __aenter__(self) -> Context:
        try:
            if await self._context.store.terms.hold(self._term):
                return self._context
            raise NotLeading(f"term {self._term} is over")
        except BaseException:
            await self._session.end(commit=False)
            raise
