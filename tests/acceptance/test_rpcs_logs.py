"""Logs: of processes, by the executors that run them, and of executors; reading, following and searching."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any, NamedTuple

import pytest
from answers import refusal
from clocked import ClockedServer
from colonies import Answer, Colony, RunningServer, create_colony, create_database

from kolony.crypto import PrivateKey

NS = 10**9
DAY = 86_400


class Writer(NamedTuple):
    """An executor that runs a process."""

    colony: Colony
    executor: PrivateKey
    processid: str

    @property
    def of(self) -> dict[str, str]:
        """The names of the executor."""
        return {"colonyname": self.colony.name, "executorname": "e1"}

    def write(self, *messages: str) -> None:
        for message in messages:
            self.colony.rpc.ok("addlogmsg", self.executor, processid=self.processid, message=message)

    def write_own(self, *messages: str) -> None:
        for message in messages:
            self.colony.rpc.ok("addexecutorlogmsg", self.executor, **self.of, message=message)

    def close(self) -> None:
        self.colony.rpc.ok("closesuccessfulmsg", self.executor, processid=self.processid)

    def read(self, **fields: Any) -> Any:
        """Logs of the process, unless something else is asked for."""
        query = {"processid": self.processid, "count": 100, **fields}
        return self.colony.rpc.ok("getlogsmsg", self.colony.user_key, **query)

    def search(self, text: str = "", **fields: Any) -> Answer:
        query = {"colonyname": self.colony.name, "text": text, "days": 1, "count": 100, **fields}
        return self.colony.rpc.call("searchlogsmsg", self.colony.user_key, **query)


def writer_in(colony: Colony) -> Writer:
    executor = colony.add_executor("e1")
    colony.submit()
    return Writer(colony, executor, colony.assign(executor)["processid"])


@pytest.fixture
def writer(colony: Colony) -> Writer:
    return writer_in(colony)


def messages(logs: list[dict[str, Any]] | None) -> list[str] | None:
    return logs and [log["message"] for log in logs]


# Writing


def test_an_entry_of_a_process(writer: Writer) -> None:
    before = time.time_ns()
    writer.write("line\nbreak\t\N{SNOWMAN}", "")
    first, second = writer.read()
    names = {"processid": writer.processid, "colonyname": writer.colony.name, "executorname": "e1"}
    assert first == {**names, "message": "line\nbreak\t\N{SNOWMAN}", "timestamp": first["timestamp"]}
    assert second == {**names, "message": "", "timestamp": second["timestamp"]}
    # the clock of the server is that of its database
    assert before - NS < first["timestamp"] < second["timestamp"] < time.time_ns() + NS


def test_an_entry_of_an_executor(writer: Writer) -> None:
    writer.write_own("hello")
    assert writer.read() is None
    assert messages(writer.read(processid="", **writer.of)) == ["hello"]
    assert writer.read(processid="", **writer.of)[0]["processid"] == ""


def test_each_call_adds_an_entry(writer: Writer) -> None:
    writer.write("same", "same", "same")
    assert messages(writer.read()) == ["same"] * 3


def test_an_entry_may_be_long(writer: Writer) -> None:
    writer.write("x" * 1_000_000)
    assert messages(writer.read()) == ["x" * 1_000_000]


@pytest.mark.parametrize("msgtype", ["closesuccessfulmsg", "closefailedmsg", "cancelprocessmsg"])
def test_who_may_comes_after_what_still_can(writer: Writer, msgtype: str) -> None:
    writer.colony.rpc.ok(msgtype, writer.executor, processid=writer.processid)
    for key in (writer.executor, writer.colony.add_executor("e2"), writer.colony.user_key):
        answer = writer.colony.rpc.call("addlogmsg", key, processid=writer.processid, message="late")
        assert refusal(answer) == (403, "Failed to set output, process is not running")
    assert writer.read() is None


def test_a_waiting_process_has_no_log(writer: Writer) -> None:
    waiting = writer.colony.submit()["processid"]
    answer = writer.colony.rpc.call("addlogmsg", writer.executor, processid=waiting, message="early")
    assert refusal(answer) == (403, "Failed to set output, process is not running")


# Reading


@pytest.mark.parametrize(
    "query, expected",
    [
        ({"count": 3}, [0, 1, 2]),
        ({"count": 100}, [0, 1, 2, 3, 4, 5]),
        ({"count": 500}, [0, 1, 2, 3, 4, 5]),
        ({"count": 3, "latest": True}, [3, 4, 5]),
        ({"count": 100, "latest": True}, [0, 1, 2, 3, 4, 5]),
        ({"count": 2, "since": 2}, [3, 4]),
        ({"count": 100, "since": 2}, [3, 4, 5]),
        ({"count": 100, "since": 5}, None),
        ({"count": 2, "since": 4, "latest": True}, [4, 5]),
        ({"count": 0}, None),
        ({}, None),
        ({"count": 0, "latest": True}, None),
    ],
    ids=str,
)
@pytest.mark.parametrize("by", ["process", "executor"])
def test_which_entries_are_read(writer: Writer, by: str, query: dict[str, Any], expected: list[int] | None) -> None:
    writer.write(*map(str, range(6)))
    source = {"processid": writer.processid} if by == "process" else writer.of
    if "since" in query:  # the time of an entry
        query = {**query, "since": writer.read()[query["since"]]["timestamp"]}
    found = writer.colony.rpc.ok("getlogsmsg", writer.colony.user_key, **source, **query)
    assert messages(found) == (expected and list(map(str, expected)))


@pytest.mark.parametrize("since", [0, -1, -(2**63)])
def test_no_time_is_no_filter(writer: Writer, since: int) -> None:
    writer.write("a", "b")
    assert messages(writer.read(since=since)) == ["a", "b"]


def test_following_a_log(writer: Writer) -> None:
    writer.write(*map(str, range(7)))
    followed: list[str] = []
    since = 0
    while page := writer.read(since=since, count=3):
        followed += messages(page) or []
        since = page[-1]["timestamp"]
    writer.write("7")
    followed += messages(writer.read(since=since, count=3)) or []
    assert followed == list(map(str, range(8)))


def test_the_log_of_an_executor_has_both_kinds(writer: Writer) -> None:
    writer.write("of a process")
    writer.write_own("of its own")
    assert messages(writer.read(**writer.of)) == ["of a process", "of its own"]


def test_an_executor_of_the_same_name_elsewhere_has_its_own_log(server: RunningServer, writer: Writer) -> None:
    other = writer_in(create_colony(server))
    writer.write("here")
    other.write("there")
    assert messages(writer.read(**writer.of)) == ["here"]
    assert messages(other.read(**other.of)) == ["there"]


@pytest.mark.parametrize("by", ["process", "executor"])
@pytest.mark.parametrize(
    "count, expected",
    [(501, (403, "Count exceeds max log count (500)")), (-1, (400, "pq: LIMIT must not be negative"))],
)
def test_the_count_has_bounds(writer: Writer, by: str, count: int, expected: tuple[int, str]) -> None:
    source = {"processid": writer.processid} if by == "process" else writer.of
    answer = writer.colony.rpc.call("getlogsmsg", writer.colony.user_key, **source, count=count)
    assert refusal(answer) == expected
    stranger = writer.colony.rpc.call("getlogsmsg", PrivateKey.generate(), **source, count=count)
    assert refusal(stranger)[1].startswith("Access denied, not a member")


def test_logs_of_a_removed_process_are_read_by_executor_and_found(writer: Writer) -> None:
    writer.write("last words")
    writer.close()
    writer.colony.rpc.ok("removeprocessmsg", writer.colony.user_key, processid=writer.processid)
    answer = writer.colony.rpc.call("getlogsmsg", writer.colony.user_key, processid=writer.processid, count=9)
    assert refusal(answer) == (500, "Failed to get logs, process does not exist")
    assert messages(writer.read(**writer.of)) == ["last words"]
    assert messages(writer.search("words").payload) == ["last words"]


@pytest.mark.parametrize("change", ["rejectexecutormsg", "removeexecutormsg"])
def test_logs_of_an_executor_stay_when_it_goes(writer: Writer, change: str) -> None:
    writer.write("hello")
    writer.colony.rpc.ok(change, writer.colony.colony_key, **writer.of)
    assert messages(writer.read(**writer.of)) == ["hello"]
    assert messages(writer.read()) == ["hello"]


# Searching


LINES = ["alpha", "Beta", "100%", "1000", "a_b", "axb", "c:\\dir", "ends in a%", "two\nlines"]


@pytest.mark.parametrize(
    "text, expected",
    [
        ("", LINES),
        ("lph", ["alpha"]),
        ("beta", None),
        ("Beta", ["Beta"]),
        ("100", ["100%", "1000"]),
        ("100%", ["100%", "1000"]),
        ("100\\%", ["100%"]),
        ("a_b", ["a_b", "axb"]),
        ("a\\_b", ["a_b"]),
        ("a%a", ["alpha", "ends in a%"][:1]),
        ("\\", ["100%", "ends in a%"]),
        ("a\\", ["ends in a%"]),
        (":\\\\d", ["c:\\dir"]),
        ("two%lines", ["two\nlines"]),
        ("'; drop table logs; --", None),
        ("nothing", None),
    ],
)
def test_what_a_pattern_finds(writer: Writer, text: str, expected: list[str] | None) -> None:
    writer.write(*LINES)
    assert messages(writer.search(text).payload) == expected


def test_a_search_covers_both_kinds_in_their_order_from_the_oldest(server: RunningServer, writer: Writer) -> None:
    writer_in(create_colony(server)).write("x elsewhere")
    writer.write_own("x1")
    writer.write("x2")
    writer.write_own("x3")
    assert messages(writer.search("x").payload) == ["x1", "x2", "x3"]
    assert messages(writer.search("x", count=2).payload) == ["x1", "x2"]


@pytest.mark.parametrize(
    "query, expected",
    [
        ({"count": 101}, (400, "Count exceeds max log count (100)")),
        ({"days": 31}, (400, "Count exceeds max day count (30)")),
        ({"count": 101, "days": 31}, (400, "Count exceeds max log count (100)")),
        ({"count": -1}, (400, "pq: LIMIT must not be negative")),
        ({"count": -1, "days": 31}, (400, "Count exceeds max day count (30)")),
    ],
    ids=str,
)
def test_a_search_has_bounds(writer: Writer, query: dict[str, int], expected: tuple[int, str]) -> None:
    assert refusal(writer.search(**query)) == expected


@pytest.mark.parametrize("query", [{"count": 0}, {"days": 0}, {"days": -1}], ids=str)
def test_a_search_for_nothing_finds_nothing(writer: Writer, query: dict[str, int]) -> None:
    writer.write("a")
    assert writer.search(**query).payload is None


@pytest.fixture(scope="module")
def clocked(postgres_dsn: str) -> Iterator[ClockedServer]:
    with ClockedServer(create_database(postgres_dsn), retention=True, retention_age=20 * DAY) as server:
        yield server


def test_a_search_looks_back_so_many_days(clocked: ClockedServer) -> None:
    writer = writer_in(clocked.colony())
    for age in ("three", "two", "one", "zero"):
        writer.write(age)
        clocked.clock.advance(DAY)
    clocked.clock.advance(-1)
    found = {days: messages(writer.search(days=days).payload) for days in (1, 2, 30)}
    assert found == {1: ["zero"], 2: ["one", "zero"], 30: ["three", "two", "one", "zero"]}


def test_retention_deletes_logs_of_any_process(clocked: ClockedServer) -> None:
    writer = writer_in(clocked.colony())
    writer.write("old")
    writer.write_own("old too")
    clocked.clock.advance(15 * DAY)
    writer.write("young")
    clocked.apply_retention(after=6 * DAY)
    assert messages(writer.search(days=30).payload) == ["young"]
