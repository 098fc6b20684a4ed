"""Following a workflow, which nothing tells of."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace
from typing import Any

import pytest

from kolony.errors import WaitTimeout
from kolony.model.processes import ProcessState
from kolony.model.workflows import BACKGROUNDS, Node, Style, Workflow
from kolony.sdk import workflows
from kolony.sdk.workflows import Workflows


def workflow(state: ProcessState, *nodes: ProcessState) -> Workflow:
    return Workflow(
        processgraphid="w",
        state=state,
        nodes=[Node(id=str(number), style=Style(background=BACKGROUNDS[node])) for number, node in enumerate(nodes)],
    )


WAITING, RUNNING, SUCCESS, FAILED, CANCELLED = ProcessState


@pytest.fixture
def pauses(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The pauses between looks, none of which is made."""
    made: list[float] = []
    sleep = asyncio.sleep

    async def no_sleep(seconds: float) -> None:
        made.append(seconds)
        await sleep(0)

    monkeypatch.setattr(workflows.asyncio, "sleep", no_sleep)
    return made


async def test_each_change_is_seen_once(connect: Any, fake_server: Any, pauses: list[float]) -> None:
    steps = [
        workflow(WAITING, WAITING, WAITING),
        workflow(WAITING, WAITING, WAITING),
        workflow(RUNNING, RUNNING, WAITING),
        workflow(RUNNING, SUCCESS, WAITING),
        workflow(RUNNING, SUCCESS, WAITING, WAITING),
        workflow(RUNNING, SUCCESS, WAITING, WAITING),
        workflow(SUCCESS, SUCCESS, SUCCESS, SUCCESS),
    ]
    family: Any = Workflows(connect(fake_server(*steps)), None)
    assert [step async for step in family.watch("w")] == [steps[n] for n in (0, 2, 3, 4, 6)]


@pytest.mark.parametrize("end", [SUCCESS, FAILED, CANCELLED])
async def test_waiting_ends_with_the_workflow(connect: Any, fake_server: Any, pauses: list[float], end: Any) -> None:
    family: Any = Workflows(connect(fake_server(workflow(WAITING), workflow(RUNNING), workflow(end))), None)
    assert (await family.wait("w")).state == end
    assert len(pauses) == 2


async def test_the_server_is_asked_less_often_while_nothing_happens(
    connect: Any, fake_server: Any, pauses: list[float]
) -> None:
    steps = [*[workflow(WAITING)] * 8, workflow(RUNNING), workflow(SUCCESS)]
    family: Any = Workflows(connect(fake_server(*steps)), None)
    await family.wait("w")
    assert pauses[:7] == pytest.approx([0.1, 0.2, 0.4, 0.8, 1.6, 2.0, 2.0], rel=0.5)
    assert pauses[8] == pytest.approx(0.1, rel=0.5)


async def test_a_look_that_takes_long_is_seldom_repeated(
    connect: Any, fake_server: Any, pauses: list[float], monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = iter([0, 2, 10, 17, 20, 21])
    monkeypatch.setattr(workflows, "time", SimpleNamespace(monotonic=lambda: next(clock)))
    family: Any = Workflows(connect(fake_server(workflow(WAITING), workflow(RUNNING), workflow(SUCCESS))), None)
    await family.wait("w")
    assert pauses == [20, 30]


async def test_waiting_has_an_end(connect: Any, fake_server: Any) -> None:
    family: Any = Workflows(connect(fake_server(workflow(RUNNING))), None)
    with pytest.raises(WaitTimeout, match="workflow w has not ended after 0"):
        await family.wait("w", timeout=0.01)
