"""The README's tour, run from its own text: what it prints is what a reader will see."""

from __future__ import annotations

import os
import re
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest
from colonies import free_port

ROOT = Path(__file__).parents[2]
PORT = "50080"
_BLOCK = re.compile(r"^```(\w+)\n(.*?)^```", re.MULTILINE | re.DOTALL)
_SAVE = re.compile(r"Save this as `([\w.]+)`")
_DURATION = re.compile(r"\b\d+(\.\d+)?(ms|s)\b")
_SOURCE = re.compile(r'File ".*?(kolony_apiserver/)')
_END = "__end_of_output__"


class Step(NamedTuple):
    """A command of the tour, and what the README says it prints."""

    command: str
    output: list[str]


def tour() -> tuple[list[Step], dict[str, str]]:
    """The commands of the tour in order, and the files that the reader saves on the way."""
    text = (ROOT / "README.md").read_text()
    text = text[text.index("## Five minutes") : text.index("## Where to read next")]
    steps: list[Step] = []
    files: dict[str, str] = {}
    for block in _BLOCK.finditer(text):
        language, body = block.groups()
        if language == "python":
            files[_SAVE.findall(text[: block.start()])[-1]] = body
        else:
            for line in body.splitlines():
                if line.startswith("$ "):
                    steps.append(Step(line[2:], []))
                else:
                    steps[-1].output.append(line)
    return steps, files


def test_the_tour_is_whole() -> None:
    steps, files = tour()
    assert steps[0].command == "make run"
    assert len(steps) > 8
    assert set(files) == {"worker.py", "submit.py"}


@pytest.fixture
def colony_of_the_reader(tmp_path: Path) -> Iterator[list[str]]:
    """`make run` as the README says, on a free port and in the test's folder; what it prints at first."""
    step = tour()[0][0]
    port = free_port()
    command = [*step.command.split(), f"PORT={port}", f"DATA={tmp_path / '.kolony'}"]
    with subprocess.Popen(
        command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, start_new_session=True
    ) as running:
        assert running.stdout is not None
        printed: list[str] = []
        for line in running.stdout:
            printed.append(line.rstrip("\n").replace(str(port), PORT))
            if line.startswith("Ctrl-C"):
                break
        try:
            yield printed
        finally:
            # as a terminal does: to the whole group, make included
            os.killpg(running.pid, signal.SIGINT)
            running.stdout.read()
            running.wait(timeout=60)


def test_the_tour_prints_what_the_readme_says(colony_of_the_reader: list[str], tmp_path: Path) -> None:
    steps, files = tour()
    (tmp_path / ".venv").symlink_to(ROOT / ".venv")
    for name, text in files.items():
        (tmp_path / name).write_text(text)
    started = [line.replace(f"{tmp_path}/", "") for line in colony_of_the_reader]
    for line in steps[0].output:
        assert line in started

    with subprocess.Popen(
        ["bash", "--norc"],
        cwd=tmp_path,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    ) as shell:
        for step in steps[1:]:
            assert _comparable(_run(shell, step.command)) == _comparable(step.output), step.command
        assert shell.stdin is not None
        shell.stdin.close()
        shell.wait(timeout=30)


def _run(shell: subprocess.Popen[str], command: str) -> list[str]:
    """What a command prints in a shell."""
    assert shell.stdin is not None
    assert shell.stdout is not None
    shell.stdin.write(f"{command}\necho {_END}\n")
    shell.stdin.flush()
    printed = []
    for line in shell.stdout:
        if line.rstrip("\n") == _END:
            break
        printed.append(line.rstrip("\n"))
    return printed


def _comparable(lines: list[str]) -> list[str]:
    """Lines without what differs from run to run: durations, the padding they cause, and where the source lies."""
    return [" ".join(_SOURCE.sub(r'File "\1', _DURATION.sub("<time>", line)).split()) for line in lines]


def test_ctrl_c_stops_all_of_it(tmp_path: Path) -> None:
    data = tmp_path / "data"
    command = [ROOT / ".venv/bin/kolony", "dev", "--port", str(free_port()), "--data", str(data)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as running:
        assert running.stdout is not None
        for line in running.stdout:
            if line.startswith("Ctrl-C"):
                break
        running.send_signal(signal.SIGINT)
        assert running.stdout.read().splitlines()[-1] == "Stopped."
        assert running.wait(timeout=60) == 0
    assert not subprocess.run(["pgrep", "-f", str(data)], check=False, capture_output=True).stdout
