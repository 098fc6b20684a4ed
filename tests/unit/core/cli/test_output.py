"""How results look."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta

import pytest
import yaml

from kolony.cli.output import Output, age, compact, duration, explain, moment, show_list, show_one, state_name, written
from kolony.cli.picking import distinct_digits
from kolony.cli.processes import rows, took
from kolony.errors import BadRequest, ConfigurationError, ConnectionLost, Forbidden
from kolony.model.base import NO_TIME
from kolony.model.colonies import Colony
from kolony.model.functionspecs import Conditions, FunctionSpec
from kolony.model.locations import Location
from kolony.model.processes import Process, ProcessState

START = datetime(2026, 11, 22, 17, 0, 0, tzinfo=UTC)
COLUMNS = (("NAME", lambda colony: colony.name), ("OWNER", lambda colony: colony.colonyid))


@pytest.mark.parametrize(
    "seconds, text",
    [
        (-1, "0.00s"),
        (0, "0.00s"),
        (0.254, "0.25s"),
        (9.99, "9.99s"),
        (10, "10s"),
        (59.9, "59s"),
        (60, "1m"),
        (192, "3m12s"),
        (3600, "1h"),
        (7500, "2h5m"),
        (86_400, "1d"),
        (349_200, "4d1h"),
    ],
)
def test_durations(seconds: float, text: str) -> None:
    assert duration(seconds) == text


def test_ages_and_times_that_are_not_set_are_empty() -> None:
    assert (age(NO_TIME), moment(NO_TIME)) == ("", "")
    assert age(START, START + timedelta(minutes=2)) == "2m"
    assert moment(START) == START.astimezone().strftime("%Y-%m-%d %H:%M:%S")


@pytest.mark.parametrize(
    "value, text", [("text", "text"), (1, "1"), (None, "null"), ([1, "a"], '[1,"a"]'), ({"a": 1.5}, '{"a":1.5}')]
)
def test_values_on_one_line(value: object, text: str) -> None:
    assert compact(value) == text


@pytest.mark.parametrize("state", ProcessState)
def test_states_are_words(state: ProcessState) -> None:
    assert state_name(int(state)) == state.name.lower()


def test_json_and_yaml_are_what_the_protocol_says() -> None:
    process = Process(processid="p", input=[1], output=["é"], submissiontime=START, spec=FunctionSpec(args=[{"a": 1}]))
    shown = json.loads(written(process, Output.JSON))
    assert (shown["in"], shown["out"], shown["submissiontime"]) == ([1], ["é"], "2026-11-22T17:00:00Z")
    assert shown["starttime"] == "0001-01-01T00:00:00Z"
    assert "locationname" not in shown["spec"]["conditions"]
    assert yaml.safe_load(written(process, Output.YAML)) == shown
    assert json.loads(written(Location(name="l", longitude=1.5), Output.JSON))["long"] == 1.5
    assert written([], Output.JSON) == "[]"


def test_a_table_has_a_heading_and_a_row_for_each(capsys: pytest.CaptureFixture[str]) -> None:
    show_list([Colony(name="dev", colonyid="1"), Colony(name="[bold]x", colonyid="y" * 300)], COLUMNS, Output.TABLE)
    assert capsys.readouterr().out.splitlines() == [
        "NAME     OWNER",
        "dev      1",
        f"[bold]x  {'y' * 300}",
    ]


def test_an_empty_table_has_a_heading_and_an_empty_list_is_one(capsys: pytest.CaptureFixture[str]) -> None:
    show_list([], COLUMNS, Output.TABLE)
    show_list([], COLUMNS, Output.JSON)
    assert capsys.readouterr().out == "NAME  OWNER\n[]\n"


def test_one_object_shows_what_it_says(capsys: pytest.CaptureFixture[str]) -> None:
    show_one({}, [("name", "dev"), ("empty", ""), ("a longer name", "x\ny")], Output.TABLE)
    assert capsys.readouterr().out.splitlines() == ["name           dev", "a longer name  x", "               y"]


def test_a_process_in_rows() -> None:
    process = Process(
        processid="p",
        state=ProcessState.FAILED,
        submissiontime=START,
        starttime=START,
        endtime=START + timedelta(seconds=1.5),
        initiatorname="alice",
        errors=["one", "two"],
        spec=FunctionSpec(funcname="f", args=[1, "a"], conditions=Conditions(executortype="cli")),
    )
    shown = {name: text for name, text in rows(process) if text}
    assert shown == {
        "id": "p",
        "state": "failed",
        "function": "f",
        "args": '[1,"a"]',
        "executor type": "cli",
        "initiator": "alice",
        "submitted": moment(START),
        "started": moment(START),
        "ended": moment(process.endtime),
        "took": "1.50s",
        "errors": "one\ntwo",
    }


def test_only_what_ran_and_ended_took_time() -> None:
    assert took(Process(state=ProcessState.RUNNING, starttime=START, endtime=START)) == ""
    assert took(Process(state=ProcessState.CANCELLED, endtime=START)) == ""


@pytest.mark.parametrize(
    "ids, digits",
    [
        ([], 12),
        (["a" * 64], 12),
        (["a" * 64, "b" * 64], 12),
        (["a" * 20 + "b" * 44, "a" * 20 + "c" * 44], 21),
        (["a" * 63 + "b", "a" * 64], 64),
        (["a" * 64, "a" * 64], 12),
    ],
)
def test_ids_are_as_long_as_it_takes_to_tell_them_apart(ids: list[str], digits: int) -> None:
    assert distinct_digits(ids) == digits


@pytest.mark.parametrize(
    "error, says",
    [
        (ConnectionLost("no server answers"), "kolony dev"),
        (Forbidden("Access denied"), "COLONIES_PRVKEY"),
        (ConfigurationError("set it"), "set it"),
        (BadRequest("two\n lines"), "two lines"),
    ],
)
def test_an_error_is_one_line_that_says_what_to_do(error, says: str) -> None:
    assert says in explain(error)
    assert "\n" not in explain(error)
