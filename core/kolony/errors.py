"""The one error tree: every failure a caller can see, each class with its protocol status.

A reply carries only a status and a text, so the classes say what kind of failure it is and the text says which.
Where the protocol answers a kind of failure with an unusual status (a missing executor is 500, for example),
the raiser passes that status and keeps the class.
"""

from __future__ import annotations


class KolonyError(Exception):
    """Base of all errors of Kolony; ``status`` is the protocol status, ``message`` the text for the caller."""

    status = 500

    def __init__(self, message: str, *, status: int | None = None) -> None:
        super().__init__(message)
        self.message = message
        if status is not None:
            self.status = status


class BadRequest(KolonyError):
    """The request cannot be understood or breaks a rule; sending it again cannot help."""

    status = 400


class Forbidden(KolonyError):
    """The caller's key has no authority for this."""

    status = 403


class InvalidSignature(Forbidden):
    """No identity could be recovered from the signature."""


class NotFound(KolonyError):
    """The object does not exist, or nothing is available now."""

    status = 404


class Conflict(KolonyError):
    """The object exists already, or is in a state that forbids the change."""

    status = 400


class AssignTimeout(KolonyError):
    """The wait ended while the colony's assignments were paused."""

    status = 408


class WaitTimeout(KolonyError, TimeoutError):
    """The process has not ended in the time that the caller gave it."""

    status = 408


class TooLarge(KolonyError):
    """The request is larger than the server reads."""

    status = 413


class Unavailable(KolonyError):
    """The server cannot do this now; asking again later can help."""

    status = 503


class NotLeading(Unavailable):
    """The server is not the leader of its cluster, or its term is over: another server does this now."""


class ServerError(KolonyError):
    """The server failed; nothing about the request explains it."""

    status = 500


class ConnectionLost(KolonyError):
    """No reply came: the server is away, or the connection broke before the reply."""

    status = 503


class ConfigurationError(KolonyError):
    """A setting is missing or wrong; the text names it and says what to do."""

    status = 500


_BY_STATUS: dict[int, type[KolonyError]] = {
    400: BadRequest,
    403: Forbidden,
    404: NotFound,
    408: AssignTimeout,
    413: TooLarge,
    503: Unavailable,
}


def from_reply(status: int, message: str) -> KolonyError:
    """The error a client raises for a reply with this status and text."""
    return _BY_STATUS.get(status, ServerError)(message, status=status)
