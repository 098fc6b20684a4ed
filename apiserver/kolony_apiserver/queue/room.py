"""The waiting room: assign calls park here in memory until a claim has something for them.

A parked call holds no connection and no transaction. One loop claims for all who wait; while a claim runs, further
calls and arrivals gather for the next. Life of a call:

    parked --(claim begins)--> claiming --(got one)--> seated
       ^                          |
       '-------(got none)---------'

A call that times out or whose client goes away leaves at once when parked. While claiming it waits for the outcome:
a process that comes then is still the answer to a call that timed out, and goes back to the queue when the client
is gone. Clients are watched only from a second on, so that calls that are served at once pay nothing for it.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Iterable, Sequence
from datetime import timedelta

from msgspec import Raw

from kolony.crypto import Identity
from kolony.errors import KolonyError
from kolony.model.processes import Process
from kolony_apiserver.clock import Clock
from kolony_apiserver.queue import requirements as demands
from kolony_apiserver.queue.classes import ClassIndex, RequirementClass, View, best, members
from kolony_apiserver.queue.requirements import Offer, Requirements
from kolony_apiserver.store.assignments import AssignmentWrites, Reach, Seat, StoredClass

log = logging.getLogger(__name__)

MAX_SEATS = 256
"""Most calls served by one claim."""

_WATCHED_FROM = 1.0
_LOWEST = -(2**63)
_PROBED_AT_ONCE = 5_000
_NEW_CLASSES = timedelta(seconds=10)


class Call:
    """One assign call in the room."""

    __slots__ = ("claiming", "executorid", "future", "gone", "offer", "once", "tried")

    def __init__(self, offer: Offer, executorid: Identity, *, once: bool) -> None:
        self.offer = offer
        self.executorid = executorid
        self.once = once
        self.claiming = False
        self.gone = False
        self.tried = False
        self.future: asyncio.Future[Process[Raw] | None] = asyncio.get_running_loop().create_future()

    def answer(self, process: Process[Raw] | None) -> None:
        """End the call, unless it ended before."""
        if not self.future.done():
            self.future.set_result(process)


class Plan:
    """One claim: the calls it serves, in the order of their seats, and what each group of them searches."""

    __slots__ = ("_groups", "calls", "reach", "seats")

    def __init__(self) -> None:
        self.calls: list[Call] = []
        self.seats: list[Seat] = []
        self.reach: list[Reach] = []
        self._groups = 0

    def add(self, calls: list[Call], classes: list[RequirementClass]) -> None:
        """Take in a group of calls and the classes to search for them; what arrives in these counts from now on."""
        self._groups += 1
        for each in classes:
            each.arrived = None
            low = _LOWEST if each.head is None else each.head
            self.reach.append(Reach(grp=self._groups, classid=each.classid, low=low))
        for call in calls:
            seat = Seat(
                seat=len(self.seats),
                grp=self._groups,
                colonyname=call.offer.colonyname,
                executorid=call.executorid,
                executorname=call.offer.executorname,
            )
            self.seats.append(seat)
        self.calls += calls


class WaitingRoom:
    """Brings waiting calls and waiting processes together."""

    def __init__(self, writes: AssignmentWrites, clock: Clock) -> None:
        self._writes = writes
        self._clock = clock
        self._calls: dict[int, Call] = {}
        self._index = ClassIndex()
        self._paused: set[str] = set()
        self._stirred = asyncio.Event()
        self._adding = asyncio.Lock()
        self._probed = 0
        self._open = True

    def __len__(self) -> int:
        return len(self._calls)

    async def load(self) -> None:
        """Learn all classes and what waits in them."""
        self._learn(await self._writes.classes(added_within=None, now=self._clock.now()))

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
        """
        call = Call(offer, executorid, once=timeout <= 0 or not self._open)
        key = id(call)
        self._calls[key] = call
        self._stirred.set()
        loop = asyncio.get_running_loop()
        timers = []
        watches: list[asyncio.Task[None]] = []
        if not call.once:
            timers.append(loop.call_later(timeout, self._expire, call))
            if disconnected is not None:
                timers.append(
                    loop.call_later(
                        _WATCHED_FROM,
                        lambda: watches.append(loop.create_task(self._watch(call, disconnected))),
                    )
                )
        try:
            return await call.future
        finally:
            call.gone = call.future.cancelled()
            del self._calls[key]
            for timer in timers:
                timer.cancel()
            for task in watches:
                task.cancel()

    def _expire(self, call: Call) -> None:
        call.once = True
        if not call.claiming:
            call.answer(None)

    async def _watch(self, call: Call, disconnected: Callable[[], Awaitable[None]]) -> None:
        await disconnected()
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

    def arrived(self, classid: int, prioritytime: int) -> None:
        """A process waits in a class: wake those who can take it."""
        if self._index.arrived(classid, prioritytime) and self._calls:
            self._stirred.set()

    def pause(self, colonyname: str) -> None:
        """Stop claiming for a colony."""
        self._paused.add(colonyname)

    def resume(self, colonyname: str) -> None:
        """Claim for a colony again."""
        self._paused.discard(colonyname)
        self._stirred.set()

    def shut(self) -> None:
        """Answer parked calls as at their timeout, and let nobody park any more."""
        self._open = False
        for call in list(self._calls.values()):
            self._expire(call)

    async def run(self) -> None:
        """The claim loop; ends by cancellation."""
        while True:
            await self._stirred.wait()
            self._stirred.clear()
            try:
                while await self._claim_once():
                    pass
            except KolonyError as error:
                # The parked calls stay; the next tick tries again.
                log.warning("claim failed: %s", error.message)
                self._end_single_attempts(error)
            else:
                self._end_single_attempts(None)

    async def tick(self) -> None:
        """Correct the hints from the database: new classes, heads, pauses. To be called every second."""
        now = self._clock.now()
        self._learn(await self._writes.classes(added_within=_NEW_CLASSES, now=now))
        self._paused = await self._writes.paused()
        views = {view for call in self._calls.values() for view in self._index.views(call.offer)}
        reachable = list(
            dict.fromkeys(each.classid for each in members(views, start=self._probed, count=_PROBED_AT_ONCE))
        )
        self._probed = self._probed + _PROBED_AT_ONCE if len(reachable) == _PROBED_AT_ONCE else 0
        if reachable:
            for classid in reachable:
                if (each := self._index.get(classid)) is not None:
                    each.arrived = None
            self._note_heads(await self._writes.heads(reachable))
        self._stirred.set()

    def _learn(self, classes: Iterable[StoredClass]) -> None:
        for stored in classes:
            if self._index.get(stored.classid) is None:
                each = self._index.add(stored.classid, stored.colonyname, demands.decode(stored.requirements))
                self._index.set_head(each, stored.head)

    def _note_heads(self, heads: dict[int, int | None]) -> bool:
        """Take over what a statement saw, unless something smaller arrived while it ran; whether any changed."""
        changed = False
        for classid, head in heads.items():
            each = self._index.get(classid)
            if each is None:
                continue
            if each.arrived is not None and (head is None or each.arrived < head):
                head = each.arrived
            changed = changed or head != each.head
            self._index.set_head(each, head)
        return changed

    async def _claim_once(self) -> bool:
        """Claim once for those who wait; whether claiming again at once may bring more."""
        calls: list[Call] = []
        for call in self._calls.values():
            if call.future.done():
                continue
            if call.offer.colonyname not in self._paused:
                calls.append(call)
            elif call.once:
                call.answer(None)
        plan = self._plan(calls[:MAX_SEATS])
        if not plan.seats:
            return False
        for call in plan.calls:
            call.claiming = True
        try:
            claimed = await self._writes.claim(plan.seats, plan.reach, self._clock.now())
        finally:
            for call in plan.calls:
                call.claiming = False
        # No await before all are answered: a call that ends in between would lose its process.
        orphans = []
        for number, call in enumerate(plan.calls):
            if (process := claimed.processes.get(number)) is not None:
                if call.gone:
                    orphans.append(process)
                call.answer(process)
        changed = self._note_heads(claimed.heads)
        for process in orphans:
            await self._put_back(process)
        return changed or bool(claimed.processes)

    def _plan(self, calls: list[Call]) -> Plan:
        """Group the calls by what they can take, and choose the classes each group searches."""
        groups: dict[tuple[View, ...], list[Call]] = {}
        for call in calls:
            groups.setdefault(self._index.views(call.offer), []).append(call)
        plan = Plan()
        for views, group in groups.items():
            classes = best(views, len(group))
            if not classes and any(call.once and not call.tried for call in group):
                # Nothing is known to wait, but whoever asks only once is owed a look.
                classes = list(members(views, start=0, count=_PROBED_AT_ONCE))
            for call in group:
                call.tried = True
            if classes:
                plan.add(group, classes)
        return plan

    def _end_single_attempts(self, error: KolonyError | None) -> None:
        for call in self._calls.values():
            if not (call.once and call.tried) or call.future.done():
                continue
            if error is None:
                call.answer(None)
            else:
                call.future.set_exception(error)

    async def _put_back(self, process: Process[Raw]) -> None:
        released = await self._writes.release(process)
        if released is not None:
            self.arrived(*released)
