"""When crons are due: what expressions mean, what is refused, and what daylight saving does to them."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from itertools import islice
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kolony.errors import BadRequest
from kolony.model.timetables import Expression, Interval, Randomly, Timetable, read_expression

STOCKHOLM, NEW_YORK = ZoneInfo("Europe/Stockholm"), ZoneInfo("America/New_York")
SUNDAY = "2026-11-22 16:59:30.25"


def at(text: str, zone: ZoneInfo | None = None) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=zone or UTC)


def following(timetable: Timetable, now: datetime, count: int) -> list[datetime]:
    """The next slots, each asked for at the one before."""
    found = []
    while len(found) < count and (slot := timetable.first(found[-1] if found else now)) is not None:
        found.append(slot)
    return found


def shown(text: str, now: str, count: int = 3, zone: ZoneInfo | None = None) -> list[str]:
    """The next slots of an expression, as the clock on the wall shows them."""
    found = following(read_expression(text, zone or UTC), at(now, zone), count)
    return [slot.astimezone(zone or UTC).strftime("%Y-%m-%d %H:%M:%S") for slot in found]


@pytest.mark.parametrize(
    "text, expected",
    [
        ("0/5 * * * * *", ["2026-11-22 16:59:35", "2026-11-22 16:59:40", "2026-11-22 16:59:45"]),
        ("30 * * * * *", ["2026-11-22 17:00:30", "2026-11-22 17:01:30", "2026-11-22 17:02:30"]),
        ("59 3 15 * * MON", ["2026-11-23 15:03:59", "2026-11-30 15:03:59", "2026-12-07 15:03:59"]),
        ("0 0 15 24 12 *", ["2026-12-24 15:00:00", "2027-12-24 15:00:00", "2028-12-24 15:00:00"]),
        ("0 0 6 * * ?", ["2026-11-23 06:00:00", "2026-11-24 06:00:00", "2026-11-25 06:00:00"]),
        # the forms of a field
        ("31,33 59 16 * * *", ["2026-11-22 16:59:31", "2026-11-22 16:59:33", "2026-11-23 16:59:31"]),
        ("10-12 0 17 * * *", ["2026-11-22 17:00:10", "2026-11-22 17:00:11", "2026-11-22 17:00:12"]),
        ("*/20 0 17 * * *", ["2026-11-22 17:00:00", "2026-11-22 17:00:20", "2026-11-22 17:00:40"]),
        ("40/10 0 17 * * *", ["2026-11-22 17:00:40", "2026-11-22 17:00:50", "2026-11-23 17:00:40"]),
        ("5-30/20 0 17 * * *", ["2026-11-22 17:00:05", "2026-11-22 17:00:25", "2026-11-23 17:00:05"]),
        ("0 0 0 1 */5 ?", ["2027-01-01 00:00:00", "2027-06-01 00:00:00", "2027-11-01 00:00:00"]),
        # names, in any case
        ("0 0 0 1 jan,FEB,mAr *", ["2027-01-01 00:00:00", "2027-02-01 00:00:00", "2027-03-01 00:00:00"]),
        ("0 0 0 * * fri-SAT", ["2026-11-27 00:00:00", "2026-11-28 00:00:00", "2026-12-04 00:00:00"]),
        ("0 0 0 * * 0", ["2026-11-29 00:00:00", "2026-12-06 00:00:00", "2026-12-13 00:00:00"]),
        # days: either, when both are restricted; both, when one is open
        ("0 0 0 31 * MON", ["2026-11-23 00:00:00", "2026-11-30 00:00:00", "2026-12-07 00:00:00"]),
        ("0 0 0 31 12 TUE", ["2026-12-01 00:00:00", "2026-12-08 00:00:00", "2026-12-15 00:00:00"]),
        ("0 0 0 */2 * MON", ["2026-11-23 00:00:00", "2026-11-25 00:00:00", "2026-11-27 00:00:00"]),
        ("0 0 0 */1 * MON", ["2026-11-23 00:00:00", "2026-11-30 00:00:00", "2026-12-07 00:00:00"]),
        ("0 0 0 13 * */1", ["2026-12-13 00:00:00", "2027-01-13 00:00:00", "2027-02-13 00:00:00"]),
        ("0 0 0 13,* * MON", ["2026-11-23 00:00:00", "2026-11-30 00:00:00", "2026-12-07 00:00:00"]),
        # calendars
        ("0 0 0 31 * *", ["2026-12-31 00:00:00", "2027-01-31 00:00:00", "2027-03-31 00:00:00"]),
        ("0 0 0 29 2 *", ["2028-02-29 00:00:00", "2032-02-29 00:00:00", "2036-02-29 00:00:00"]),
        ("0 0 0 30 2 *", []),
        # descriptors
        ("@yearly", ["2027-01-01 00:00:00", "2028-01-01 00:00:00", "2029-01-01 00:00:00"]),
        ("@annually", ["2027-01-01 00:00:00", "2028-01-01 00:00:00", "2029-01-01 00:00:00"]),
        ("@monthly", ["2026-12-01 00:00:00", "2027-01-01 00:00:00", "2027-02-01 00:00:00"]),
        ("@weekly", ["2026-11-29 00:00:00", "2026-12-06 00:00:00", "2026-12-13 00:00:00"]),
        ("@daily", ["2026-11-23 00:00:00", "2026-11-24 00:00:00", "2026-11-25 00:00:00"]),
        ("@midnight", ["2026-11-23 00:00:00", "2026-11-24 00:00:00", "2026-11-25 00:00:00"]),
        ("@hourly", ["2026-11-22 17:00:00", "2026-11-22 18:00:00", "2026-11-22 19:00:00"]),
        ("@every 90s", ["2026-11-22 17:01:00", "2026-11-22 17:02:30", "2026-11-22 17:04:00"]),
        ("@every 1h30m", ["2026-11-22 18:29:30", "2026-11-22 19:59:30", "2026-11-22 21:29:30"]),
        ("@every 1.9s", ["2026-11-22 16:59:31", "2026-11-22 16:59:32", "2026-11-22 16:59:33"]),
        ("@every 5ms", ["2026-11-22 16:59:31", "2026-11-22 16:59:32", "2026-11-22 16:59:33"]),
        ("@every 0.5m", ["2026-11-22 17:00:00", "2026-11-22 17:00:30", "2026-11-22 17:01:00"]),
        # zones
        ("CRON_TZ=Asia/Tokyo 0 0 6 * * ?", ["2026-11-22 21:00:00", "2026-11-23 21:00:00", "2026-11-24 21:00:00"]),
        ("TZ=America/New_York @daily", ["2026-11-23 05:00:00", "2026-11-24 05:00:00", "2026-11-25 05:00:00"]),
        ("TZ=UTC @every 1h", ["2026-11-22 17:59:30", "2026-11-22 18:59:30", "2026-11-22 19:59:30"]),
        ("  0  0\t0 * * *  ", ["2026-11-23 00:00:00", "2026-11-24 00:00:00", "2026-11-25 00:00:00"]),
    ],
)
def test_what_an_expression_means(text: str, expected: list[str]) -> None:
    assert shown(text, SUNDAY) == expected


@pytest.mark.parametrize(
    "text, says",
    [
        ("", "empty cron expression string"),
        ("  ", "empty cron expression string"),
        ("* * * * *", "expected exactly 6 fields, found 5: [* * * * *]"),
        ("* * * * * * *", "expected exactly 6 fields, found 7: [* * * * * * *]"),
        ("61 * * * * *", "end of range (61) above maximum (59): 61"),
        ("* * 24 * * *", "end of range (24) above maximum (23): 24"),
        ("* * * * * 7", "end of range (7) above maximum (6): 7"),
        ("* * * 0 * *", "beginning of range (0) below minimum (1): 0"),
        ("* * * * 0 *", "beginning of range (0) below minimum (1): 0"),
        ("5-1 * * * * *", "beginning of range (5) beyond end of range (1): 5-1"),
        ("* * * * * FRI-MON", "beginning of range (5) beyond end of range (1): FRI-MON"),
        ("*/0 * * * * *", "step of range should be a positive number: */0"),
        ("1-2-3 * * * * *", "too many hyphens: 1-2-3"),
        ("1/2/3 * * * * *", "too many slashes: 1/2/3"),
        ("a * * * * *", "failed to parse int from a: invalid syntax"),
        ("*/-1 * * * * *", "negative number (-1) not allowed: -1"),
        ("1,,2 * * * * *", "failed to parse int from : invalid syntax"),
        ("-5 * * * * *", "failed to parse int from : invalid syntax"),
        ("٣ * * * * *", "failed to parse int from ٣: invalid syntax"),
        (f"{'9' * 5000} * * * * *", f"failed to parse int from {'9' * 5000}: invalid syntax"),
        # what other crons know
        ("* * * L * *", "failed to parse int from L: invalid syntax"),
        ("* * * 15W * *", "failed to parse int from 15W: invalid syntax"),
        ("* * * * * MON#2", "failed to parse int from MON#2: invalid syntax"),
        ("* * JAN * * *", "failed to parse int from JAN: invalid syntax"),
        ("H * * * * *", "failed to parse int from H: invalid syntax"),
        ("@reboot", "unrecognized descriptor: @reboot"),
        ("@every", "unrecognized descriptor: @every"),
        ("@Daily", "unrecognized descriptor: @Daily"),
        ("@every x", 'failed to parse duration @every x: invalid duration "x"'),
        ("@every 5", 'failed to parse duration @every 5: invalid duration "5"'),
        ("@every -5m", 'failed to parse duration @every -5m: invalid duration "-5m"'),
        ("@every 999999999h", "failed to parse duration @every 999999999h: more than 3153600000 seconds"),
        ("TZ=Nope/Zone * * * * * *", "provided bad location Nope/Zone: unknown time zone Nope/Zone"),
        ("TZ=../passwd * * * * * *", "provided bad location ../passwd: unknown time zone ../passwd"),
        ("TZ=Europe * * * * * *", "provided bad location Europe: unknown time zone Europe"),
        ("TZ= * * * * * *", "provided bad location : unknown time zone "),
        ("TZ=UTC", "nothing follows the time zone UTC"),
        ("CRON_TZ=UTC ", "empty cron expression string"),
    ],
)
def test_what_is_refused(text: str, says: str) -> None:
    with pytest.raises(BadRequest) as refused:
        read_expression(text, UTC)
    assert (refused.value.status, refused.value.message) == (400, says)


def test_a_match_is_strictly_after_now() -> None:
    daily = read_expression("@daily", UTC)
    assert daily.first(at("2026-11-22 00:00")) == at("2026-11-23 00:00")
    assert daily.first(at("2026-11-21 23:59:59.999999")) == at("2026-11-22 00:00")


# Daylight saving: in Stockholm 2026-03-29 has no 02:00 to 03:00, 2026-10-25 has 02:00 to 03:00 twice.


def test_a_time_that_does_not_exist_is_skipped() -> None:
    assert shown("0 30 2 * * *", "2026-03-28 12:00", 2, STOCKHOLM) == ["2026-03-30 02:30:00", "2026-03-31 02:30:00"]
    assert shown("0 30 * * * *", "2026-03-29 00:45", 3, STOCKHOLM) == [
        "2026-03-29 01:30:00",
        "2026-03-29 03:30:00",
        "2026-03-29 04:30:00",
    ]
    assert shown("0 0 3 * * *", "2026-03-28 12:00", 1, STOCKHOLM) == ["2026-03-29 03:00:00"]


def test_a_time_that_comes_twice_matches_twice() -> None:
    half_past_two = following(read_expression("0 30 2 * * *", STOCKHOLM), at("2026-10-24 12:00"), 3)
    assert half_past_two == [at("2026-10-25 00:30"), at("2026-10-25 01:30"), at("2026-10-26 01:30")]
    every_half_hour = following(read_expression("0 0/30 * * * *", STOCKHOLM), at("2026-10-24 23:45"), 6)
    assert every_half_hour == [at("2026-10-25 00:00") + number * timedelta(minutes=30) for number in range(6)]


def test_a_day_is_as_long_as_it_is() -> None:
    spring, autumn = (
        following(read_expression("CRON_TZ=America/New_York @daily", UTC), at(begin), 2)
        for begin in ("2026-03-08 00:00", "2026-11-01 00:00")
    )
    assert (spring[1] - spring[0], autumn[1] - autumn[0]) == (timedelta(hours=23), timedelta(hours=25))


def test_midnight_may_be_missing() -> None:
    """In Beirut the clocks go from midnight to one o'clock."""
    assert shown("0 0 0 * * *", "2026-03-28 12:00", 1, ZoneInfo("Asia/Beirut")) == ["2026-03-30 00:00:00"]
    assert shown("0 0 1 * * *", "2026-03-28 12:00", 1, ZoneInfo("Asia/Beirut")) == ["2026-03-29 01:00:00"]


def test_a_change_of_half_an_hour() -> None:
    """In Lord Howe 02:00 becomes 02:30 in October, and 01:30 to 02:00 comes twice in April."""
    zone = ZoneInfo("Australia/Lord_Howe")
    assert shown("0 15 2 * * *", "2026-10-03 12:00", 1, zone) == ["2026-10-05 02:15:00"]
    twice = following(read_expression("0 45 1 5 4 *", zone), at("2026-04-04 00:00"), 2)
    assert twice[1] - twice[0] == timedelta(minutes=30)


FIELD = st.sampled_from(["*", "*/7", "0", "3,1", "2-5", "10/20", "59"])
HOURS = st.sampled_from(["*", "*/5", "2", "0,23", "1-3"])
DAYS = st.sampled_from(["*", "?", "*/2", "1", "28-31", "29"])
WEEKDAYS = st.sampled_from(["*", "0", "MON-WED", "*/3", "sun,sat"])
INSTANTS = st.sampled_from(
    ["2026-03-28T23:58:00", "2026-10-24T23:58:00", "2026-12-31T22:59:00", "2026-11-01T04:30:00", "2028-02-28T23:00:00"]
)


@settings(max_examples=100, deadline=None)
@given(st.tuples(FIELD, FIELD, HOURS, DAYS, WEEKDAYS), INSTANTS, st.sampled_from([UTC, STOCKHOLM, NEW_YORK]))
def test_the_next_match_is_the_first_second_at_which_the_wall_matches(
    fields: tuple[str, ...], begin: str, zone: ZoneInfo
) -> None:
    second, minute, hour, day, weekday = fields
    expression = read_expression(f"{second} {minute} {hour} {day} * {weekday}", zone)
    assert isinstance(expression, Expression)
    now = at(begin)

    def matches(instant: datetime) -> bool:
        wall = instant.astimezone(zone)
        by_number, by_weekday = wall.day in expression.days, wall.isoweekday() % 7 in expression.weekdays
        return (
            wall.second in expression.seconds
            and wall.minute in expression.minutes
            and wall.hour in expression.hours
            and (by_number or by_weekday if expression.either else by_number and by_weekday)
        )

    seconds = (now + timedelta(seconds=number) for number in range(1, 4 * 3600))
    expected = list(islice(filter(matches, seconds), 20))
    assert following(expression, now, len(expected) or 1)[: len(expected)] == expected


# Slots


def test_an_interval_keeps_its_phase() -> None:
    every = Interval(timedelta(seconds=10))
    first = every.first(at("2026-11-22 12:00:00.5"))
    assert first == at("2026-11-22 12:00:10.5")
    assert every.next(first, at("2026-11-22 12:00:11.2")) == at("2026-11-22 12:00:20.5")
    assert every.next(first, at("2026-11-22 12:01:00.5")) == at("2026-11-22 12:01:10.5")
    assert every.next(first, at("2026-11-22 12:00:03")) == first


def test_a_random_time_is_within_the_interval() -> None:
    now, hourly = at("2026-11-22 12:00"), Randomly(timedelta(hours=1))
    drawn = [hourly.next(now, now) for _ in range(200)]
    assert all(now <= slot < now + timedelta(hours=1) for slot in drawn)
    assert max(drawn) - min(drawn) > timedelta(minutes=30)


@pytest.mark.parametrize("text", ["@every 7s", "0/7 * * * * *", "3 0/5 9-17 * * *", "0 0 2 * * *"])
def test_the_newest_of_the_slots_that_passed(text: str) -> None:
    timetable = read_expression(text, STOCKHOLM)
    begin = timetable.first(at("2026-03-27 12:00"))
    assert begin is not None
    now = begin + timedelta(hours=30)
    every = [begin]
    while (slot := timetable.next(every[-1], every[-1])) is not None and slot <= now:
        every.append(slot)
    for most in (1, 5, 1000, 10**6):
        assert timetable.passed(begin, now, most) == every[-most:]


def test_only_the_newest_of_what_passed_is_looked_at() -> None:
    """A year of seconds."""
    every = read_expression("* * * * * *", UTC)
    now = at("2026-11-22 12:00:00")
    passed = every.passed(now - timedelta(days=365), now, 3)
    assert passed == [now - timedelta(seconds=2), now - timedelta(seconds=1), now]
