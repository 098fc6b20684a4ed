"""Messages about attributes of processes."""

from __future__ import annotations

from kolony.model.attributes import Attribute
from kolony.wire.message import Message


class AddAttribute(Message[Attribute], tag="addattributemsg"):
    """Attach a key and a value to a running process (the executor that runs it)."""

    failure = "Failed to add attribute"
    attribute: Attribute | None = None


class GetAttribute(Message[Attribute], tag="getattributemsg"):
    """Look up an attribute (approved member)."""

    failure = "Failed to get attribute"
    attributeid: str = ""
