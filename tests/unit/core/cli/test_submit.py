"""From the command line to a function specification."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import typer

from kolony.cli.submit import pairs, read_file, specification, value_of
from kolony.errors import ConfigurationError
from kolony.model.functionspecs import Conditions, FunctionSpec

JSON = '{"funcname": "echo", "args": ["hi"], "maxexectime": 60, "conditions": {"executortype": "cli"}}'
YAML = """
funcname: echo
args: [hi]
maxexectime: 60
conditions:
  executortype: cli
"""
ECHO = FunctionSpec(
    funcname="echo", args=["hi"], maxwaittime=-1, maxexectime=60, conditions=Conditions(executortype="cli")
)


@pytest.mark.parametrize(
    "text, value",
    [
        ("hello", "hello"),
        ("5", 5),
        ("-1.5", -1.5),
        ("true", True),
        ("null", None),
        ('"5"', "5"),
        ('{"a": [1]}', {"a": [1]}),
        ("[1", "[1"),
        ("NaN", "NaN"),
        ("", ""),
        ("1 2", "1 2"),
    ],
)
def test_arguments_are_json_or_text(text: str, value: Any) -> None:
    assert value_of(text) == value


def test_pairs() -> None:
    assert dict(pairs("--kwarg", ["a=1", "b=x=y", "c="])) == {"a": "1", "b": "x=y", "c": ""}
    assert dict(pairs("--kwarg", None)) == {}


@pytest.mark.parametrize("text", ["a", "=1", ""])
def test_a_pair_without_a_name_or_value_is_refused(text: str) -> None:
    with pytest.raises(typer.BadParameter, match="--env"):
        dict(pairs("--env", [text]))


def test_a_function_by_name() -> None:
    spec = specification("add", ["1", "x"], None, {"executortype": "math", "priority": 3})
    assert spec == FunctionSpec(
        funcname="add",
        args=[1, "x"],
        priority=3,
        maxwaittime=-1,
        maxexectime=-1,
        conditions=Conditions(executortype="math"),
    )


@pytest.mark.parametrize("name, text", [("job.json", JSON), ("job.yaml", YAML), ("job.yml", YAML), ("job", JSON)])
def test_a_file(tmp_path: Path, name: str, text: str) -> None:
    (tmp_path / name).write_text(text)
    assert read_file(tmp_path / name) == ECHO
    assert specification(None, [], tmp_path / name, {"label": "l"}).label == "l"


@pytest.mark.parametrize(
    "name, text, why",
    [
        ("job.json", "{", "truncated"),
        ("job.json", f"[{JSON}]", "list"),
        ("job.json", '{"prioritty": 1}', "prioritty"),
        ("job.yaml", "a: [", "expected"),
        ("job.yaml", "funcname: 5", "funcname"),
        ("job.yaml", "", "object"),
    ],
)
def test_a_wrong_file_is_named_with_what_is_wrong(tmp_path: Path, name: str, text: str, why: str) -> None:
    (tmp_path / name).write_text(text)
    with pytest.raises(ConfigurationError, match=why) as caught:
        read_file(tmp_path / name)
    assert str(tmp_path / name) in caught.value.message


def test_a_missing_file(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="No such file"):
        read_file(tmp_path / "nothing.json")


@pytest.mark.parametrize("function, file", [(None, None), ("f", Path("f.json"))])
def test_either_a_name_or_a_file(function: str | None, file: Path | None) -> None:
    with pytest.raises(typer.BadParameter, match="--spec"):
        specification(function, [], file, {})


def test_somebody_has_to_run_it() -> None:
    with pytest.raises(typer.BadParameter, match="--type"):
        specification("f", [], None, {})
