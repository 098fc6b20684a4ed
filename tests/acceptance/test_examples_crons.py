"""The page about crons and generators, run from its own text with the programs and files of `examples/`."""

from __future__ import annotations

import os
import re
import sys
from pathlib import Path

from colonies import Colony
from pages import comparable, steps, terminal

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "crons-and-generators.md").read_text()
_FILE = re.compile(r"\]\(\.\./(examples/[\w./]+)\):\n\n```\w+\n(.*?)^```", re.MULTILINE | re.DOTALL)


def test_the_page_shows_the_files_as_they_are() -> None:
    shown = dict(_FILE.findall(PAGE))
    assert set(shown) == {
        str(path.relative_to(ROOT))
        for folder in ("cron", "generator")
        for path in (ROOT / "examples" / folder).iterdir()
    }
    for name, text in shown.items():
        assert text == (ROOT / name).read_text(), name


def test_the_commands_print_what_the_page_says(colony: Colony, tmp_path: Path) -> None:
    (tmp_path / "examples").symlink_to(ROOT / "examples")
    environment = {
        **os.environ,
        # the commands of the environment that runs this
        "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
        "COLONIES_SERVER_HOST": colony.host,
        "COLONIES_SERVER_PORT": str(colony.port),
        "COLONIES_TLS": "false",
        "COLONIES_COLONY_NAME": colony.name,
        "COLONIES_PRVKEY": colony.user_key.hex,
        "COLONIES_COLONY_PRVKEY": colony.colony_key.hex,
    }
    with terminal(tmp_path, environment) as shell:
        for step in steps(PAGE):
            assert comparable(shell.run(step.command)) == comparable(step.output), step.command
    assert "tally" in (tmp_path / "started.txt").read_text()
