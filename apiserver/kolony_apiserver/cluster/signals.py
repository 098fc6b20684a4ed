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
from collections.abc import Callable, Coroutine, Iterable, Iterator
from datetime import datetime, timedelta
from typing import Any, NamedTuple

import msgspec

from kolony.errors import KolonyError
from kolony_apiserver.clock import Clock
from kolony_apiserver.cluster.wants import Demand, Interest, Wants
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
_SEND_TIMEOUT = 5.0


class Signal(msgspec.Struct, omit_defaults=True, kw_only=True):
    """What one server tells all others."""

    sender: str
    pulse: int = 0
    """The number of this pulse, if it is one."""
    wants: Wants | None = None
    """What the sender wants to hear of from now on."""
    arrived: list[Waiting] = []
    """Processes that wait."""
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
    """The signals of this server, which tell its waiting room what waits elsewhere, and others what waits here."""

    def __init__(self, wires: SignalWires, room: WaitingRoom, clock: Clock, metrics: Metrics) -> None:
        self._wires = wires
        self._room = room
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

        self._due = asyncio.Event()
        self._pulse_due = False
        self._news = False
        self._stirred = False
        self._arrived: dict[int, Waiting] = {}
        self._gathering_since: datetime | None = None
        self._untold_since: datetime | None = None

        self._pulses: dict[int, _Pulse] = {}
        self._last_pulse = 0
        self._missed = 0
        self._acquainted_at = float("inf")
        self._heard_to = clock.now()
        self._deaf_since: datetime | None = None

        self._stale = asyncio.Event()

    def start(self) -> None:
        """Begin to hear and to be heard."""
        self._started = True
        self._sender = asyncio.create_task(self._send(), name="signals")
        self._listener = self._begin(self._listen())
        self._begin(self._beat())
        self._begin(self._catch_up())

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

    def _begin(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        task = asyncio.create_task(work, name="signals")
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task

    # What this server wants

    def sought(self, sought: Sought) -> None:
        """Calls wait here for a colony's processes of this type."""
        if self._started and self._sought_here.add(sought, self._now()):
            self._say_news()

    def _say_news(self) -> None:
        self._news = self._pulse_due = True
        self._due.set()

    def _wanted_here(self) -> Wants:
        wants = Wants(sought=self._sought_here.renew(self._room.sought, self._now()))
        return wants if len(self._encoder.encode(wants)) < MAX_SIGNAL // 2 else Wants(sought=None)

    # What others want

    def is_sought(self, sought: Sought) -> bool:
        """Whether calls wait elsewhere for a colony's processes of this type."""
        return self._started and (sought in self._sought_elsewhere or self._is_guessing())

    def _is_guessing(self) -> bool:
        return self._now() < self._acquainted_at

    def _learn_wants(self) -> None:
        self._sought_elsewhere.learn(peer.wants.sought for peer in self._peers.values())

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
        while self._started:
            await self._due.wait()
            self._due.clear()
            since = min(filter(None, (self._gathering_since, self._untold_since)), default=None)
            signals = self._gathered()
            try:
                async with asyncio.timeout(_SEND_TIMEOUT):
                    await self._wires.send(signals)
            except (KolonyError, TimeoutError):
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
        if not self._started:
            signals.append(self._encoded(bye=True))
        self._pulse_due = self._news = self._stirred = False
        self._arrived = {}
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
        while True:
            self._pulse_due = True
            self._due.set()
            await asyncio.sleep(PULSE_INTERVAL)
            self._missed += 1
            if self._missed > _MISSED_PULSES:
                # It may take long to end: its connection may have to time out. Nobody waits for that.
                assert self._listener is not None
                self._listener.cancel()
                self._fall_deaf("nothing is heard")
                self._listener = self._begin(self._listen())
            self._bury()

    async def _listen(self) -> None:
        while True:
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
        wants = signal.wants or (before.wants if before else Wants(sought=None))
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
        """Look up in a while what changed since a time."""
        asyncio.get_running_loop().call_later(after, self._stale.set)

    async def _catch_up(self) -> None:
        while True:
            await self._stale.wait()
            self._stale.clear()
            try:
                await self._room.tick()
            except KolonyError:
                # It says so itself, every second.
                await asyncio.sleep(_BACKOFF)
                self._stale.set()

    @staticmethod
    def _now() -> float:
        return asyncio.get_running_loop().time()


def _by_class(arrivals: Iterable[Arrival]) -> dict[int, Waiting]:
    found: dict[int, Waiting] = {}
    for classid, prioritytime in arrivals:
        waiting = Waiting(classid, prioritytime, 1)
        found[classid] = found[classid].and_also(waiting) if classid in found else waiting
    return found
