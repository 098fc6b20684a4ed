"""When a call is repeated, and after which pause."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kolony.errors import (
    AssignTimeout,
    BadRequest,
    ConnectionLost,
    Forbidden,
    KolonyError,
    NotFound,
    ServerError,
    Unavailable,
)
from kolony.sdk.retries import NO_RETRY, NeverSent, Retry

RETRY = Retry(attempts=3, deadline=10, first_delay=1, longest_delay=5)


@pytest.mark.parametrize(
    "error, repeatable, once",
    [
        (NeverSent("x"), True, True),
        (Unavailable("x"), True, True),
        (ConnectionLost("x"), True, False),
        (BadRequest("x"), False, False),
        (Forbidden("x"), False, False),
        (NotFound("x"), False, False),
        (AssignTimeout("x"), False, False),
        (ServerError("x"), False, False),
    ],
)
def test_what_is_repeated(error: KolonyError, repeatable: bool, once: bool) -> None:
    assert RETRY.allows(error, failures=1, elapsed=0, once=False) is repeatable
    assert RETRY.allows(error, failures=1, elapsed=0, once=True) is once


@pytest.mark.parametrize("failures, elapsed, allowed", [(2, 9.9, True), (3, 0, False), (1, 10, False)])
def test_attempts_and_time_are_bounded(failures: int, elapsed: float, allowed: bool) -> None:
    assert RETRY.allows(NeverSent("x"), failures=failures, elapsed=elapsed, once=False) is allowed


def test_no_retry_allows_none() -> None:
    assert not NO_RETRY.allows(NeverSent("x"), failures=1, elapsed=0, once=False)


def test_pauses_double_up_to_the_longest() -> None:
    assert [RETRY.delay(failures, 0) for failures in (1, 2, 3, 4, 5, 1000)] == [1, 2, 4, 5, 5, 5]


@given(failures=st.integers(1, 10_000), chance=st.floats(0, 1))
def test_chance_takes_up_to_half_of_a_pause(failures: int, chance: float) -> None:
    longest = RETRY.delay(failures, 0)
    assert longest / 2 <= RETRY.delay(failures, chance) <= longest
