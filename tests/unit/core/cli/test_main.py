"""The command line without a server."""

from __future__ import annotations

import json
import stat
from importlib.metadata import EntryPoint
from pathlib import Path

import pytest
from command import Finished, run_kolony
from typer.testing import CliRunner

from kolony import __version__
from kolony.cli import main, plugins
from kolony.crypto import PrivateKey

KEY = PrivateKey.generate()


def kolony(*args: str) -> Finished:
    """The command with a member's key and nothing else."""
    return run_kolony(*args, COLONIES_PRVKEY=KEY.hex)


def test_version() -> None:
    assert kolony("--version") == Finished(0, f"kolony {__version__}\n", "")


@pytest.mark.parametrize(
    "args",
    [
        ("--help",),
        ("submit", "--help"),
        ("process", "--help"),
        ("process", "logs", "--help"),
        ("workflow", "submit", "--help"),
    ],
)
def test_help(args: tuple[str, ...]) -> None:
    shown = kolony(*args)
    assert (shown.code, shown.err) == (0, "")
    assert "Usage: kolony" in shown.out


@pytest.mark.parametrize(
    "args",
    [
        ("nothing",),
        ("process", "nothing"),
        ("process", "get"),
        ("submit",),
        ("submit", "f"),
        ("submit", "f", "--kwarg", "x", "--type", "t"),
        ("process", "list", "--state", "odd"),
        ("process", "list", "--count", "101"),
        ("process", "list", "--label", "a", "--initiator", "b"),
        ("process", "list", "-o", "xml"),
        ("workflow", "submit"),
        ("--port", "1", "workflow", "get", "abc"),
        ("workflow", "list", "--state", "odd"),
        ("--port", "x", "process", "list"),
    ],
)
def test_usage_errors_exit_with_2(args: tuple[str, ...]) -> None:
    refused = kolony(*args)
    assert (refused.code, refused.out) == (2, "")
    assert "Usage: kolony" in refused.err


@pytest.mark.parametrize(
    "args, says",
    [
        (("process", "list"), "COLONIES_SERVER_PORT"),
        (("--port", "1", "--colony", "dev", "executor", "approve", "e"), "COLONIES_COLONY_PRVKEY"),
        (("--port", "1", "colony", "list"), "COLONIES_SERVER_PRVKEY"),
        (("submit", "--spec", "/nothing.json"), "/nothing.json"),
        (("workflow", "submit", "--spec", "/nothing.json"), "/nothing.json"),
        (("key", "id", "--file", "/nothing"), "/nothing"),
    ],
)
def test_errors_are_one_line_and_exit_with_1(args: tuple[str, ...], says: str) -> None:
    failed = kolony(*args)
    assert (failed.code, failed.out) == (1, "")
    assert failed.err.startswith("error: ")
    assert failed.err.count("\n") == 1
    assert says in failed.err


def test_a_new_key() -> None:
    made = json.loads(kolony("key", "new", "-o", "json").out)
    assert PrivateKey(made["prvkey"]).identity == made["id"]
    assert [line.split()[0] for line in kolony("key", "new").out.splitlines()] == ["prvkey", "id"]


def test_a_new_key_in_a_file_is_not_shown(tmp_path: Path) -> None:
    path = tmp_path / "key"
    shown = kolony("key", "new", "--file", str(path))
    key = PrivateKey(path.read_text().strip())
    assert shown.code == 0
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert key.hex not in shown.out
    assert kolony("key", "id", "--file", str(path)) == Finished(0, f"{key.identity}\n", "")
    assert kolony("key", "new", "--file", str(path)).code == 1
    assert path.read_text().strip() == key.hex


def test_the_identity_of_a_key() -> None:
    assert kolony("key", "id") == Finished(0, f"{KEY.identity}\n", "")
    assert json.loads(kolony("key", "id", "-o", "json").out) == {"id": KEY.identity}


def test_the_identity_of_a_key_on_standard_input() -> None:
    runner = CliRunner()
    assert runner.invoke(main.app, ["key", "id", "--file", "-"], input=f"{KEY.hex}\n").output == f"{KEY.identity}\n"


def add_plugin(monkeypatch: pytest.MonkeyPatch, value: str) -> None:
    entry = EntryPoint("extra", value, plugins.GROUP)
    monkeypatch.setattr(plugins, "entry_points", lambda group: [entry] if group == plugins.GROUP else [])


def test_a_plugin_is_a_command(monkeypatch: pytest.MonkeyPatch) -> None:
    add_plugin(monkeypatch, "kolony.cli.keys:new")
    assert "extra" in kolony("--help").out
    assert "prvkey" in kolony("extra", "-o", "json").out


def test_a_plugin_that_is_not_installed_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    add_plugin(monkeypatch, "kolony_operator.nothing:command")
    assert "extra" in kolony("--help").out
    failed = kolony("extra", "--port", "5")
    assert (failed.code, failed.out) == (1, "")
    assert "kolony[operator]" in failed.err
    assert failed.err.count("\n") == 1
