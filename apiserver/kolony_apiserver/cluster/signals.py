"""What servers tell one another at once.

Signals travel through PostgreSQL, in the order of their commits, to every server that listens. A *pulse* twice a second
says what its sender wants to hear of; what nobody wants is not sent. It also proves that the sender hears: whoever
misses its own pulses makes its connection anew. Nothing depends on a signal: what was told while a server did not hear,
or not told by one that could not, is looked up in the tables.

What a server does not know it takes to be wanted: as long as it does not hear, and until it has heard all others once.
"""

from __future__ import annotations

import asyncio
import logging
import secrets
from collections.abc import Awaitable, Callable, Iterable, Iterator
from datetime import datetime, timedelta
from typing import Any, NamedTuple, TypeVar

import msgspec

from kolony.errors import KolonyError
from kolony_apiserver.clock import Clock
from kolony_apiserver.cluster.changes import Changes
from kolony_apiserver.cluster.wants import Demand, Interest, Wants
from kolony_apiserver.events.hub import Event, Followed
from kolony_apiserver.metrics import Metrics
from kolony_apiserver.queue.room import Sought, Waiting, WaitingRoom
from kolony_apiserver.store.database import Query
from kolony_apiserver.store.processes import Arrival
from kolony_apiserver.store.signals import MAX_SIGNAL, SignalWires, sending

log = logging.getLogger(__name__)

PULSE_INTERVAL = 0.5
_MISSED_PULSES = 2
"""Pulses of its own that a server may miss; with the next it makes its connection anew."""
_ACQUAINTED_AFTER = 2 * PULSE_INTERVAL
_DEAD_AFTER = 3.0
"""Seconds of silence after which another server counts as dead."""
_IN_FLIGHT = 0.1
"""Seconds within which others commit what they began before they knew what is wanted here."""
_MARGIN = timedelta(seconds=2)
"""How much later than its time says a change may be committed and told."""
_BACKOFF = 0.1
_MOST_CHANGES = 2_000
"""Changes that are told one by one, while one signal is sent; of more, others look up the last."""

T = TypeVar("T")


class Signal(msgspec.Struct, omit_defaults=True, kw_only=True):
    """What one server tells all others."""

    sender: str
    pulse: int = 0
    """The number of this pulse, if it is one."""
    wants: Wants | None = None
    """What the sender wants to hear of from now on."""
    arrived: list[Waiting] = []
    """Processes that wait."""
    changed: list[Event] = []
    """Processes that are in another state."""
    untold: float = 0
    """Seconds back to which the sender may have left something untold."""
    stirred: bool = False
    """Who leads has changed, or is about to."""
    bye: bool = False
    """The sender ends, and has told everything."""


class _Peer(NamedTuple):
    """Another server, as last heard."""

    wants: Wants
    heard: float
    heard_at: datetime


class _Pulse(NamedTuple):
    """A pulse that was sent, and whether it said that something more is wanted here."""

    sent_at: datetime
    news: bool


class Signals:
    """The signals of this server: what its waiting room and its subscribers hear from others, and tell them."""

    def __init__(self, wires: SignalWires, room: WaitingRoom, changes: Changes, clock: Clock, metrics: Metrics) -> None:
        self._wires = wires
        self._room = room
        self._changes = changes
        self._clock = clock
        self._name = secrets.token_hex(8)
        self.when_stirred: Callable[[], None] = lambda: None
        """Told when another server says that the cluster changed."""
        self._sent = metrics.signals.labels("sent")
        self._received = metrics.signals.labels("received")
        self._reconnects = metrics.signal_reconnects
        self._encoder = msgspec.json.Encoder()
        self._decoder = msgspec.json.Decoder(Signal)
        self._tasks: set[asyncio.Task[None]] = set()
        self._listener: asyncio.Task[None] | None = None
        self._sender: asyncio.Task[None] | None = None
        self._started = False

        self._peers: dict[str, _Peer] = {}
        self._sought_elsewhere: Demand[Sought] = Demand()
        self._sought_here: Interest[Sought] = Interest()
        self._followed_elsewhere: Demand[Followed] = Demand()
        self._followed_here: Interest[Followed] = Interest()

        self._due = asyncio.Event()
        self._pulse_due = False
        self._news = False
        self._stirred = False
        self._arrived: dict[int, Waiting] = {}
        self._changed: list[Event] = []
        self._gathering_since: datetime | None = None
        self._untold_since: datetime | None = None

        self._pulses: dict[int, _Pulse] = {}
        self._last_pulse = 0
        self._missed = 0
        self._acquainted_at = float("inf")
        self._heard_to = clock.now()
        self._deaf_since: datetime | None = None

        self._heard = asyncio.Event()
        self._changed_elsewhere: list[Event] = []
        self._stale_since: datetime | None = None

    def start(self) -> None:
        """Begin to hear and to be heard."""
        self._started = True
        self._sender = asyncio.create_task(self._repeat(self._send), name="signals")
        for step in (self._beat, self._inform):
            self._begin(step)
        self._listener = self._begin(self._listen)

    async def stop(self) -> None:
        """Hear no more; what there is to tell is still told."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def close(self) -> None:
        """Tell what is left, and say good-bye."""
        if self._sender is not None:
            self._started = False
            self._due.set()
            await self._sender
        await self._wires.close()

    async def _repeat(self, step: Callable[[], Awaitable[None]]) -> None:
        while self._started or self._due.is_set():
            try:
                await step()
            except Exception:
                log.exception("signals")
                await asyncio.sleep(_BACKOFF)

    def _begin(self, step: Callable[[], Awaitable[None]]) -> asyncio.Task[None]:
        task = asyncio.create_task(self._repeat(step), name="signals")
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task

    # What this server wants

    def sought(self, sought: Sought) -> None:
        """Calls wait here for a colony's processes of this type."""
        if self._started and self._sought_here.add(sought, self._now()):
            self._say_news()

    def followed(self, followed: Followed) -> None:
        """Somebody here subscribes to a state of processes of a colony."""
        if self._started and self._followed_here.add(followed, self._now()):
            self._say_news()

    def _say_news(self) -> None:
        self._news = self._pulse_due = True
        self._due.set()

    def _wanted_here(self) -> Wants:
        sought = self._sought_here.renew(self._room.sought, self._now())
        followed = self._followed_here.renew(self._changes.hub.followed, self._now())
        return Wants(sought=self._bounded(sought), followed=self._bounded(followed))

    def _bounded(self, wanted: frozenset[T]) -> frozenset[T] | None:
        """What is wanted, or `None` for everything where that is too much to say."""
        return wanted if len(self._encoder.encode(wanted)) < MAX_SIGNAL // 3 else None

    # What others want

    def is_sought(self, sought: Sought) -> bool:
        """Whether calls wait elsewhere for a colony's processes of this type."""
        return self._started and (sought in self._sought_elsewhere or self._is_guessing())

    def _is_guessing(self) -> bool:
        return self._now() < self._acquainted_at

    def _learn_wants(self) -> None:
        self._sought_elsewhere.learn(peer.wants.sought for peer in self._peers.values())
        self._followed_elsewhere.learn(peer.wants.followed for peer in self._peers.values())

    # Telling

    def notice(self, arrivals: Iterable[Arrival]) -> Query:
        """The query that tells others of these once its transaction is committed."""
        signals = list(self._of_arrivals(_by_class(arrivals)))
        self._sent.inc(len(signals))
        return sending(signals)

    def arrived(self, waiting: Waiting) -> None:
        """Tell others of processes that are committed."""
        before = self._arrived.get(waiting.classid)
        self._arrived[waiting.classid] = waiting if before is None else before.and_also(waiting)
        self._gather()

    def changed(self, event: Event) -> None:
        """Tell others of a change that is committed, if somebody follows such changes there."""
        followed = (event.colonyname, event.state)
        if not self._started or not (followed in self._followed_elsewhere or self._is_guessing()):
            return
        self._gather()
        self._changed.append(event)
        if len(self._changed) > _MOST_CHANGES and self._gathering_since is not None:
            # Who follows these would lose most of them anyway.
            self._leave_untold(self._gathering_since)
            self._changed.clear()

    def stir(self) -> None:
        """Tell others that the cluster changed."""
        self._stirred = True
        self._gather()

    def _gather(self) -> None:
        if self._gathering_since is None:
            self._gathering_since = self._clock.now()
        self._due.set()

    def _leave_untold(self, since: datetime) -> None:
        self._untold_since = min(since, self._untold_since or since)

    async def _send(self) -> None:
        """Send what there is to tell; what gathers meanwhile goes with the next."""
        await self._due.wait()
        self._due.clear()
        since = min(filter(None, (self._gathering_since, self._untold_since)), default=None)
        signals = self._gathered()
        try:
            await self._wires.send(signals)
        except KolonyError:
            # Whoever wants to know looks it up once a later signal gets through.
            if since is not None:
                self._leave_untold(since)
            await asyncio.sleep(_BACKOFF)
        else:
            self._sent.inc(len(signals))

    def _gathered(self) -> list[str]:
        """All there is to tell, which counts as told from now on."""
        now = self._clock.now()
        first: dict[str, Any] = {}
        if self._pulse_due:
            self._last_pulse += 1
            self._pulses[self._last_pulse] = _Pulse(now, self._news)
            first = {"pulse": self._last_pulse, "wants": self._wanted_here()}
        if self._untold_since is not None:
            first["untold"] = max((now - self._untold_since).total_seconds(), _BACKOFF)
        if self._stirred:
            first["stirred"] = True
        signals = [self._encoded(**first)] if first else []
        signals += self._of_arrivals(self._arrived)
        signals += self._pieces("changed", self._changed)
        if not self._started:
            signals.append(self._encoded(bye=True))
        self._pulse_due = self._news = self._stirred = False
        self._arrived, self._changed = {}, []
        self._gathering_since = self._untold_since = None
        return signals

    def _of_arrivals(self, arrived: dict[int, Waiting]) -> Iterator[str]:
        return self._pieces("arrived", arrived.values())

    def _pieces(self, field: str, items: Iterable[Any]) -> Iterator[str]:
        """Signals that hold these items, as many in each as fit."""
        piece: list[msgspec.Raw] = []
        size = 0
        for item in items:
            encoded = msgspec.Raw(self._encoder.encode(item))
            if piece and size + len(encoded) > MAX_SIGNAL - 100:
                yield self._encoded(**{field: piece})
                piece, size = [], 0
            piece.append(encoded)
            size += len(encoded) + 1
        if piece:
            yield self._encoded(**{field: piece})

    def _encoded(self, **fields: Any) -> str:
        return self._encoder.encode(Signal(sender=self._name, **fields)).decode()

    # Hearing

    async def _beat(self) -> None:
        """Send pulses, and notice when this server or another is not heard any more."""
        self._pulse_due = True
        self._due.set()
        await asyncio.sleep(PULSE_INTERVAL)
        self._missed += 1
        if self._missed > _MISSED_PULSES and self._listener is not None:
            # It may take long to end: its connection may have to time out. Nobody waits for that.
            self._listener.cancel()
            self._fall_deaf("nothing is heard")
            self._listener = self._begin(self._listen)
        self._bury()

    async def _listen(self) -> None:
        """Hear what is told until the connection breaks."""
        try:
            async with self._wires.listening() as signals:
                self._acquainted_at = self._now() + _ACQUAINTED_AFTER
                self._pulse_due = True
                self._due.set()
                async for signal in signals:
                    self._hear(signal)
        except KolonyError as error:
            self._fall_deaf(error.message)
        await asyncio.sleep(_BACKOFF)

    def _fall_deaf(self, why: str) -> None:
        if self._deaf_since is None:
            log.warning("signals: %s; connecting anew", why)
            self._deaf_since = self._heard_to
        self._acquainted_at = float("inf")
        self._missed = 0
        self._reconnects.inc()

    def _hear(self, text: str) -> None:
        try:
            signal = self._decoder.decode(text)
        except msgspec.MsgspecError as error:
            log.warning("a signal cannot be read: %s", error)
            self._look_up(self._clock.now())
            return
        if signal.sender == self._name:
            self._hear_myself(signal.pulse)
            return
        self._received.inc()
        self._note_peer(signal)
        self._room.heard(signal.arrived)
        if wanted := [each for each in signal.changed if self._changes.hub.wanted(each)]:
            self._changed_elsewhere += wanted
            self._heard.set()
        if signal.untold:
            self._look_up(self._clock.now() - timedelta(seconds=signal.untold))
        if signal.stirred:
            self.when_stirred()

    def _hear_myself(self, number: int) -> None:
        """This server hears: at least all that was committed before it sent this pulse."""
        pulse = self._pulses.pop(number, None)
        if pulse is None:
            return
        for earlier in [each for each in self._pulses if each < number]:
            pulse = pulse._replace(news=pulse.news or self._pulses.pop(earlier).news)
        self._missed = 0
        self._heard_to = pulse.sent_at
        if self._deaf_since is not None:
            log.info("signals are heard again")
            # Not knowing what others wanted, this server may have told too little as well.
            self._look_up(self._deaf_since)
            self._leave_untold(self._deaf_since)
            self._due.set()
            self._deaf_since = None
        elif pulse.news and self._peers:
            self._look_up(pulse.sent_at, after=_IN_FLIGHT)

    def _note_peer(self, signal: Signal) -> None:
        if signal.bye:
            self._peers.pop(signal.sender, None)
            self._learn_wants()
            return
        before = self._peers.get(signal.sender)
        wants = signal.wants or (before.wants if before else Wants(sought=None, followed=None))
        self._peers[signal.sender] = _Peer(wants, self._now(), self._clock.now())
        if before is None or before.wants != wants:
            self._learn_wants()

    def _bury(self) -> None:
        """Forget servers that are silent; one that died may have left something untold."""
        if self._is_guessing():
            return
        for name, peer in list(self._peers.items()):
            if peer.heard + _DEAD_AFTER < self._now():
                del self._peers[name]
                self._learn_wants()
                self._look_up(peer.heard_at)

    # Catching up

    def _look_up(self, since: datetime, *, after: float = 0) -> None:
        """Look up what changed since a time, at once or a little later."""
        if after:
            asyncio.get_running_loop().call_later(after, self._look_up, since)
            return
        self._stale_since = min(since, self._stale_since or since)
        self._heard.set()

    async def _inform(self) -> None:
        """Look up what was not heard, then tell subscribers what was."""
        await self._heard.wait()
        self._heard.clear()
        asked = self._clock.now()
        since, self._stale_since = self._stale_since, None
        try:
            if since is not None:
                await self._room.tick()
                await self._changes.catch_up(since - _MARGIN)
            if self._deaf_since is None:
                # What is heard after a gap waits for what was missed in it: events come in their order.
                events, self._changed_elsewhere = self._changed_elsewhere, []
                await self._changes.deliver(events)
        except KolonyError:
            self._look_up(since or asked, after=_BACKOFF)

    @staticmethod
    def _now() -> float:
        return asyncio.get_running_loop().time()


def _by_class(arrivals: Iterable[Arrival]) -> dict[int, Waiting]:
    found: dict[int, Waiting] = {}
    for classid, prioritytime in arrivals:
        waiting = Waiting(classid, prioritytime, 1)
        found[classid] = found[classid].and_also(waiting) if classid in found else waiting
    return found
