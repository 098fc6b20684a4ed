"""Pages of the documentation whose commands are run: what they print has to be what the page says."""

from __future__ import annotations

import os
import re
import signal
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import NamedTuple

_BLOCK = re.compile(r"^```(\w+)\n(.*?)^```", re.MULTILINE | re.DOTALL)
_SAVE = re.compile(r"Save this as `([\w.]+)`")
_DURATION = re.compile(r"\b\d+(\.\d+)?(ms|s)\b")
_SOURCE = re.compile(r'File ".*?(kolony_apiserver/|examples/)')
_ID = re.compile(r"\b([0-9a-f]{64}|[0-9a-f]{12})\b")
_MOMENT = re.compile(r"\b\d{4}-\d\d-\d\d \d\d:\d\d:\d\d\b")
_END = "__end_of_output__"


class Step(NamedTuple):
    """A command of a page, and what the page says it prints."""

    command: str
    output: list[str]


def steps(text: str) -> list[Step]:
    """The commands of a page in order."""
    found: list[Step] = []
    for language, body in _BLOCK.findall(text):
        if language == "console":
            for line in body.splitlines():
                if line.startswith("$ "):
                    found.append(Step(line[2:], []))
                else:
                    found[-1].output.append(line)
    return found


def saved(text: str) -> dict[str, str]:
    """The files that the reader of a page saves, by name."""
    return {
        _SAVE.findall(text[: block.start()])[-1]: block.group(2)
        for block in _BLOCK.finditer(text)
        if block.group(1) != "console"
    }


class Terminal:
    """A shell of the reader."""

    def __init__(self, shell: subprocess.Popen[str]) -> None:
        self._shell = shell

    def run(self, command: str) -> list[str]:
        """What a command prints."""
        assert self._shell.stdin is not None
        assert self._shell.stdout is not None
        self._shell.stdin.write(f"{command}\necho {_END}\n")
        self._shell.stdin.flush()
        printed = []
        for line in self._shell.stdout:
            if line.rstrip("\n") == _END:
                break
            printed.append(line.rstrip("\n"))
        return printed


@contextmanager
def terminal(folder: Path, environment: Mapping[str, str] | None = None) -> Iterator[Terminal]:
    """A shell in a folder."""
    with subprocess.Popen(
        ["bash", "--norc"],
        cwd=folder,
        env=environment,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    ) as shell:
        try:
            yield Terminal(shell)
        finally:
            assert shell.stdin is not None
            shell.stdin.close()
            shell.wait(timeout=30)
            # what was started in the background and not ended
            with suppress(ProcessLookupError):
                os.killpg(shell.pid, signal.SIGKILL)


def comparable(lines: list[str]) -> list[str]:
    """Lines without what differs from run to run: times, the padding they cause, ids, and where sources lie."""
    return [_comparable(line) for line in lines]


def _comparable(line: str) -> str:
    for pattern, text in ((_DURATION, "<time>"), (_SOURCE, r'File "\1'), (_ID, "<id>"), (_MOMENT, "<moment>")):
        line = pattern.sub(text, line)
    return " ".join(line.split())
