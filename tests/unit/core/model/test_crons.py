"""What a cron does whose time has come, and which crons are refused."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kolony.errors import BadRequest
from kolony.model.crons import Cron, policy_of, timetable_of, turn

SLOT = datetime(2026, 11, 22, 12, 0, 0, tzinfo=UTC)


def hourly(**fields: Any) -> Cron:
    return Cron(**{"interval": 3600, "nextrun": SLOT, **fields})


def result(cron: Cron, late: timedelta) -> tuple[bool, timedelta | None]:
    """Whether it runs when it is found so late, and when it runs next, both seen from its slot."""
    runs, nextrun = turn(cron, timetable_of(cron, UTC), SLOT + late)
    return runs, None if nextrun is None else nextrun - SLOT


HOUR = timedelta(hours=1)


@pytest.mark.parametrize("cron", [hourly(), hourly(interval=-1, cronexpression="@hourly")])
@pytest.mark.parametrize(
    "policy, late, expected",
    [
        ("", timedelta(seconds=1), (True, HOUR)),
        ("", 5.5 * HOUR, (True, 6 * HOUR)),
        ("once", 5.5 * HOUR, (True, 6 * HOUR)),
        ("skip", timedelta(seconds=59), (True, HOUR)),
        ("skip", timedelta(seconds=61), (False, HOUR)),
        ("skip", 5.5 * HOUR, (False, 6 * HOUR)),
        ("skip", 5 * HOUR + timedelta(seconds=30), (True, 6 * HOUR)),
        ("all", timedelta(seconds=1), (True, HOUR)),
        ("all", 5.5 * HOUR, (True, HOUR)),
    ],
)
def test_what_becomes_of_missed_slots(
    cron: Cron, policy: str, late: timedelta, expected: tuple[bool, timedelta]
) -> None:
    fields = {name: getattr(cron, name) for name in ("interval", "cronexpression")}
    assert result(hourly(**fields, missed=policy), late) == expected


def test_no_more_slots_are_made_up_for_than_the_bound() -> None:
    cron, now = hourly(missed="all", missedlimit=3), SLOT + 10.5 * HOUR
    ran = 0
    while cron.nextrun <= now:
        runs, nextrun = turn(cron, timetable_of(cron, UTC), now)
        assert nextrun is not None
        ran += runs
        cron = hourly(missed="all", missedlimit=3, nextrun=nextrun)
    assert (ran, cron.nextrun) == (3, SLOT + 11 * HOUR)


def test_an_expression_without_a_next_time_ends() -> None:
    cron = hourly(interval=-1, cronexpression="0 0 12 22 11 *")
    assert turn(cron, timetable_of(cron, UTC), SLOT) == (True, SLOT.replace(year=2027))
    assert result(hourly(interval=-1, cronexpression="0 0 0 30 2 *"), HOUR) == (True, None)


@given(st.integers(1, 10**6), st.floats(0, 10**8), st.sampled_from(["", "skip", "all"]))
def test_the_next_run_is_a_whole_number_of_intervals_away(interval: int, late: float, policy: str) -> None:
    cron = hourly(interval=interval, missed=policy)
    now = SLOT + timedelta(seconds=late)
    _, nextrun = turn(cron, timetable_of(cron, UTC), now)
    assert nextrun is not None
    assert (nextrun - SLOT) % timedelta(seconds=interval) == timedelta()
    assert nextrun > now or policy == "all"


def test_a_zone_of_the_cron_is_that_of_its_expression() -> None:
    cron = hourly(interval=-1, cronexpression="0 0 6 * * *", timezone="Asia/Tokyo")
    assert timetable_of(cron, UTC).first(SLOT) == datetime(2026, 11, 22, 21, tzinfo=UTC)
    own = hourly(interval=-1, cronexpression="TZ=UTC 0 0 6 * * *", timezone="Asia/Tokyo")
    assert timetable_of(own, UTC).first(SLOT) == datetime(2026, 11, 23, 6, tzinfo=UTC)


@pytest.mark.parametrize(
    "fields, says",
    [
        ({"interval": 0}, "Cron interval must be -1 (disabled) or larger than 0"),
        ({"interval": -2, "cronexpression": "@daily"}, "Cron interval must be -1 (disabled) or larger than 0"),
        ({"interval": 2**62}, "Cron interval must be at most 3153600000 seconds"),
        ({"interval": -1, "cronexpression": "@daily", "random": True}, "Random cron is only supported when"),
        ({"interval": -1, "cronexpression": "x"}, "expected exactly 6 fields, found 1: [x]"),
        ({"timezone": "Nope/Zone"}, "unknown time zone Nope/Zone"),
        ({"missed": "sometimes"}, "missed must be one of once, skip, all"),
        ({"missedlimit": -1}, "missedlimit must be between 1 and 1000"),
        ({"missedlimit": 1001}, "missedlimit must be between 1 and 1000"),
    ],
)
def test_what_is_refused(fields: dict[str, Any], says: str) -> None:
    cron = hourly(**fields)
    with pytest.raises(BadRequest) as refused:
        timetable_of(cron, UTC)
        policy_of(cron)
    assert refused.value.message.startswith(says)


def test_an_expression_beside_an_interval_is_not_read() -> None:
    assert timetable_of(hourly(cronexpression="anything"), UTC).first(SLOT) == SLOT + HOUR
