"""The relay: assign calls that wait on one server are parked with another, over one connection that is kept.

The server that asks is the *follower*, the other the *leader*. A frame is its length, a seal, and one message. Each
server has a secret that the others read in the database; both ends prove with fresh nonces that they know the leader's,
and seal each frame with a key made from it, so clients can neither open such a connection nor add to it.

A process is in one pair of hands, wherever the connection breaks, and also when one end was stopped for a while and
then finds old frames. The follower confirms what it was given, the leader leaves it to the follower, and only then is
the client told. When the connection breaks, the leader puts back into the queue what was not confirmed, and the
follower what was not left to it; that both do so is harmless.
"""

from __future__ import annotations

import asyncio
import contextlib
import hmac
import itertools
import logging
import secrets
from collections.abc import Awaitable, Callable

import msgspec
from msgspec import Raw

from kolony.crypto import Identity
from kolony.errors import KolonyError, NotLeading, from_reply
from kolony.model.processes import Process
from kolony_apiserver.queue.requirements import Offer
from kolony_apiserver.queue.room import Watch
from kolony_apiserver.store.servers import Member

log = logging.getLogger(__name__)

Take = Callable[..., Awaitable[Process[Raw] | None]]
"""`WaitingRoom.take` of the leader."""

PING_INTERVAL = 0.5
SILENCE = 2.0
"""Seconds without a frame after which the other end is taken for lost."""

_NONCE = 16
_SEAL = 16
_LENGTH = 4
_LONGEST = 256 * 1024**2
_PROCESS = msgspec.json.Decoder(Process[Raw])


class Park(msgspec.Struct, frozen=True, tag="park", array_like=True):
    """Wait for a process for this executor; without a positive timeout only look."""

    call: int
    offer: Offer
    executorid: str
    timeout: float


class Leave(msgspec.Struct, frozen=True, tag="leave", array_like=True):
    """The client of a call went away."""

    call: int


class Confirm(msgspec.Struct, frozen=True, tag="confirm", array_like=True):
    """The process that was given to a call has arrived."""

    call: int


class Give(msgspec.Struct, frozen=True, tag="give", array_like=True):
    """The outcome of a call: a process as JSON, or nothing."""

    call: int
    process: bytes = b""


class Keep(msgspec.Struct, frozen=True, tag="keep", array_like=True):
    """The process that was confirmed is the follower's: its client may be told."""

    call: int


class Refuse(msgspec.Struct, frozen=True, tag="refuse", array_like=True):
    """A call ended with an error; ``moved`` when another server leads."""

    call: int
    status: int
    message: str
    moved: bool


class Ping(msgspec.Struct, frozen=True, tag="ping", array_like=True):
    """This end is alive."""


Frame = Park | Leave | Confirm | Give | Keep | Refuse | Ping
_ENCODER = msgspec.msgpack.Encoder()
_DECODER: msgspec.msgpack.Decoder[Frame] = msgspec.msgpack.Decoder(Frame)


class _Wire:
    """One end of a connection, once both ends have proved themselves."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, own: bytes, other: bytes) -> None:
        self._reader = reader
        self._writer = writer
        self._own, self._other = own, other
        self._sent, self._received = itertools.count(), itertools.count()

    @classmethod
    async def shake_hands(
        cls, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, secret: str, *, leads: bool
    ) -> _Wire:
        """Exchange nonces and prove knowledge of the secret, each end with its first frame."""
        nonce = secrets.token_bytes(_NONCE)
        writer.write(nonce)
        theirs = await reader.readexactly(_NONCE)
        both = theirs + nonce if leads else nonce + theirs
        keys = {role: hmac.digest(secret.encode(), role + both, "sha256") for role in (b"follower", b"leader")}
        own, other = (b"leader", b"follower") if leads else (b"follower", b"leader")
        wire = cls(reader, writer, keys[own], keys[other])
        wire.send(Ping())
        await wire.receive()
        return wire

    def send(self, frame: Frame) -> None:
        if self._writer.transport.is_closing():
            return  # whoever receives is about to learn that the connection broke
        body = _ENCODER.encode(frame)
        seal = _seal(self._own, next(self._sent), body)
        self._writer.write(len(body).to_bytes(_LENGTH) + seal + body)

    async def receive(self) -> Frame:
        head = await self._reader.readexactly(_LENGTH + _SEAL)
        length, seal = int.from_bytes(head[:_LENGTH]), head[_LENGTH:]
        if length > _LONGEST:
            raise ConnectionAbortedError("a frame is too long")
        body = await self._reader.readexactly(length)
        if not hmac.compare_digest(seal, _seal(self._other, next(self._received), body)):
            raise ConnectionAbortedError("a frame is not sealed by a server of this cluster")
        return _DECODER.decode(body)

    async def pings(self) -> None:
        """Show for ever that this end is alive."""
        while True:
            await asyncio.sleep(PING_INTERVAL)
            self.send(Ping())
            await self._writer.drain()

    def close(self) -> None:
        self._writer.transport.abort()


def _seal(key: bytes, number: int, body: bytes) -> bytes:
    return hmac.digest(key, number.to_bytes(8) + body, "sha256")[:_SEAL]


_BROKEN = (OSError, EOFError, TimeoutError, msgspec.MsgspecError)


class RelayListener:
    """The leader's end: takes the calls of followers into the waiting room."""

    def __init__(self, secret: str, take: Take, give_back: Callable[[Process[Raw]], None]) -> None:
        self._secret = secret
        self._take = take
        self._give_back = give_back
        self._server: asyncio.Server | None = None
        self._connections: set[asyncio.Task[None]] = set()

    async def listen(self, host: str, port: int) -> int:
        """Begin; the port that it listens on."""
        self._server = await asyncio.start_server(self._accept, host, port)
        return int(self._server.sockets[0].getsockname()[1])

    async def close(self) -> None:
        """End all connections; calls that wait are parked elsewhere by those who asked."""
        if self._server is not None:
            self._server.close()
        for connection in self._connections:
            connection.cancel()
        await asyncio.gather(*self._connections, return_exceptions=True)

    def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        connection = asyncio.create_task(self._serve(reader, writer))
        self._connections.add(connection)
        connection.add_done_callback(self._connections.discard)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            async with asyncio.timeout(SILENCE):
                wire = await _Wire.shake_hands(reader, writer, self._secret, leads=True)
        except _BROKEN as error:
            log.warning("relay: a connection was refused: %s", error)
            writer.transport.abort()
            return
        guest = _Guest(wire, self._take)
        pings = asyncio.create_task(wire.pings())
        try:
            with contextlib.suppress(*_BROKEN):
                await guest.run()
        finally:
            pings.cancel()
            wire.close()
            for process in guest.leave():
                self._give_back(process)


class _Guest:
    """A follower, and its calls that are in the room of this server."""

    def __init__(self, wire: _Wire, take: Take) -> None:
        self._wire = wire
        self._take = take
        self._left: dict[int, asyncio.Event] = {}
        self._calls: set[asyncio.Task[None]] = set()
        self._unconfirmed: dict[int, Process[Raw]] = {}

    async def run(self) -> None:
        while True:
            async with asyncio.timeout(SILENCE):
                frame = await self._wire.receive()
            match frame:
                case Park():
                    self._left[frame.call] = asyncio.Event()
                    call = asyncio.create_task(self._serve(frame))
                    self._calls.add(call)
                    call.add_done_callback(self._calls.discard)
                case Leave() if frame.call in self._left:
                    self._left[frame.call].set()
                case Confirm() if self._unconfirmed.pop(frame.call, None) is not None:
                    self._wire.send(Keep(frame.call))
                case _:
                    pass

    async def _serve(self, park: Park) -> None:
        left = self._left[park.call]

        async def gone() -> None:
            await left.wait()

        try:
            process = await self._take(park.offer, Identity(park.executorid), timeout=park.timeout, disconnected=gone)
        except KolonyError as error:
            moved = isinstance(error, NotLeading)
            self._wire.send(Refuse(park.call, error.status, error.message, moved))
        else:
            if process is not None:
                self._unconfirmed[park.call] = process
            self._wire.send(Give(park.call, b"" if process is None else msgspec.json.encode(process)))
        finally:
            del self._left[park.call]

    def leave(self) -> list[Process[Raw]]:
        """Let all calls leave; the processes that nobody confirmed."""
        for call in self._calls:
            call.cancel()
        return list(self._unconfirmed.values())


class _Ticket:
    """A call that waits with the leader."""

    __slots__ = ("given", "gone", "outcome")

    def __init__(self) -> None:
        self.gone = False
        self.given: Process[Raw] | None = None
        """What it was given and may not keep yet."""
        self.outcome: asyncio.Future[Process[Raw] | None] = asyncio.get_running_loop().create_future()

    def left(self) -> Process[Raw] | None:
        """The process that it was given, now that nobody will be told of it."""
        outcome = self.outcome
        if self.given is not None or not outcome.done() or outcome.cancelled() or outcome.exception():
            return self.given
        return outcome.result()


class RelayLink:
    """The follower's end: one connection to a leader, for as long as that leads."""

    def __init__(self, leader: Member, give_back: Callable[[Process[Raw]], None]) -> None:
        self.leader = leader
        self.broken = False
        self._give_back = give_back
        self._numbers = itertools.count(1)
        self._tickets: dict[int, _Ticket] = {}
        self._wire: asyncio.Future[_Wire] = asyncio.get_running_loop().create_future()
        self._task = asyncio.create_task(self._serve(), name="relay")

    def __len__(self) -> int:
        return len(self._tickets)

    async def take(
        self,
        offer: Offer,
        executorid: Identity,
        *,
        timeout: float,  # noqa: ASYNC109 - the leader ends a call with an answer
        disconnected: Callable[[], Awaitable[None]] | None = None,
    ) -> Process[Raw] | None:
        """What the leader has for this executor, as `WaitingRoom.take`.

        Raises:
            NotLeading: it leads no longer, or the connection broke.
        """
        wire = await asyncio.shield(self._wire)
        if self.broken:
            raise self._lost()
        number, ticket = next(self._numbers), _Ticket()
        self._tickets[number] = ticket
        wire.send(Park(number, offer, executorid, timeout))
        watch = None if disconnected is None else Watch(disconnected, lambda: self._abandon(number))
        told = False
        try:
            process = await ticket.outcome
            told = not ticket.gone
            return process if told else None
        except asyncio.CancelledError:
            self._abandon(number)
            raise
        finally:
            del self._tickets[number]
            if watch is not None:
                watch.stop()
            if not told and (left := ticket.left()) is not None:
                self._give_back(left)

    def _abandon(self, number: int) -> None:
        self._tickets[number].gone = True
        if not self.broken:
            self._wire.result().send(Leave(number))

    def leave(self) -> None:
        """End all calls as if their clients had gone."""
        for number in self._tickets:
            self._abandon(number)

    def drop(self) -> None:
        """End the connection; calls that wait find another leader."""
        self._task.cancel()

    async def close(self) -> None:
        """End the connection, and wait until it has ended."""
        self.drop()
        with contextlib.suppress(asyncio.CancelledError):
            await self._task

    async def _serve(self) -> None:
        pings: asyncio.Task[None] | None = None
        writer: asyncio.StreamWriter | None = None
        try:
            async with asyncio.timeout(SILENCE):
                reader, writer = await asyncio.open_connection(self.leader.relayhost, self.leader.relayport)
                wire = await _Wire.shake_hands(reader, writer, self.leader.secret, leads=False)
            self._wire.set_result(wire)
            pings = asyncio.create_task(wire.pings())
            while True:
                async with asyncio.timeout(SILENCE):
                    self._handle(wire, await wire.receive())
        except _BROKEN as error:
            log.info("relay: the connection to %s broke: %s", self.leader.name, error or "silence")
        finally:
            self.broken = True
            if pings is not None:
                pings.cancel()
            if writer is not None:
                writer.transport.abort()
            if not self._wire.done():
                self._wire.set_exception(self._lost())
                # Whoever waits for it gets the error; without anybody it is nobody's.
                self._wire.exception()
            for ticket in self._tickets.values():
                if not ticket.outcome.done():
                    ticket.outcome.set_exception(self._lost())

    def _lost(self) -> NotLeading:
        return NotLeading(f"the connection to the leader {self.leader.name} broke; try again")

    def _handle(self, wire: _Wire, frame: Frame) -> None:
        if not isinstance(frame, Give | Keep | Refuse):
            return
        ticket = self._tickets.get(frame.call)
        waits = None if ticket is None or ticket.outcome.done() else ticket.outcome
        match frame:
            case Give(process=b""):
                if waits is not None:
                    waits.set_result(None)
            case Give():
                wire.send(Confirm(frame.call))
                process = _PROCESS.decode(frame.process)
                if ticket is None:
                    self._give_back(process)
                else:
                    ticket.given = process
            case Keep() if ticket is not None and waits is not None:
                waits.set_result(ticket.given)
                ticket.given = None
            case Refuse() if waits is not None:
                waits.set_exception(
                    NotLeading(frame.message) if frame.moved else from_reply(frame.status, frame.message)
                )
            case _:
                pass
