"""What is asked of a new identity, in the words of the protocol."""

from __future__ import annotations

from kolony.errors import BadRequest

IDENTITY_LENGTH = 64
"""Bytes of an identity as text."""


def require_given(identity: str, failure: str, what: str) -> None:
    """Refuse a missing identity."""
    if not identity:
        raise BadRequest(f"{failure}, {what} is empty")


def require_identity(identity: str, failure: str, what: str) -> None:
    """Refuse an identity of the wrong length; one that is no hexadecimal text never matches a caller."""
    if len(identity.encode()) != IDENTITY_LENGTH:
        raise BadRequest(f"{failure}, new {what} is not {IDENTITY_LENGTH} characters")
