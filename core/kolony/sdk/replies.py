"""What a reply says, decoded into the type that its message is answered with."""

from __future__ import annotations

import functools
import typing
from typing import Any, TypeVar

import msgspec

from kolony.errors import ServerError
from kolony.wire.decoding import Decoder
from kolony.wire.message import Message, payload_type, reply_type

R = TypeVar("R")


def decode_reply(message: type[Message[R]], payload: bytes) -> R:
    """Read the payload of a reply to a message; ``null`` for a list is the empty list.

    Raises:
        ServerError: the payload is not what such a message is answered with.
    """
    type_ = reply_type(message)
    if type_ is None:
        return typing.cast(R, None)
    if payload == b"null" and typing.get_origin(type_) is list:
        return typing.cast(R, [])
    try:
        return typing.cast(R, _decoder(message).decode(payload.decode()))
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise ServerError(f"the server's answer to {payload_type(message)} cannot be read: {error}") from error


@functools.cache
def _decoder(message: type[Message[Any]]) -> Decoder[Any]:
    return Decoder(reply_type(message))
