"""Envelopes: what goes over the wire around a message.

A request carries the payload type, the message as base64 text, and a signature over exactly that text. A reply
carries the payload type, the reply as base64 text, and whether it is an error.
"""

from __future__ import annotations

import binascii
import re
from typing import Any

import msgspec

from kolony.crypto import PrivateKey
from kolony.errors import BadRequest, KolonyError, from_reply
from kolony.model.base import Model
from kolony.wire.decoding import Decoder
from kolony.wire.message import Message, payload_type

ERROR = "error"
_BASE64 = re.compile(r"[A-Za-z0-9+/]*={0,2}", re.ASCII)


class Request(Model):
    """The body of ``POST /api``, and each message a client sends over the WebSocket."""

    payloadtype: str = ""
    payload: str = ""
    signature: str = ""


class Reply(Model):
    """The answer to a request, and each event of a subscription."""

    payloadtype: str = ""
    payload: str = ""
    error: bool = False


class ErrorPayload(Model):
    """What a reply with ``error`` carries."""

    status: int = 0
    message: str = ""


_REQUEST = Decoder(Request)
_REPLY = msgspec.json.Decoder(Reply)
_ERROR = msgspec.json.Decoder(ErrorPayload)


def open_request(body: bytes) -> Request:
    """Read a request envelope; raise `BadRequest` if it is none."""
    try:
        return _REQUEST.decode(body.decode())
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise BadRequest(f"Failed to parse the request envelope: {error}") from error


def decode_payload(payload: str) -> bytes:
    """The bytes of a base64 text; line breaks are skipped and decoding stops at the first wrong character."""
    try:
        return binascii.a2b_base64(payload, strict_mode=True)
    except ValueError:
        text = payload.replace("\r", "").replace("\n", "")
        sound = _BASE64.match(text)
        digits = sound[0].rstrip("=") if sound else ""
        if len(digits) % 4 == 1:
            digits = digits[:-1]
        return binascii.a2b_base64(digits + "=" * (-len(digits) % 4))


def seal_request(message: Message[Any], key: PrivateKey | None) -> bytes:
    """Encode and sign a message; without a key the signature is empty."""
    payload = binascii.b2a_base64(msgspec.json.encode(message), newline=False)
    signature = key.sign(payload) if key else ""
    return msgspec.json.encode(
        Request(payloadtype=payload_type(type(message)), payload=payload.decode(), signature=signature)
    )


def seal_reply(payloadtype: str, payload: bytes, *, error: bool = False) -> bytes:
    """Encode a reply around a payload that is already JSON; ``payloadtype`` is a name of ours."""
    return b'{"payloadtype":"%b","payload":"%b","error":%b}' % (
        payloadtype.encode(),
        binascii.b2a_base64(payload, newline=False),
        b"true" if error else b"false",
    )


def seal_error(error: KolonyError) -> bytes:
    """Encode a failure as a reply."""
    payload = msgspec.json.encode(ErrorPayload(status=error.status, message=error.message))
    return seal_reply(ERROR, payload, error=True)


def open_reply(body: bytes) -> tuple[str, bytes]:
    """Payload type and payload of a reply; raise the error it carries, or `BadRequest` if it is no reply."""
    try:
        reply = _REPLY.decode(body)
        payload = binascii.a2b_base64(reply.payload)
        failure = _ERROR.decode(payload) if reply.error else None
    except ValueError as error:
        raise BadRequest("the server's answer is not a reply of the protocol: is this a Colonies server?") from error
    if failure:
        raise from_reply(failure.status, failure.message)
    return reply.payloadtype, payload
