"""The waiting room: assign calls park here in memory until a claim has something for them.

A parked call holds no connection and no transaction. One claim at a time serves all who wait; while it runs, further
calls and arrivals gather for the next. A loop makes the claims, or a submit makes one along with what it stores when
somebody waits for that. Life of a call:

    parked --(claim begins)--> claiming --(got one)--> seated
       ^                          |
       '-------(got none)---------'

A call that times out or whose client goes away leaves at once when parked. While claiming it waits for the outcome:
a process that comes then is still the answer to a call that timed out, and goes back to the queue when the client
is gone. Clients are watched only after a moment, so that calls that are served at once pay nothing for it.

Where only the leader claims, its claims carry its term, and all calls leave the room when that is over.

Only what is new costs work: a class in which something arrived is offered to as many parked calls as can be served,
found by the shelves they look at, and a call that is new looks at what waits. However many calls are parked that
cannot take an arrival, nobody looks at them.
"""

from __future__ import annotations

import asyncio
import logging
from collections import Counter, OrderedDict
from collections.abc import Awaitable, Callable, Iterable, Iterator, Sequence
from datetime import datetime, timedelta
from itertools import islice
from typing import NamedTuple, Protocol

from msgspec import Raw

from kolony.crypto import Identity
from kolony.errors import KolonyError, NotLeading, ServerError
from kolony.model.processes import Process
from kolony_apiserver.clock import Clock
from kolony_apiserver.queue import requirements as demands
from kolony_apiserver.queue.classes import ClassIndex, RequirementClass, ShelfKey, View, best, members, shelves_for
from kolony_apiserver.queue.requirements import Offer, Requirements
from kolony_apiserver.store.assignments import AssignmentWrites, Claim, Claimed, Search, Seat, StoredClass
from kolony_apiserver.store.database import Query, Row
from kolony_apiserver.store.processes import Arrival

log = logging.getLogger(__name__)

MAX_SEATS = 256
"""Most calls served by one claim."""

_NO_TERM = -1
_FEW = 4
_WATCHED_FROM = 0.05
"""Seconds after which a call that waits has its client watched, and other servers know that somebody waits here."""

_LOWEST, _HIGHEST = -(2**63), 2**63 - 1
_WIDER = 8
_PROBED_AT_ONCE = 5_000
_CHECKED_AT_ONCE = 1_000
_NEW_CLASSES = timedelta(seconds=10)


class Call:
    """One assign call in the room."""

    __slots__ = ("claiming", "executorid", "future", "gone", "lasting", "moved", "offer", "once", "tried")

    def __init__(self, offer: Offer, executorid: Identity, *, once: bool) -> None:
        self.offer = offer
        self.executorid = executorid
        self.once = once
        self.claiming = False
        self.gone = False
        self.lasting = False
        self.moved = False
        self.tried = False
        self.future: asyncio.Future[Process[Raw] | None] = asyncio.get_running_loop().create_future()

    def answer(self, process: Process[Raw] | None) -> None:
        """End the call, unless it ended before."""
        if self.future.done():
            return
        if process is None and self.moved:
            self.future.set_exception(_moved())
        else:
            self.future.set_result(process)


def _moved() -> NotLeading:
    return NotLeading("this server does not assign: another one leads; try again")


def _sought(call: Call) -> Sought:
    return call.offer.colonyname, call.offer.executortype


def _bench_keys(call: Call) -> list[ShelfKey | str]:
    return [call.executorid, *shelves_for(call.offer)]


class Watch:
    """Looks out for a client that goes away, but only after a moment: calls that are served at once pay nothing."""

    def __init__(self, disconnected: Callable[[], Awaitable[None]], then: Callable[[], None]) -> None:
        self._disconnected = disconnected
        self._then = then
        self._task: asyncio.Task[None] | None = None
        self._timer = asyncio.get_running_loop().call_later(_WATCHED_FROM, self._begin)

    def _begin(self) -> None:
        self._task = asyncio.create_task(self._watch())

    async def _watch(self) -> None:
        await self._disconnected()
        self._then()

    def stop(self) -> None:
        """Look no longer."""
        self._timer.cancel()
        if self._task is not None:
            self._task.cancel()


class Benches:
    """The calls in the room, found by the shelves they look at, and by the executor; each in order of arrival."""

    def __init__(self) -> None:
        self._benches: dict[ShelfKey | str, dict[int, Call]] = {}
        self.calls: dict[int, Call] = {}

    def add(self, call: Call) -> None:
        """Take in a call."""
        self.calls[id(call)] = call
        for key in _bench_keys(call):
            self._benches.setdefault(key, {})[id(call)] = call

    def remove(self, call: Call) -> None:
        """Let a call go."""
        del self.calls[id(call)]
        for key in _bench_keys(call):
            bench = self._benches[key]
            del bench[id(call)]
            if not bench:
                del self._benches[key]

    def of(self, executorid: str) -> list[Call]:
        """The calls of an executor."""
        return list(self._benches.get(executorid, {}).values())

    def takers(self, each: RequirementClass) -> Iterator[Call]:
        """The calls that can take what waits in a class."""
        for shelf in each.shelves:
            for call in self._benches.get(shelf.key, {}).values():
                if not call.future.done() and each.fits(call.offer):
                    yield call


class Plan:
    """One claim: the calls it serves, in the order of their seats, and the classes that each group of them searches."""

    __slots__ = ("_searches", "_seats", "bounded", "calls", "searched")

    def __init__(self) -> None:
        self.calls: list[Call] = []
        self.bounded = False
        """Whether a group leaves out classes that it could search, and takes nothing that may come after theirs."""
        self.searched: set[int] = set()
        """The classes that are searched."""
        self._seats: list[Seat] = []
        self._searches: list[Search] = []

    def add(self, calls: Sequence[Call], classes: Iterable[RequirementClass], high: int) -> None:
        """Take in a group of calls, the classes to search for them, and the prioritytime up to which they may take."""
        group = len(self._searches)
        self.bounded = self.bounded or high < _HIGHEST
        for each in classes:
            each.look()
            low = _LOWEST if each.head is None else each.head
            self._searches.append(Search(grp=group, classid=each.classid, low=low, high=high, most=len(calls)))
            self.searched.add(each.classid)
        for call in calls:
            seat = Seat(
                seat=len(self._seats),
                grp=group,
                colonyname=call.offer.colonyname,
                executorid=call.executorid,
                executorname=call.offer.executorname,
            )
            self._seats.append(seat)
            call.claiming = True
        self.calls += calls

    def claim(self, now: datetime, term: int | None) -> Claim:
        """The claim to make."""
        return Claim(seats=self._seats, searches=self._searches, now=now, term=term)

    def end(self) -> None:
        """The claim was made, or failed."""
        for call in self.calls:
            call.claiming = False


Sought = tuple[str, str]
"""A colony and an executor type for which calls wait."""


class Waiting(NamedTuple):
    """Processes that wait in a class: the smallest of their prioritytimes, and how many they are."""

    classid: int
    prioritytime: int
    number: int

    def and_also(self, other: Waiting) -> Waiting:
        """These and others of the same class."""
        return Waiting(self.classid, min(self.prioritytime, other.prioritytime), self.number + other.number)


class Elsewhere(Protocol):
    """The rooms of other servers."""

    def sought(self, sought: Sought) -> None:
        """Let them know that calls wait here."""

    def is_sought(self, sought: Sought) -> bool:
        """Whether calls wait there."""

    def arrived(self, waiting: Waiting) -> None:
        """Tell them of processes that are committed."""

    def notice(self, arrivals: Iterable[Arrival]) -> Query:
        """The query that tells them of processes, in the transaction that stores these."""


class WaitingRoom:
    """Brings waiting calls and waiting processes together.

    ``term`` tells in which term this server leads, where only the leader claims.
    """

    def __init__(self, writes: AssignmentWrites, clock: Clock, *, term: Callable[[], int | None] | None = None) -> None:
        self.elsewhere: Elsewhere | None = None
        """The rooms of other servers, if there are any."""
        self.sought: Counter[Sought] = Counter()
        """The calls that have waited for a moment."""
        self._writes = writes
        self._clock = clock
        self._term = term
        self._benches = Benches()
        self._new: OrderedDict[int, Call] = OrderedDict()
        self._single: dict[int, Call] = {}
        self._news: OrderedDict[int, None] = OrderedDict()
        self._unknown: list[Waiting] = []
        self._asked: dict[Offer, None] = {}
        self._orphans: list[Process[Raw]] = []
        self._learned = clock.now()
        self._index = ClassIndex()
        self._paused: set[str] = set()
        self._stirred = asyncio.Event()
        self._adding = asyncio.Lock()
        self._claiming = asyncio.Lock()
        self._handover = Plan()
        self._probed = 0
        self._checked = 0
        self._width = 1
        self._open = True

    def __len__(self) -> int:
        return len(self._benches.calls)

    async def load(self) -> None:
        """Learn all classes and what waits in them."""
        self._learned = self._clock.now()
        self._learn(await self._writes.classes(added_within=None, now=self._learned))

    async def take(
        self,
        offer: Offer,
        executorid: Identity,
        *,
        timeout: float,  # noqa: ASYNC109 - it ends a call with an answer, not with a cancellation
        disconnected: Callable[[], Awaitable[None]] | None = None,
    ) -> Process[Raw] | None:
        """A process for this executor, or `None`.

        Waits up to ``timeout`` seconds when it is positive; otherwise makes one attempt. ``disconnected`` returns
        when the client went away, which ends the wait.

        Raises:
            NotLeading: another server claims, or will from now on.
        """
        if not self._claims():
            raise _moved()
        call = Call(offer, executorid, once=timeout <= 0 or not self._open)
        self._benches.add(call)
        self._new[id(call)] = call
        self._asked[offer] = None
        if call.once:
            self._single[id(call)] = call
        self._stirred.set()
        timers: list[asyncio.TimerHandle] = []
        watch = None
        if not call.once:
            loop = asyncio.get_running_loop()
            timers = [
                loop.call_later(timeout, self._expire, call),
                loop.call_later(_WATCHED_FROM, self._stays, call),
            ]
            if disconnected is not None:
                watch = Watch(disconnected, lambda: self._abandon(call))
        try:
            return await call.future
        except asyncio.CancelledError:
            self._recover(call.future)
            raise
        finally:
            call.gone = call.future.cancelled()
            self._benches.remove(call)
            self._new.pop(id(call), None)
            self._single.pop(id(call), None)
            if call.lasting:
                self._leaves(_sought(call))
            for timer in timers:
                timer.cancel()
            if watch is not None:
                watch.stop()

    def _recover(self, future: asyncio.Future[Process[Raw] | None]) -> None:
        """Put back what was given to a call in the moment in which it was cancelled."""
        if not future.cancelled() and future.done() and not future.exception() and (process := future.result()):
            self.give_back(process)

    def _claims(self) -> bool:
        """Whether this server may claim now."""
        return self._term is None or self._term() is not None

    def _claim(self, plan: Plan) -> Claim:
        # A term that ended a moment ago is one that no claim is made in.
        term = None if self._term is None else self._term() or _NO_TERM
        return plan.claim(self._clock.now(), term)

    def _stays(self, call: Call) -> None:
        call.lasting = True
        sought = _sought(call)
        self.sought[sought] += 1
        if self.elsewhere is not None:
            self.elsewhere.sought(sought)

    def _leaves(self, sought: Sought) -> None:
        self.sought[sought] -= 1
        if not self.sought[sought]:
            del self.sought[sought]

    def _expire(self, call: Call) -> None:
        call.once = True
        if call.claiming:
            self._single[id(call)] = call
        else:
            call.answer(None)

    def _abandon(self, call: Call) -> None:
        call.gone = True
        self._expire(call)

    async def class_ids(self, wanted: Sequence[tuple[str, Requirements]]) -> list[int]:
        """The ids of the classes of these colonies and demands; new ones are made."""
        found = [self._index.classid(colony, needs) for colony, needs in wanted]
        if None in found:
            await self._add_classes([each for each, known in zip(wanted, found, strict=True) if known is None])
            found = [self._index.classid(colony, needs) for colony, needs in wanted]
        return [classid for classid in found if classid is not None]

    async def _add_classes(self, wanted: Iterable[tuple[str, Requirements]]) -> None:
        async with self._adding:
            new = [each for each in dict.fromkeys(wanted) if self._index.classid(*each) is None]
            if new:
                ids = await self._writes.add_classes([(colony, demands.encode(needs)) for colony, needs in new])
                for classid, (colony, needs) in zip(ids, new, strict=True):
                    self._index.add(classid, colony, needs)

    def forget_classes(self, classids: Iterable[int]) -> None:
        """Forget classes that the database may have removed."""
        for classid in classids:
            self._index.remove(classid)

    def forget_colony(self, colonyname: str) -> None:
        """Forget the classes of a colony that was removed."""
        self._index.remove_colony(colonyname)
        self._paused.discard(colonyname)

    def arrived(self, classid: int, prioritytime: int, *, told: bool = False) -> None:
        """A process waits in a class: wake those who can take it, also elsewhere if others were not told."""
        waiting = Waiting(classid, prioritytime, 1)
        self._note(waiting)
        if not told:
            self._tell(waiting)

    def heard(self, arrivals: Iterable[Waiting]) -> None:
        """Another server has processes that wait."""
        for waiting in arrivals:
            if self._index.get(waiting.classid) is None:
                self._unknown.append(waiting)
                self._stirred.set()
            else:
                self._note(waiting)

    def _note(self, waiting: Waiting) -> None:
        self._index.arrived(waiting.classid, waiting.prioritytime, waiting.number)
        if self._benches.calls:
            self._news[waiting.classid] = None
            self._stirred.set()

    def _tell(self, waiting: Waiting) -> None:
        """Let others know of what arrived, if they wait for what those who wait here leave."""
        if self.elsewhere is not None and self._is_sought_elsewhere(self.elsewhere, waiting.classid):
            self.elsewhere.arrived(waiting)

    def notice(self, arrivals: Iterable[Arrival]) -> Query | None:
        """A query that tells other servers of these, in the transaction that stores them; `None` where none seeks them.

        It goes with a submit that carries no claim; what a claim leaves is told after it. So are more than a few: under
        load a moment matters less than that notifications make all commits wait for each other.
        """
        arrived = list(arrivals)
        if self.elsewhere is None or len(arrived) > _FEW:
            return None
        counts = Counter(classid for classid, _ in arrived)
        told = {classid for classid in counts if self._is_sought_elsewhere(self.elsewhere, classid, counts[classid])}
        return self.elsewhere.notice(each for each in arrived if each[0] in told) if told else None

    def _is_sought_elsewhere(self, elsewhere: Elsewhere, classid: int, more: int = 0) -> bool:
        """Whether others wait for a class in which, with ``more`` to come, more waits than is waited for here."""
        each = self._index.get(classid)
        if each is None or each.colonyname in self._paused:
            return False
        if not elsewhere.is_sought((each.colonyname, each.requirements.executortype)):
            return False
        waiting = MAX_SEATS if each.waiting is None else min(each.waiting + more, MAX_SEATS)
        return sum(1 for _ in islice(self._benches.takers(each), waiting)) < waiting

    async def handover(self, arrivals: Iterable[Arrival]) -> Query | None:
        """A claim to make in the transaction that stores these; `None` where nobody waits for them, or one is made.

        `handed_over` or `not_handed_over` has to follow; no other claim is made before.
        """
        if self._claiming.locked() or not self._claims():
            return None
        arrived = list(arrivals)
        wanted = {classid for classid in {classid for classid, _ in arrived} if self._is_wanted(classid)}
        if not wanted:
            return None
        for classid, prioritytime in arrived:
            if classid in wanted:
                self._note(Waiting(classid, prioritytime, 1))
        await self._claiming.acquire()
        self._handover = self._plan(self._chosen())
        return self._claim(self._handover).query()

    def handed_over(self, rows: Sequence[Row], stored: Iterable[Arrival]) -> None:
        """Give out what was claimed with a submit, and tell of what was stored in classes that were not searched."""
        plan = self._end_handover()
        self._settle(plan, Claimed.of(rows))
        for classid, prioritytime in stored:
            if classid in plan.searched:
                self._tell(Waiting(classid, prioritytime, 1))
            else:
                self.arrived(classid, prioritytime)

    def not_handed_over(self) -> None:
        """Leave those who wait where they are: the transaction failed."""
        self._look_again(self._end_handover())

    def _end_handover(self) -> Plan:
        plan, self._handover = self._handover, Plan()
        plan.end()
        self._claiming.release()
        self._stirred.set()
        return plan

    def _is_wanted(self, classid: int) -> bool:
        each = self._index.get(classid)
        return (
            each is not None
            and each.colonyname not in self._paused
            and next(self._benches.takers(each), None) is not None
        )

    def give_back(self, process: Process[Raw]) -> None:
        """Queue a process again whose executor will not learn of it."""
        self._orphans.append(process)
        self._stirred.set()

    def pause(self, colonyname: str) -> None:
        """Stop claiming for a colony."""
        self._paused.add(colonyname)

    def is_paused(self, colonyname: str) -> bool:
        """Whether nothing is claimed for a colony, as far as this server has heard."""
        return colonyname in self._paused

    def resume(self, colonyname: str) -> None:
        """Claim for a colony again."""
        self._paused.discard(colonyname)
        self._news.update(dict.fromkeys(self._index.waiting_in(colonyname)))
        self._stirred.set()

    def present(self) -> set[tuple[str, str]]:
        """The executors that have calls in the room, by colony and name."""
        return {(call.offer.colonyname, call.offer.executorname) for call in self._benches.calls.values()}

    def offers_of(self, executorid: str) -> list[Offer]:
        """What an executor offers in the calls that it has in the room."""
        return [call.offer for call in self._benches.of(executorid)]

    def dismiss(self, identities: Iterable[str]) -> None:
        """End the calls of executors that are something else now; asking again tells them what."""
        for executorid in identities:
            for call in self._benches.of(executorid):
                self._expire(call)

    def vacate(self) -> None:
        """Let all calls leave: another server claims for them from now on."""
        for call in list(self._benches.calls.values()):
            call.moved = True
            self._expire(call)

    def shut(self) -> None:
        """Answer parked calls as at their timeout, and let nobody park any more."""
        self._open = False
        for call in list(self._benches.calls.values()):
            self._expire(call)

    async def run(self) -> None:
        """The claim loop; ends by cancellation."""
        while True:
            await self._stirred.wait()
            self._stirred.clear()
            # Whatever fails, the parked calls stay; the next tick tries again.
            try:
                await self._put_back()
                await self._learn_unknown()
                while self._claims() and (self._new or (self._news and self._benches.calls)):
                    await self._claim_once()
            except KolonyError as error:
                log.warning("claim failed: %s", error.message)
                self._end_single_attempts(error)
            except Exception:
                log.exception("claim failed")
                self._end_single_attempts(ServerError("the server failed; its log says why"))
            else:
                self._end_single_attempts(None)

    async def tick(self) -> None:
        """Correct the hints from the database: new classes, heads, pauses. To be called every second."""
        await self._learn_new()
        await self._forget_gone()
        await self._learn_pauses()
        # Also what was asked for by calls that were served at once: while nobody waits, hints go astray as well.
        asked, self._asked = self._asked, {}
        offers = asked | dict.fromkeys(call.offer for call in self._benches.calls.values())
        views = {view: None for offer in offers for view in self._index.views(offer)}
        reachable = list(members(views, start=self._probed, count=_PROBED_AT_ONCE))
        self._probed = self._probed + _PROBED_AT_ONCE if len(reachable) == _PROBED_AT_ONCE else 0
        for each in reachable:
            each.look()
        if reachable:
            self._note_heads(await self._writes.heads([each.classid for each in reachable]))
        self._news.update(dict.fromkeys(each.classid for each in reachable if each.head is not None))
        self._stirred.set()

    async def _learn_new(self) -> None:
        now = self._clock.now()
        self._learn(await self._writes.classes(added_within=now - self._learned + _NEW_CLASSES, now=now))
        self._learned = now

    async def _forget_gone(self) -> None:
        """Forget the classes that the leader removed, some at a time."""
        some = self._index.ids(start=self._checked, count=_CHECKED_AT_ONCE)
        self._checked = self._checked + len(some) if len(some) == _CHECKED_AT_ONCE else 0
        if some:
            self.forget_classes(await self._writes.gone(some))

    async def _learn_unknown(self) -> None:
        """Learn the classes that another server made a moment ago."""
        if self._unknown:
            await self._learn_new()
            unknown, self._unknown = self._unknown, []
            for waiting in unknown:
                self._note(waiting)

    async def _learn_pauses(self) -> None:
        before, self._paused = self._paused, await self._writes.paused()
        for colonyname in before - self._paused:
            self.resume(colonyname)

    def _learn(self, classes: Iterable[StoredClass]) -> None:
        for stored in classes:
            if self._index.get(stored.classid) is None:
                each = self._index.add(stored.classid, stored.colonyname, demands.decode(stored.requirements))
                self._index.seen(each, stored.head)

    def _note_heads(self, heads: dict[int, int | None]) -> bool:
        known = [(each, head) for classid, head in heads.items() if (each := self._index.get(classid)) is not None]
        changes = [self._index.seen(each, head) for each, head in known]
        return any(changes)

    async def _claim_once(self) -> None:
        """Claim for those whom the news concerns."""
        async with self._claiming:
            plan = self._plan(self._chosen())
            if not plan.calls:
                return
            try:
                claimed = await self._writes.claim(self._claim(plan))
            finally:
                plan.end()
            self._settle(plan, claimed)
        await self._put_back()

    def _settle(self, plan: Plan, claimed: Claimed) -> None:
        # No await before all are answered: a call that ends in between would lose its process.
        for number, call in enumerate(plan.calls):
            if (process := claimed.processes.get(number)) is not None:
                if call.gone:
                    self._orphans.append(process)
                call.answer(process)
        if self._note_heads(claimed.heads) or claimed.processes:
            # Where something moved, whoever got nothing may find something elsewhere, and others what is left.
            self._look_again(plan)
            self._news.update(dict.fromkeys(classid for classid, head in claimed.heads.items() if head is not None))
        self._widen(plan, served=bool(claimed.processes))

    def _look_again(self, plan: Plan) -> None:
        self._new.update((id(call), call) for call in plan.calls if not call.future.done())

    def _widen(self, plan: Plan, *, served: bool) -> None:
        """Search more classes where the first of them had nothing: what waited there ended, or somebody holds it."""
        if served or not plan.bounded:
            self._width = 1
        else:
            self._width *= _WIDER
            self._look_again(plan)

    def _chosen(self) -> list[Call]:
        """The calls to claim for now: as many as the news can serve, and those that are new."""
        chosen: dict[int, Call] = {}
        while self._news and len(chosen) < MAX_SEATS:
            classid, _ = self._news.popitem(last=False)
            each = self._index.get(classid)
            if each is not None and each.head is not None and each.colonyname not in self._paused:
                free = MAX_SEATS - len(chosen)
                wanted = free if each.waiting is None else min(each.waiting, free)
                takers = (call for call in self._benches.takers(each) if id(call) not in chosen)
                chosen.update((id(call), call) for call in islice(takers, wanted))
        while self._new and len(chosen) < MAX_SEATS:
            key, call = self._new.popitem(last=False)
            if call.offer.colonyname not in self._paused:
                chosen[key] = call
            elif call.once:
                call.answer(None)
        return [call for call in chosen.values() if not call.future.done()]

    def _plan(self, calls: Iterable[Call]) -> Plan:
        """Group the calls by the classes they search."""
        views: dict[tuple[View, ...], list[Call]] = {}
        for call in calls:
            views.setdefault(self._index.views(call.offer), []).append(call)
        groups: dict[tuple[int, ...], tuple[list[Call], list[RequirementClass]]] = {}
        for reach, alike in views.items():
            classes, high = self._classes(reach, alike)
            group, _ = groups.setdefault((high, *(each.classid for each in classes)), ([], classes))
            group += alike
        plan = Plan()
        for (high, *_), (group, classes) in groups.items():
            for call in group:
                call.tried = True
            if classes:
                plan.add(group, classes, high)
        return plan

    def _classes(self, views: tuple[View, ...], calls: Sequence[Call]) -> tuple[list[RequirementClass], int]:
        """The classes that these calls search, and up to which prioritytime."""
        width = min(len(calls) * self._width, _PROBED_AT_ONCE)
        found = best(views, width + 1)
        if not found and any(call.once and not call.tried for call in calls):
            # Nothing is known to wait, but whoever asks only once is owed a look.
            return list(members(views, start=0, count=_PROBED_AT_ONCE)), _HIGHEST
        beyond = found[width].head if width < min(len(found), _PROBED_AT_ONCE) else None
        return found[:width], _HIGHEST if beyond is None else beyond

    def _end_single_attempts(self, error: KolonyError | None) -> None:
        for call in list(self._single.values()):
            if call.future.done() or call.claiming:
                continue
            if error is not None and not call.moved:
                call.future.set_exception(error)
            elif call.tried or call.moved:
                call.answer(None)

    async def _put_back(self) -> None:
        """Queue again what was claimed for clients that went away; what cannot be now waits for the next stir."""
        while self._orphans:
            try:
                released = await self._writes.release(self._orphans[-1])
            except KolonyError as error:
                log.warning("a process stays with an executor that does not know of it: %s", error.message)
                return
            self._orphans.pop()
            if released is not None:
                self.arrived(*released)
