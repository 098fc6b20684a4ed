"""A process that is handed over between servers is in one pair of hands, wherever the connection breaks."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
import uvloop
from msgspec import Raw

from kolony.crypto import Identity
from kolony.errors import NotLeading
from kolony.model.processes import Process
from kolony_apiserver.cluster import relay
from kolony_apiserver.cluster.relay import Confirm, Keep, RelayLink, RelayListener
from kolony_apiserver.queue.requirements import offer_of
from kolony_apiserver.store.servers import Member

OFFER = offer_of(colonyname="c", executortype="cli", executorname="e", location="", cpu="", mem="")
PROCESS: Process[Raw] = Process(processid="p", attempt=1)


class Ends:
    """A leader with one process, and a follower; who gave it back."""

    def __init__(self) -> None:
        self.returned: list[str] = []

    async def run(self, call: Callable[[RelayLink], Awaitable[None]]) -> None:
        listener = RelayListener("secret", self._take, lambda process: self.returned.append("leader"))
        port = await listener.listen("127.0.0.1", 0)
        member = Member(name="s1", host="", apiport=0, relayhost="127.0.0.1", relayport=port, secret="secret")
        link = RelayLink(member, lambda process: self.returned.append("follower"))
        try:
            async with asyncio.timeout(10):
                await call(link)
        finally:
            await link.close()
            await listener.close()

    async def _take(self, *args: Any, **kwargs: Any) -> Process[Raw]:
        return PROCESS


async def take(link: RelayLink) -> Process[Raw] | None:
    return await link.take(OFFER, Identity("e"), timeout=5)


def without(monkeypatch: pytest.MonkeyPatch, kind: type) -> None:
    """Let frames of a kind go missing, as where an end was stopped before it read them and found the connection cut."""
    send = relay._Wire.send

    def sends(wire: relay._Wire, frame: relay.Frame) -> None:
        if isinstance(frame, kind):
            wire.close()
        else:
            send(wire, frame)

    monkeypatch.setattr(relay._Wire, "send", sends)


async def test_a_process_that_arrived_is_told() -> None:
    ends = Ends()

    async def call(link: RelayLink) -> None:
        assert await take(link) == PROCESS

    await ends.run(call)
    assert ends.returned == []


@pytest.mark.parametrize(("kind", "returned"), [(Confirm, {"leader", "follower"}), (Keep, {"follower"})])
async def test_a_process_is_not_told_when_it_may_go_back_to_the_queue(
    kind: type, returned: set[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    without(monkeypatch, kind)
    ends = Ends()

    async def call(link: RelayLink) -> None:
        with pytest.raises(NotLeading):
            await take(link)

    await ends.run(call)
    assert set(ends.returned) == returned


async def test_a_process_whose_client_goes_away_before_it_may_be_told_goes_back(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    given = asyncio.Event()
    handle = RelayLink._handle

    def handles(link: RelayLink, wire: relay._Wire, frame: relay.Frame) -> None:
        if isinstance(frame, Keep):
            given.set()
        else:
            handle(link, wire, frame)

    monkeypatch.setattr(RelayLink, "_handle", handles)
    ends = Ends()

    async def call(link: RelayLink) -> None:
        waiting = asyncio.create_task(take(link))
        await given.wait()
        waiting.cancel()
        await asyncio.gather(waiting, return_exceptions=True)

    await ends.run(call)
    assert ends.returned == ["follower"]


async def test_a_process_that_comes_when_the_server_stops_goes_back_and_is_not_told() -> None:
    ends = Ends()

    async def call(link: RelayLink) -> None:
        waiting = asyncio.create_task(take(link))
        await asyncio.wait_for(asyncio.shield(link._wire), 5)
        await asyncio.sleep(0)
        assert len(link) == 1
        link.leave()
        assert await waiting is None

    await ends.run(call)
    assert ends.returned == ["follower"]


def test_a_call_on_a_connection_that_just_broke_is_parked_elsewhere() -> None:
    """On the event loop of the servers, which refuses to write to a connection that is gone before anybody knows."""

    async def at_turn(number: int, link: RelayLink) -> None:
        for _ in range(number):
            await asyncio.sleep(0)
        with pytest.raises(NotLeading):
            await take(link)

    async def call(link: RelayLink) -> None:
        assert await take(link) == PROCESS
        link._wire.result().close()
        await asyncio.gather(*(at_turn(number, link) for number in range(10)))

    uvloop.run(Ends().run(call))
