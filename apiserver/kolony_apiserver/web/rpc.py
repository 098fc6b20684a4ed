"""``POST /api``: the body of a request read within its limit, and its reply."""

from __future__ import annotations

import asyncio
import contextlib

from starlette.types import Message, Receive, Scope, Send

from kolony.errors import KolonyError, TooLarge, Unavailable
from kolony.wire.envelope import seal_error
from kolony_apiserver.rpc.dispatch import Dispatcher
from kolony_apiserver.settings import Settings
from kolony_apiserver.web.plain import absent

_CONTENT_TYPE = (b"content-type", b"text/plain; charset=utf-8")
_CLOSE = (b"connection", b"close")
_PEEK = 65_536
_STOPPED = Unavailable("the server stopped before this was done, and it may still have been: look before you repeat it")
_LINGER = 10.0
"""Seconds for which the rest of a request that was refused is thrown away."""


class RpcEndpoint:
    """An ASGI application of its own: the hot path has no use for models of requests."""

    def __init__(self, dispatcher: Dispatcher, settings: Settings) -> None:
        self._dispatcher = dispatcher
        self._small = settings.max_body
        self._large = max(settings.max_body, settings.max_workflow_body)
        self._large_types = [name.encode() for name in dispatcher.large_types]

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        if scope["method"] != "POST":
            await absent(scope["method"], scope["path"])(scope, receive, send)
            return
        try:
            body = await self._read(scope, receive)
        except KolonyError as error:
            await _refuse(receive, send, error)
            return
        if body is None:
            return
        try:
            status, reply = await self._dispatcher.answer(body, lambda: _disconnected(receive))
        except asyncio.CancelledError:
            # The server stops, and the time that calls have for that is over.
            status, reply = _STOPPED.status, seal_error(_STOPPED)
        await _send(send, status, reply)

    async def _read(self, scope: Scope, receive: Receive) -> bytes | None:
        """The whole body, or `None` when the client went away; raise `TooLarge` before too much is held."""
        announced = _content_length(scope)
        if announced > self._large:
            raise self._too_large()
        chunks: list[bytes] = []
        beginning, size, limit, more = b"", 0, self._small, True
        while more:
            message: Message = await receive()
            if message["type"] == "http.disconnect":
                return None
            chunk: bytes = message.get("body", b"")
            more = message.get("more_body", False)
            chunks.append(chunk)
            size += len(chunk)
            if len(beginning) < _PEEK:
                beginning = (beginning + chunk)[:_PEEK]
            if max(size, announced) > limit:
                limit = self._limit(beginning)
            if size > limit or (announced > limit and len(beginning) == _PEEK):
                raise self._too_large()
        return chunks[0] if len(chunks) == 1 else b"".join(chunks)

    def _limit(self, beginning: bytes) -> int:
        """How long a body may be that begins like this: large messages name their type before their payload."""
        return self._large if any(name in beginning for name in self._large_types) else self._small

    def _too_large(self) -> TooLarge:
        return TooLarge(
            f"the request is too large: at most {self._small} bytes, and {self._large} for messages that submit many"
            " processes and name their payloadtype before their payload"
        )


async def _disconnected(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass


def _content_length(scope: Scope) -> int:
    for name, value in scope["headers"]:
        if name == b"content-length":
            return int(value)
    return 0


async def _refuse(receive: Receive, send: Send, error: KolonyError) -> None:
    """Answer before the body was read to its end, and close the connection.

    First the rest is thrown away, for a while: closed under a client that still sends, a connection would lose the
    answer on its way.
    """
    await _send(send, error.status, seal_error(error), _CLOSE, complete=False)
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(_LINGER):
            while (await receive()).get("more_body"):
                pass
    await send({"type": "http.response.body"})


async def _send(send: Send, status: int, body: bytes, *headers: tuple[bytes, bytes], complete: bool = True) -> None:
    length = (b"content-length", str(len(body)).encode())
    await send({"type": "http.response.start", "status": status, "headers": [_CONTENT_TYPE, length, *headers]})
    await send({"type": "http.response.body", "body": body, "more_body": not complete})
