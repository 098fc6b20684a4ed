"""Workflows drawn as trees."""

from __future__ import annotations

from datetime import timedelta

import pytest
from rich.console import Console

from kolony.cli.trees import draw
from kolony.model.base import NO_TIME
from kolony.model.processes import Process, ProcessState
from kolony.model.workflows import BACKGROUNDS, Edge, Label, Node, Style, Workflow

WAITING, RUNNING, SUCCESS, FAILED, CANCELLED = ProcessState
ID = "0123456789abcdef" * 4


def workflow(state: ProcessState, nodes: dict[str, ProcessState], *arrows: str) -> Workflow:
    """A graph whose processes have the names of their nodes; an arrow is the two of them."""
    return Workflow(
        processgraphid=ID,
        state=state,
        rootprocessids=[name for name in nodes if all(name != arrow.split()[1] for arrow in arrows)],
        processids=list(nodes),
        nodes=[
            Node(id=name, data=Label(label=name), style=Style(background=BACKGROUNDS[state]))
            for name, state in nodes.items()
        ],
        edges=[Edge(source=arrow.split()[0], target=arrow.split()[1]) for arrow in arrows],
    )


def shown(workflow: Workflow, failed: dict[str, Process] | None = None, *, width: int = 200) -> list[str]:
    console = Console(width=width, highlight=False, color_system=None)
    with console.capture() as drawn:
        console.print(draw(workflow, failed, width=width))
    return [line.rstrip() for line in drawn.get().splitlines()]


def test_a_diamond_is_drawn_once() -> None:
    diamond = workflow(
        RUNNING,
        {"a": SUCCESS, "b": RUNNING, "c": SUCCESS, "d": WAITING, "e": WAITING},
        "a b",
        "a c",
        "b d",
        "c d",
        "d e",
    )
    assert shown(diamond) == [
        "workflow 0123456789ab running: 2 waiting, 1 running, 2 success",
        "└── a success",
        "    ├── b running",
        "    │   └── d waiting",
        "    │       └── e waiting",
        "    └── c success",
        "        └── -> d",
    ]


def test_several_roots_and_how_long_it_took() -> None:
    started = NO_TIME.replace(year=2026)
    ended = workflow(CANCELLED, {"a": SUCCESS, "b": CANCELLED})
    ended = Workflow(
        **{name: getattr(ended, name) for name in ended.__struct_fields__}
        | {"starttime": started, "endtime": started + timedelta(seconds=75)}
    )
    assert shown(ended) == [
        "workflow 0123456789ab cancelled after 1m15s: 1 success, 1 cancelled",
        "├── a success",
        "└── b cancelled",
    ]
    assert shown(workflow(WAITING, {})) == ["workflow 0123456789ab waiting"]


def test_a_failure_says_why() -> None:
    failed = workflow(FAILED, {"a": FAILED, "b [red]": FAILED})
    lines = shown(failed, {"a": Process(processid="a", errors=["ValueError: no", "good"])})
    assert lines[1:] == ["├── a failed", "│   ValueError: no", "│   good", "│   process a", "└── b [red] failed"]


def test_a_large_workflow_is_drawn_in_part() -> None:
    names = [f"n{number}" for number in range(1000)]
    wide = workflow(RUNNING, {name: SUCCESS if name < "n5" else WAITING for name in names})
    lines = shown(wide)
    assert lines[0].endswith("running: 555 waiting, 445 success")
    assert len(lines) == 202
    assert lines[-1] == "└── ... and 800 more: 500 waiting, 300 success"


@pytest.mark.parametrize("width, levels", [(80, 14), (20, 1)])
def test_a_deep_workflow_is_drawn_as_far_as_the_screen_is_wide(width: int, levels: int) -> None:
    deep = workflow(RUNNING, {f"n{n}": WAITING for n in range(100)}, *(f"n{n} n{n + 1}" for n in range(99)))
    lines = shown(deep, width=width)
    assert " ".join(lines).count("── n") == levels
    assert f"... and {100 - levels} more" in " ".join(lines)


def test_states_have_colours() -> None:
    console = Console(width=80, force_terminal=True, color_system="standard")
    with console.capture() as drawn:
        console.print(draw(workflow(FAILED, {"a": FAILED}), width=80))
    assert "a \x1b[31mfailed\x1b[0m" in drawn.get()
