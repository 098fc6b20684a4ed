"""When a call may be sent again, and how long to wait before."""

from __future__ import annotations

from dataclasses import dataclass

from kolony.errors import ConnectionLost, KolonyError, Unavailable


class NeverSent(ConnectionLost):
    """The connection could not be made, so the server has not seen the request."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Retry:
    """How often and for how long a call is tried."""

    attempts: int = 30
    """Most times that a call is sent."""

    deadline: float = 30.0
    """Seconds after the first attempt began in which another one may begin: a restart of the server fits in."""

    first_delay: float = 0.05
    """Seconds of the first pause; each pause is twice the one before."""

    longest_delay: float = 2.0
    """Seconds that no pause exceeds."""

    def delay(self, failures: int, chance: float) -> float:
        """Seconds to pause after so many failures in a row.

        ``chance`` (0 to 1) takes up to half of it away, so that clients that failed together do not return together.
        """
        longest = min(self.longest_delay, self.first_delay * 2.0 ** min(failures - 1, 32))
        return longest * (1 - chance / 2)

    def allows(self, error: KolonyError, *, failures: int, elapsed: float, once: bool) -> bool:
        """Whether to send a call again that failed so often, ``elapsed`` seconds after it was first begun.

        A call that must be done only ``once`` is repeated only when the server has certainly not done it.
        """
        if failures >= self.attempts or elapsed >= self.deadline:
            return False
        if isinstance(error, NeverSent | Unavailable):
            return True
        return isinstance(error, ConnectionLost) and not once


NO_RETRY = Retry(attempts=1)
