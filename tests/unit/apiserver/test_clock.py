"""The server's clock: that of the database, never standing still and never told in more than microseconds."""

from __future__ import annotations

import time
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kolony_apiserver.clock import DatabaseClock, from_ns, to_ns

NS = 10**9
KOLKATA = ZoneInfo("Asia/Kolkata")

MOMENTS = st.datetimes(
    min_value=datetime(1971, 1, 1),  # noqa: DTZ001 - hypothesis adds the zone
    max_value=datetime(2200, 1, 1),  # noqa: DTZ001
    timezones=st.sampled_from([UTC, KOLKATA, ZoneInfo("Europe/Stockholm")]),
)


@given(MOMENTS)
def test_a_time_survives_as_nanoseconds(moment: datetime) -> None:
    assert from_ns(to_ns(moment)) == moment.astimezone(UTC)


@given(st.integers(0, 2**62))
def test_nanoseconds_are_rounded_down_to_microseconds(ns: int) -> None:
    assert to_ns(from_ns(ns)) == ns - ns % 1000


def test_a_time_is_told_in_the_zone_that_is_asked_for() -> None:
    moment = from_ns(1_795_366_573_144_958_839, KOLKATA)
    assert moment.isoformat() == "2026-11-22T22:26:13.144958+05:30"
    assert moment == from_ns(1_795_366_573_144_958_839)


@pytest.mark.parametrize("ahead", [timedelta(hours=-1), timedelta(0), timedelta(hours=1)])
def test_the_clock_follows_the_database(ahead: timedelta) -> None:
    clock = DatabaseClock(KOLKATA)
    clock.follow(datetime.now(UTC) + ahead)
    expected = datetime.now(UTC) + ahead
    assert abs(clock.now() - expected) < timedelta(seconds=10)
    assert clock.now().tzinfo is KOLKATA
    assert abs(clock.now_ns() - to_ns(expected)) < 10 * NS


def test_each_reading_in_nanoseconds_is_greater_than_the_one_before() -> None:
    clock = DatabaseClock()
    readings = [clock.now_ns() for _ in range(10_000)]
    # Also when the database is set back.
    clock.follow(datetime.now(UTC) - timedelta(days=1))
    readings += [clock.now_ns() for _ in range(1_000)]
    assert all(earlier < later for earlier, later in pairwise(readings))


def test_intervals_are_measured_on_a_clock_that_is_never_set() -> None:
    clock = DatabaseClock()
    before = time.monotonic()
    clock.follow(datetime.now(UTC) - timedelta(days=1))
    assert before <= clock.monotonic() <= time.monotonic()
