"""Calls as an honest client makes them: to any server, repeated on another one while that can help."""

from __future__ import annotations

import asyncio
import random
import secrets
import time
from collections.abc import Sequence
from typing import Any, TypeVar

import msgspec
from benchmarks.connections import Connection, Endpoint, WrongReply

from kolony.crypto import PrivateKey
from kolony.errors import KolonyError, Unavailable
from kolony.wire.envelope import open_reply, seal_request
from kolony.wire.message import Freshness, Message, reply_type

R = TypeVar("R")

PATIENCE = 30.0
"""Seconds for which a client repeats a call that may still succeed, as the client of the library does."""

_ANSWER_TIMEOUT = 3.0
"""Seconds after which a server that does not answer is given up for another one; longer with every time."""

_LONGEST_PAUSE = 0.5


class GaveUp(Exception):
    """A call was repeated for as long as a client has patience, and failed."""


class Unknown(Exception):
    """A call that must not be done twice got no answer, so it is not known whether it was done."""


class Line(Connection):
    """A connection whose user may have given up when an answer comes."""

    def data_received(self, data: bytes) -> None:
        try:
            super().data_received(data)
        except WrongReply:
            self.close()


class Caller:
    """One client with a key: one connection to each server, one call at a time."""

    def __init__(self, key: PrivateKey, endpoints: Sequence[Endpoint], chance: random.Random) -> None:
        self.key = key
        self._endpoints = endpoints
        self._lines = [Line(endpoint) for endpoint in endpoints]
        self._at = chance.randrange(len(endpoints))
        self._chance = chance
        self.doubtful = False
        """Whether the last call may have been done more often than it was answered."""
        self.last = b""
        """The request that was sent last."""
        self.sent = 0.0
        """When that was, in seconds that only grow."""

    async def call(self, message: Message[R], *, wait: float = 0.0, once: bool = False, ahead: float = 0.0) -> R:
        """Send a message until it is answered; its reply.

        ``wait`` is how long the server may take by itself. With ``once`` nothing is repeated that may have been done.
        ``ahead`` is by how many seconds the client's clock is wrong.

        Raises:
            KolonyError: the server refused.
            Unknown: it was sent ``once`` and got no answer.
            GaveUp: nothing was answered, or nothing but that it should be tried later.
        """
        self.doubtful = False
        begun, pause, longer = time.monotonic(), 0.0, 0.0
        while True:
            self.last = self.seal(message, ahead=ahead)
            try:
                return await self.send(self.last, message, wait=wait + longer)
            except (OSError, TimeoutError, Unavailable) as error:
                self.doubtful = self.doubtful or not isinstance(error, ConnectionRefusedError)
                self.move_on()
                if once and self.doubtful:
                    raise Unknown(f"{type(message).__name__}: {error!r}") from error
                if time.monotonic() - begun > PATIENCE:
                    raise GaveUp(f"{type(message).__name__}: {error!r}") from error
            longer += 1.0
            await asyncio.sleep(pause * self._chance.random())
            pause = min(max(2 * pause, 0.02), _LONGEST_PAUSE)

    async def send(self, body: bytes, message: Message[R], *, wait: float = 0.0) -> R:
        """Send a request once; the reply to it."""
        status, reply = await self.post(body, wait=wait)
        _, payload = open_reply(reply)
        if status != 200:
            raise WrongReply(f"{type(message).__name__} was answered with {status} and {reply[:200]!r}")
        expected = reply_type(type(message))
        return msgspec.json.decode(payload, type=expected) if expected else None  # type: ignore[return-value]

    async def post(self, body: bytes, *, wait: float = 0.0) -> tuple[int, bytes]:
        """Send a request to the server that is next; what it answered."""
        self.sent = time.monotonic()
        try:
            async with asyncio.timeout(_ANSWER_TIMEOUT + wait):
                return await self._lines[self._at].post(body)
        except TimeoutError:
            self._drop(self._at)
            raise

    def seal(self, message: Message[Any], *, ahead: float = 0.0) -> bytes:
        """A request that proves to be new, by a clock that is wrong by some seconds."""
        fresh = Freshness(time=time.time_ns() + int(ahead * 1e9), nonce=secrets.token_hex(16))
        return seal_request(msgspec.structs.replace(message, fresh=fresh), self.key)

    def move_on(self) -> None:
        """Turn to another server."""
        self._at = (self._at + 1) % len(self._lines)

    def wander(self) -> None:
        """Turn to any server."""
        self._at = self._chance.randrange(len(self._lines))

    def hang_up(self) -> None:
        """Drop all connections, as a process that is killed does."""
        for place in range(len(self._lines)):
            self._drop(place)

    def _drop(self, place: int) -> None:
        self._lines[place].close()
        self._lines[place] = Line(self._endpoints[place])


async def refusal(caller: Caller, body: bytes, message: Message[Any]) -> KolonyError | None:
    """Send one request, and again where no answer came; the refusal, or none when it was accepted."""
    begun = time.monotonic()
    while time.monotonic() - begun < PATIENCE:
        try:
            await caller.send(body, message)
        except (OSError, TimeoutError, Unavailable):
            caller.move_on()
            await asyncio.sleep(_LONGEST_PAUSE / 4)
        except KolonyError as error:
            return error
        else:
            return None
    raise GaveUp("nobody refused")
