"""The command line without a server."""

from __future__ import annotations

import json
import stat
from importlib.metadata import EntryPoint
from pathlib import Path

import pytest
from typer.testing import CliRunner

from kolony import __version__
from kolony.cli import main, plugins
from kolony.crypto import PrivateKey

KEY = PrivateKey.generate()


@pytest.fixture(autouse=True)
def environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("COLONIES_SERVER_PORT", "COLONIES_SERVER_HTTP_PORT", "COLONIES_COLONY_PRVKEY"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("COLONIES_PRVKEY", KEY.hex)


@pytest.fixture
def kolony(monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]):
    """Runs the command and gives its exit code, output and errors."""

    def run(*args: str) -> tuple[int, str, str]:
        monkeypatch.setattr("sys.argv", ["kolony", *args])
        with pytest.raises(SystemExit) as ended:
            main.main()
        out, err = capfd.readouterr()
        return int(ended.value.code or 0), out, err

    return run


def test_version(kolony) -> None:
    assert kolony("--version") == (0, f"kolony {__version__}\n", "")


@pytest.mark.parametrize(
    "args",
    [("--help",), ("submit", "--help"), ("process", "--help"), ("process", "logs", "--help"), ("key", "new", "--help")],
)
def test_help(kolony, args: tuple[str, ...]) -> None:
    code, out, err = kolony(*args)
    assert (code, err) == (0, "")
    assert "Usage: kolony" in out


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
        ("--port", "x", "process", "list"),
    ],
)
def test_usage_errors_exit_with_2(kolony, args: tuple[str, ...]) -> None:
    code, out, err = kolony(*args)
    assert (code, out) == (2, "")
    assert "Usage: kolony" in err


@pytest.mark.parametrize(
    "args, says",
    [
        (("process", "list"), "COLONIES_SERVER_PORT"),
        (("--port", "1", "--colony", "dev", "executor", "approve", "e"), "COLONIES_COLONY_PRVKEY"),
        (("--port", "1", "colony", "list"), "COLONIES_SERVER_PRVKEY"),
        (("submit", "--spec", "/nothing.json"), "/nothing.json"),
        (("key", "id", "--file", "/nothing"), "/nothing"),
    ],
)
def test_errors_are_one_line_and_exit_with_1(kolony, args: tuple[str, ...], says: str) -> None:
    code, out, err = kolony(*args)
    assert (code, out) == (1, "")
    assert err.startswith("error: ")
    assert err.count("\n") == 1
    assert says in err


def test_a_new_key(kolony) -> None:
    code, out, _ = kolony("key", "new", "-o", "json")
    made = json.loads(out)
    assert code == 0
    assert PrivateKey(made["prvkey"]).identity == made["id"]
    assert [line.split()[0] for line in kolony("key", "new")[1].splitlines()] == ["prvkey", "id"]


def test_a_new_key_in_a_file_is_not_shown(kolony, tmp_path: Path) -> None:
    path = tmp_path / "key"
    code, out, _ = kolony("key", "new", "--file", str(path))
    key = PrivateKey(path.read_text().strip())
    assert code == 0
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert key.hex not in out
    assert kolony("key", "id", "--file", str(path)) == (0, f"{key.identity}\n", "")
    assert kolony("key", "new", "--file", str(path))[0] == 1
    assert path.read_text().strip() == key.hex


def test_the_identity_of_a_key(kolony) -> None:
    assert kolony("key", "id") == (0, f"{KEY.identity}\n", "")
    assert json.loads(kolony("key", "id", "-o", "json")[1]) == {"id": KEY.identity}


def test_the_identity_of_a_key_on_standard_input() -> None:
    runner = CliRunner()
    assert runner.invoke(main.app, ["key", "id", "--file", "-"], input=f"{KEY.hex}\n").output == f"{KEY.identity}\n"


def add_plugin(monkeypatch: pytest.MonkeyPatch, value: str) -> None:
    entry = EntryPoint("extra", value, plugins.GROUP)
    monkeypatch.setattr(plugins, "entry_points", lambda group: [entry] if group == plugins.GROUP else [])


def test_a_plugin_is_a_command(monkeypatch: pytest.MonkeyPatch, kolony) -> None:
    add_plugin(monkeypatch, "kolony.cli.keys:new")
    assert "extra" in kolony("--help")[1]
    assert "prvkey" in kolony("extra", "-o", "json")[1]


def test_a_plugin_that_is_not_installed_says_what_to_install(monkeypatch: pytest.MonkeyPatch, kolony) -> None:
    add_plugin(monkeypatch, "kolony_operator.nothing:command")
    assert "extra" in kolony("--help")[1]
    code, out, err = kolony("extra", "--port", "5")
    assert (code, out) == (1, "")
    assert "kolony[operator]" in err
    assert err.count("\n") == 1
