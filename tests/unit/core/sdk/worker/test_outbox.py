"""What a function says travels in order, together, and arrives although the server is away for a while."""

from __future__ import annotations

import asyncio
import logging
from typing import Any

import pytest

from kolony.errors import ConnectionLost, Forbidden
from kolony.model.functionspecs import FunctionSpec
from kolony.model.processes import Process
from kolony.sdk.worker import ProcessLogHandler, RunningProcess, current_process, outbox
from kolony.sdk.worker.functions import in_thread
from kolony.sdk.worker.outbox import Outbox
from kolony.sdk.worker.running import running, storable


class FakeClient:
    """Remembers what is written, and fails as often as it is told."""

    def __init__(self, *failures: Exception) -> None:
        self.failures = list(failures)
        self.entries: list[str] = []
        self.outputs: list[list[Any]] = []
        self.arrived = asyncio.Event()
        self.logs = self.processes = self

    async def add(self, processid: str, message: str) -> None:
        await asyncio.sleep(0)
        if self.failures:
            raise self.failures.pop(0)
        self.entries.append(message)
        self.arrived.set()

    async def set_output(self, processid: str, out: list[Any], *, attempt: int | None) -> None:
        self.outputs.append(out)

    @property
    def lines(self) -> list[str]:
        return "\n".join(self.entries).splitlines()


@pytest.fixture(autouse=True)
def no_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(outbox, "_AWAY_SECONDS", 0.0)


async def shipped(client: FakeClient, box: Outbox) -> None:
    box.close()
    await box.ship()


async def test_lines_travel_together_and_in_order() -> None:
    client = FakeClient()
    box = Outbox(client, "p")
    for number in range(100):
        box.log(str(number))
    await shipped(client, box)
    assert client.lines == [str(number) for number in range(100)]
    assert len(client.entries) == 1


async def test_lines_of_many_threads_all_arrive() -> None:
    client = FakeClient()
    box = Outbox(client, "p")
    shipping = asyncio.create_task(box.ship())
    await asyncio.gather(*(in_thread(lambda n=n: [box.log(f"{n} {i}") for i in range(50)]) for n in range(8)))
    box.close()
    await shipping
    assert sorted(client.lines) == sorted(f"{n} {i}" for n in range(8) for i in range(50))


async def test_what_is_said_while_something_travels_arrives_too() -> None:
    client = FakeClient()
    box = Outbox(client, "p")
    shipping = asyncio.create_task(box.ship())
    box.log("first")
    await client.arrived.wait()
    box.log("second")
    box.close()
    await shipping
    assert client.lines == ["first", "second"]


async def test_the_last_output_counts() -> None:
    client = FakeClient()
    box = Outbox(client, "p")
    box.set_output([1])
    box.set_output([2])
    await shipped(client, box)
    assert client.outputs == [[2]]


async def test_lines_wait_for_a_server_that_is_away() -> None:
    client = FakeClient(ConnectionLost("away"), ConnectionLost("still away"))
    box = Outbox(client, "p")
    box.log("a")
    box.set_output([1])
    await shipped(client, box)
    assert (client.lines, client.outputs) == (["a"], [[1]])


async def test_a_refused_log_is_given_up() -> None:
    client = FakeClient(Forbidden("not ours"))
    box = Outbox(client, "p")
    box.log("a")
    await shipped(client, box)
    assert client.lines == []


async def test_what_cannot_wait_is_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(outbox, "_MOST_PENDING", 10)
    client = FakeClient()
    box = Outbox(client, "p")
    for _ in range(5):
        box.log("12345")
    await shipped(client, box)
    assert client.lines == ["12345", "12345", "[3 lines were dropped while the server was away]"]


async def test_the_current_process() -> None:
    client = FakeClient()
    box = Outbox(client, "p")
    process = RunningProcess(Process(processid="p", spec=FunctionSpec(env={"A": "b"})), box)
    with pytest.raises(LookupError):
        current_process()
    with running(process):
        assert current_process().env == {"A": "b"}
        current_process().log("from the loop")
        await in_thread(lambda: current_process().log("from a thread"))
        current_process().set_output(1, 2)
    with pytest.raises(LookupError):
        current_process()
    await shipped(client, box)
    assert (client.lines, client.outputs) == (["from the loop", "from a thread"], [[1, 2]])


async def test_log_records_of_a_function_go_to_its_process() -> None:
    client = FakeClient()
    box = Outbox(client, "p")
    logger = logging.getLogger("test_outbox")
    handler = ProcessLogHandler()
    handler.setFormatter(logging.Formatter("%(levelname)s %(message)s"))
    logger.addHandler(handler)
    try:
        logger.warning("before")
        with running(RunningProcess(Process(), box)):
            logger.warning("during %d", 1)
    finally:
        logger.removeHandler(handler)
    await shipped(client, box)
    assert client.lines == ["WARNING during 1"]


@pytest.mark.parametrize("text, stored", [("a\0b", "a\N{SYMBOL FOR NULL}b"), ("\ud800", "?"), ("é\n", "é\n")])
def test_text_is_made_storable(text: str, stored: str) -> None:
    assert storable(text) == stored
