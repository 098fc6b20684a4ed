"""A route: which message, who may send it, and what answers it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

from kolony.wire.decoding import Decoder
from kolony.wire.message import Message, payload_type
from kolony_apiserver.authz.rules import Rule
from kolony_apiserver.services.context import Context

Service = Callable[[Context, Any], Awaitable[Any]]


class Route:
    """One message of the protocol as this server answers it.

    ``large`` messages may be as large as a workflow; ``reply_as`` is the payload type of the reply where it is not
    that of the message.
    """

    __slots__ = ("decoder", "large", "message", "payloadtype", "reply_as", "rule", "service")

    def __init__(
        self,
        message: type[Message[Any]],
        rule: Rule,
        service: Service,
        *,
        large: bool = False,
        reply_as: str = "",
    ) -> None:
        self.message = message
        self.payloadtype = payload_type(message)
        self.rule = rule
        self.service = service
        self.large = large
        self.reply_as = reply_as or self.payloadtype
        self.decoder: Decoder[Message[Any]] = Decoder(message)
