"""The README's tour, run from its own text: what it prints is what a reader will see."""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from colonies import free_port
from pages import Step, comparable, saved, steps, terminal

ROOT = Path(__file__).parents[2]
PORT = "50080"


def tour() -> tuple[list[Step], dict[str, str]]:
    """The commands of the tour in order, and the files that the reader saves on the way."""
    text = (ROOT / "README.md").read_text()
    text = text[text.index("## Five minutes") : text.index("## Where to read next")]
    return steps(text), saved(text)


def test_the_tour_is_whole() -> None:
    commands, files = tour()
    assert commands[0].command == "make run"
    assert len(commands) > 8
    assert set(files) == {"worker.py", "submit.py", "workflow.py"}


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
    commands, files = tour()
    (tmp_path / ".venv").symlink_to(ROOT / ".venv")
    for name, text in files.items():
        (tmp_path / name).write_text(text)
    started = [line.replace(f"{tmp_path}/", "") for line in colony_of_the_reader]
    for line in commands[0].output:
        assert line in started

    with terminal(tmp_path) as shell:
        for step in commands[1:]:
            assert comparable(shell.run(step.command)) == comparable(step.output), step.command


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
