"""Dispatch: from the bytes of a request to those of its reply."""

from __future__ import annotations

import logging
import time
from typing import Any

import msgspec

from kolony.crypto import recover
from kolony.errors import BadRequest, Forbidden, InvalidSignature, KolonyError, ServerError, TooLarge
from kolony.wire.decoding import Decoder
from kolony.wire.envelope import Request, decode_payload, open_request, seal_error, seal_reply
from kolony.wire.message import Message, malformed_text, mismatch_text, payload_type
from kolony.wire.server import GetServerInfo, Version
from kolony_apiserver.membership import Caller
from kolony_apiserver.rpc.freshness import require_fresh
from kolony_apiserver.rpc.registry import registry
from kolony_apiserver.services import server
from kolony_apiserver.services.context import Disconnected, Parts, UnitOfWork

log = logging.getLogger(__name__)

_ENCODER = msgspec.json.Encoder()
_EMPTY = b"{}"
_INFO = payload_type(GetServerInfo)
_VERSION = payload_type(Version)
_EMPTY_TYPE = (
    "empty (this usually means the client is misconfigured - check that COLONIES_PRVKEY and other environment"
    " variables are set correctly)"
)


class _Tag(msgspec.Struct):
    msgtype: str = ""


class _OddTag(_Tag, forbid_unknown_fields=True):
    """Refuses all other fields, so that the decoder looks for the name in any case."""


_TAG, _ODD_TAG = Decoder(_Tag), Decoder(_OddTag)


def named_type(text: str) -> str:
    """The payload type that a message itself names; raise `msgspec.MsgspecError` when it is not JSON."""
    return _TAG.decode(text).msgtype or _ODD_TAG.decode(text).msgtype


class Dispatcher:
    """Answers requests."""

    def __init__(self, parts: Parts) -> None:
        self._parts = parts
        self._routes = registry()
        self._version: Decoder[Message[Any]] = Decoder(Version)
        self._methods = {*self._routes, _INFO, _VERSION}

    @property
    def large_types(self) -> list[str]:
        """The payload types that may be as large as a workflow."""
        return [route.payloadtype for route in self._routes.values() if route.large]

    async def answer(self, body: bytes, disconnected: Disconnected | None = None) -> tuple[int, bytes]:
        """The HTTP status and the body of the reply to a request; never raises but by cancellation."""
        started = time.perf_counter()
        method, status = "", 200
        try:
            request = open_request(body)
            if request.payloadtype in self._methods:
                method = request.payloadtype
            reply = await self._reply(request, len(body), disconnected)
        except KolonyError as error:
            status, reply = error.status, seal_error(error)
            if status >= 500:
                log.info("%s answered %d: %s", method, status, error.message)
        except Exception:
            log.exception("a call of %s failed unexpectedly", method or "an unknown message")
            status, reply = 500, seal_error(ServerError("the server failed; its log says why"))
        seconds = time.perf_counter() - started
        self._parts.metrics.rpc(method, status, seconds)
        log.debug("%s answered %d after %.1f ms", method or "an unknown message", status, seconds * 1000)
        return status, reply

    async def _reply(self, request: Request, size: int, disconnected: Disconnected | None) -> bytes:
        unsigned = self._unsigned(request)
        if unsigned is not None:
            return seal_reply(request.payloadtype, _ENCODER.encode(unsigned))
        caller = await self.identify(request)
        route = self._routes.get(request.payloadtype)
        if route is None:
            raise Forbidden(f"invalid rpcMsg.PayloadType: {request.payloadtype or _EMPTY_TYPE}")
        if size > self._parts.settings.max_body and not route.large:
            raise TooLarge(f"a {route.payloadtype} is at most {self._parts.settings.max_body} bytes")
        payload = decode_payload(request.payload)
        message = _decode(route.message, route.decoder, payload)
        async with UnitOfWork(self._parts, caller, disconnected) as context:
            context.colony = await route.rule(context, message)
            await require_fresh(context, message.fresh)
            result = await route.service(context, message)
        if result is message:
            return seal_reply(route.reply_as, payload)
        return seal_reply(route.reply_as, _EMPTY if result is None else _encode(result))

    def _unsigned(self, request: Request) -> Any:
        if request.payloadtype == _INFO:
            return server.info(self._parts)
        if request.payloadtype == _VERSION:
            _decode(Version, self._version, decode_payload(request.payload))
            return server.version(self._parts)
        return None

    async def identify(self, request: Request) -> Caller:
        """Who signed a request; their executors are alive."""
        try:
            identity = recover(request.payload.encode(), request.signature)
        except InvalidSignature:
            self._parts.metrics.signature_rejects.labels("invalid").inc()
            raise
        caller = await self._parts.callers.recall(identity)
        self._parts.contacts.heard_from(caller)
        return caller


def _encode(result: Any) -> bytes:
    return _ENCODER.encode(result if result != [] else None)


def _decode(kind: type[Message[Any]], decoder: Decoder[Message[Any]], payload: bytes) -> Message[Any]:
    """The message in a payload, refused in the words of the protocol when it is not of this kind."""
    try:
        text, own = payload.decode(), payload_type(kind)
        # The decoder takes a message without its type, which the protocol does not; one that begins with it has it.
        if text.startswith((f'{{"msgtype":"{own}"', f'{{"msgtype": "{own}"')) or named_type(text) == own:
            return decoder.decode(text)
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        if not _has_other_tag(kind, payload):
            raise BadRequest(malformed_text(kind)) from error
    raise BadRequest(mismatch_text(kind))


def _has_other_tag(kind: type[Message[Any]], payload: bytes) -> bool:
    try:
        return named_type(payload.decode()) != payload_type(kind)
    except (msgspec.MsgspecError, UnicodeDecodeError):
        return False
