"""Keep-alive HTTP/1.1 connections to ``POST /api``, as cheap as Python allows: the generator shares two cores
with what it measures."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any, NamedTuple, TypeVar

import msgspec

from kolony.crypto import PrivateKey
from kolony.wire.envelope import open_reply, seal_request
from kolony.wire.message import Message, payload_type

T = TypeVar("T")

_HEAD_END = b"\r\n\r\n"
_LENGTH = b"\r\ncontent-length:"


class WrongReply(Exception):
    """The server answered something that it must not answer; the figures of the run are void."""


class Endpoint(NamedTuple):
    """Where a server listens."""

    host: str
    port: int


Endpoints = Sequence[Endpoint]
"""Where the servers listen that work goes to, to each in turn."""


class Connection(asyncio.Protocol):
    """One connection with one request in flight; it opens by itself when it is not open."""

    def __init__(self, endpoint: Endpoint) -> None:
        self._endpoint = endpoint
        self._transport: asyncio.Transport | None = None
        self._answer: asyncio.Future[tuple[int, bytes]] | None = None
        self._received = b""

    async def open(self) -> None:
        """Connect, unless the connection is open."""
        if self._transport is None:
            self._transport, _ = await asyncio.get_running_loop().create_connection(lambda: self, *self._endpoint)

    async def post(self, body: bytes) -> tuple[int, bytes]:
        """Send a request body; HTTP status and body of the answer. Raises `ConnectionError` when none comes."""
        await self.open()
        assert self._transport is not None
        self._answer = asyncio.get_running_loop().create_future()
        self._transport.write(
            b"POST /api HTTP/1.1\r\nHost: bench\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%b"
            % (len(body), body)
        )
        return await self._answer

    async def call(self, message: Message[Any], key: PrivateKey, reply: type[T]) -> T:
        """Sign and send a message; what it is answered with, checked as `read` does."""
        return read(await self.post(seal_request(message, key)), type(message), reply)

    def close(self) -> None:
        """Close the connection; a request in flight is given up."""
        if self._transport is not None:
            self._transport.close()

    def connection_lost(self, exc: Exception | None) -> None:
        """Called by the event loop."""
        self._transport = None
        self._received = b""
        if self._answer is not None and not self._answer.done():
            self._answer.set_exception(ConnectionError(f"the server closed the connection: {exc}"))

    def data_received(self, data: bytes) -> None:
        """Called by the event loop."""
        self._received = self._received + data if self._received else data
        try:
            answer = _parse(self._received)
        except (ValueError, WrongReply) as error:
            if self._answer is not None and not self._answer.done():
                self._answer.set_exception(WrongReply(f"{error}: {self._received[:200]!r}"))
            return
        if answer is not None:
            self._received = b""
            if self._answer is None or self._answer.done():
                raise WrongReply(f"an answer to nothing: {answer[1][:200]!r}")
            self._answer.set_result(answer)


def _parse(received: bytes) -> tuple[int, bytes] | None:
    """Status and body of an answer; `None` while a part of it is missing."""
    head_end = received.find(_HEAD_END)
    if head_end < 0:
        return None
    head = received[: head_end + 2].lower()
    start = head.index(_LENGTH) + len(_LENGTH)
    body_start = head_end + len(_HEAD_END)
    missing = body_start + int(head[start : head.index(b"\r\n", start)]) - len(received)
    if missing < 0:
        raise WrongReply("more than the length that the answer announces")
    return None if missing else (int(head[9:12]), received[body_start:])


def read(answer: tuple[int, bytes], asked: type[Message[Any]], reply: type[T]) -> T:
    """The reply in an answer.

    Raises:
        KolonyError: the reply is an error, told with the HTTP status it carries.
        WrongReply: HTTP status, payload type or payload are not those of a success.
    """
    status, body = answer
    answered, payload = open_reply(body)
    if status != 200 or answered != payload_type(asked):
        raise WrongReply(f"{payload_type(asked)} was answered with {answered} and status {status}")
    try:
        return msgspec.json.decode(payload, type=reply)
    except msgspec.MsgspecError as error:
        raise WrongReply(f"{answered}: {error}: {payload[:200]!r}") from error
