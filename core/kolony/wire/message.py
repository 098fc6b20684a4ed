"""The base of all messages: what is inside the payload of an envelope."""

from __future__ import annotations

import typing
from typing import Any, ClassVar, Generic, TypeVar

import typing_extensions

from kolony.model.base import Int64, Model

R = TypeVar("R")
"""What the server answers a message with; ``None`` is the empty reply."""


class Freshness(Model):
    """Proof that a message is new: when it was made (Unix nanoseconds) and a nonce used once."""

    time: Int64 = 0
    nonce: str = ""


class Message(
    Model, Generic[R], frozen=True, kw_only=True, omit_defaults=True, forbid_unknown_fields=True, tag_field="msgtype"
):
    """One message of the protocol; the class's tag is its payload type, its parameter the type of the reply.

    Fields left at their defaults are not sent: the protocol reads an absent field as zero.
    """

    failure: ClassVar[str]
    """How the server's texts about this message begin."""

    malformed: ClassVar[str] = ""
    """The text for a payload that is not this message, where it is not ``failure`` + ``, invalid JSON``."""

    mismatched: ClassVar[str] = ""
    """The text for another ``msgtype``, where it is not ``failure`` + ``, msg.MsgType does not match payloadType``."""

    fresh: Freshness | None = None


def payload_type(message: type[Message[Any]]) -> str:
    """The name of a message on the wire."""
    return str((typing.get_origin(message) or message).__struct_config__.tag)


def reply_type(message: type[Message[R]]) -> Any:
    """The type a reply to this message decodes to; ``None`` for the empty reply.

    The only class a message names before it exists is its own: such a message is answered with itself.
    """
    for base in typing_extensions.get_original_bases(message):
        if typing.get_origin(base) is Message:
            reply = typing.get_args(base)[0]
            if isinstance(reply, typing.ForwardRef):
                return message
            return None if reply is type(None) else reply
    raise TypeError(f"{message.__name__} does not say what answers it")


def malformed_text(message: type[Message[Any]]) -> str:
    """What the server says about a payload that is not this message."""
    return message.malformed or f"{message.failure}, invalid JSON"


def mismatch_text(message: type[Message[Any]]) -> str:
    """What the server says when ``msgtype`` is not the envelope's ``payloadtype``."""
    return message.mismatched or f"{message.failure}, msg.MsgType does not match payloadType"
