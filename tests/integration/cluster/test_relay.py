"""Calls that are parked with the leader over a connection that can break at any moment."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field

import pytest
from hops import Hop
from msgspec import Raw
from rooms import Room, open_room
from storage import Storage, Worker, until

from kolony.errors import NotLeading, ServerError
from kolony.model.processes import Process, ProcessState
from kolony_apiserver.cluster.relay import SILENCE, RelayLink, RelayListener
from kolony_apiserver.store.servers import Member

SECRET = "secret of the leader"


@dataclass
class Pair:
    """A leader with a room, and the way to it."""

    room: Room
    hop: Hop
    returned: list[Process[Raw]] = field(default_factory=list)
    """What the follower gave back."""

    def link(self, secret: str = SECRET) -> RelayLink:
        leader = Member(name="a", host="", apiport=0, relayhost="127.0.0.1", relayport=self.hop.port, secret=secret)
        return RelayLink(leader, self.returned.append)

    async def take(
        self,
        link: RelayLink,
        worker: Worker,
        *,
        seconds: float = 20,
        disconnected: Callable[[], Awaitable[None]] | None = None,
    ) -> str | None:
        process = await link.take(self.room.offer(worker), worker.identity, timeout=seconds, disconnected=disconnected)
        return process.processid if process else None

    async def park(self, link: RelayLink, worker: Worker) -> asyncio.Task[str | None]:
        """A call of a follower that waits in the room of the leader."""
        before = len(self.room.room)
        call = asyncio.create_task(self.take(link, worker))
        await until(lambda: len(self.room.room) > before)
        await self.room.settled()
        return call

    async def is_waiting(self, process: Process[Raw]) -> None:
        """Wait until a process is in the queue again."""

        async def waits() -> bool:
            return (await self.room.storage.states())[process.processid] == ProcessState.WAITING

        await until(waits)


@pytest.fixture
async def pair(storage: Storage) -> AsyncIterator[Pair]:
    await storage.add_class()
    async with open_room(storage) as room:
        listener = RelayListener(SECRET, room.room.take, room.room.give_back)
        port = await listener.listen("127.0.0.1", 0)
        async with Hop("127.0.0.1", port) as hop:
            yield Pair(room, hop)
        await listener.close()


@pytest.fixture
async def link(pair: Pair) -> AsyncIterator[RelayLink]:
    link = pair.link()
    yield link
    await link.close()


async def test_calls_get_what_the_leader_has_each_its_own(pair: Pair, link: RelayLink, storage: Storage) -> None:
    workers = [await storage.add_executor(f"e{number}") for number in range(5)]
    classid = await storage.add_class()
    calls = [await pair.park(link, worker) for worker in workers]
    sent = [(await pair.room.submit(classid)).processid for _ in workers]
    assert sorted(filter(None, await asyncio.gather(*calls))) == sorted(sent)
    assert len(link) == 0


async def test_a_call_ends_with_nothing_at_its_time(pair: Pair, link: RelayLink, storage: Storage) -> None:
    worker = await storage.add_executor("e")
    assert await pair.take(link, worker, seconds=-1) is None
    assert await pair.take(link, worker, seconds=0.05) is None


async def test_an_error_of_the_leader_is_told(pair: Pair, storage: Storage) -> None:
    async def fail(*args: object, **more: object) -> None:
        raise ServerError("no")

    listener = RelayListener(SECRET, fail, lambda process: None)
    async with Hop("127.0.0.1", await listener.listen("127.0.0.1", 0)) as hop:
        link = Pair(pair.room, hop).link()
        with pytest.raises(ServerError, match="no"):
            await pair.take(link, await storage.add_executor("e"))
        await link.close()
    await listener.close()


async def test_a_client_that_goes_away_gets_nothing(pair: Pair, link: RelayLink, storage: Storage) -> None:
    gone = asyncio.Event()

    async def disconnected() -> None:
        await gone.wait()

    worker = await storage.add_executor("e")
    call = asyncio.create_task(pair.take(link, worker, disconnected=disconnected))
    await until(lambda: len(pair.room.room))
    gone.set()
    assert await call is None
    process = await pair.room.submit(await storage.add_class())
    await pair.room.settled()
    await pair.is_waiting(process)


async def test_a_call_that_is_cancelled_leaves_the_room(pair: Pair, link: RelayLink, storage: Storage) -> None:
    call = await pair.park(link, await storage.add_executor("e"))
    call.cancel()
    await until(lambda: not len(pair.room.room))


async def test_a_room_that_is_vacated_sends_calls_elsewhere(pair: Pair, link: RelayLink, storage: Storage) -> None:
    call = await pair.park(link, await storage.add_executor("e"))
    pair.room.room.vacate()
    with pytest.raises(NotLeading):
        await call


async def test_a_connection_that_breaks_sends_calls_elsewhere(pair: Pair, link: RelayLink, storage: Storage) -> None:
    call = await pair.park(link, await storage.add_executor("e"))
    pair.hop.cut()
    with pytest.raises(NotLeading):
        await call
    await until(lambda: not len(pair.room.room))
    with pytest.raises(NotLeading):
        await pair.take(link, await storage.add_executor("f"))


async def test_silence_sends_calls_elsewhere(pair: Pair, link: RelayLink, storage: Storage) -> None:
    call = await pair.park(link, await storage.add_executor("e"))
    pair.hop.hold()
    async with asyncio.timeout(SILENCE + 5):
        with pytest.raises(NotLeading):
            await call
    await until(lambda: not len(pair.room.room))


async def test_what_nobody_confirmed_goes_back_to_the_queue(pair: Pair, link: RelayLink, storage: Storage) -> None:
    """The leader gave it, and the connection broke before the follower had it."""
    call = await pair.park(link, await storage.add_executor("e"))
    pair.hop.hold()
    process = await pair.room.submit(await storage.add_class())
    await pair.room.settled()
    assert (await storage.states())[process.processid] == ProcessState.RUNNING
    with pytest.raises(NotLeading):
        await call
    await pair.is_waiting(process)
    assert pair.returned == []


async def test_a_confirmed_process_stays_when_the_connection_breaks(
    pair: Pair, link: RelayLink, storage: Storage
) -> None:
    call = await pair.park(link, await storage.add_executor("e"))
    other = await pair.park(link, await storage.add_executor("f", colony=await storage.add_colony("other")))
    process = await pair.room.submit(await storage.add_class())
    assert await call == process.processid
    assert await pair.take(link, await storage.add_executor("g"), seconds=-1) is None, "the leader has read so far"
    pair.hop.cut()
    with pytest.raises(NotLeading):
        await other
    await until(lambda: not len(pair.room.room))
    await pair.room.settled()
    assert (await storage.states())[process.processid] == ProcessState.RUNNING


async def test_without_the_secret_nobody_parks(pair: Pair, storage: Storage) -> None:
    link = pair.link(secret="a guess")
    with pytest.raises(NotLeading):
        await pair.take(link, await storage.add_executor("e"))
    assert len(pair.room.room) == 0
    await link.close()


async def test_a_frame_that_was_changed_ends_the_connection(pair: Pair, link: RelayLink, storage: Storage) -> None:
    call = await pair.park(link, await storage.add_executor("e"))
    pair.hop.change = lambda data: data[:-1] + bytes([data[-1] ^ 1])
    with pytest.raises(NotLeading):
        await pair.take(link, await storage.add_executor("f"))
    with pytest.raises(NotLeading):
        await call


async def test_a_frame_that_is_repeated_ends_the_connection(pair: Pair, link: RelayLink, storage: Storage) -> None:
    await pair.park(link, await storage.add_executor("e"))
    pair.hop.change = lambda data: data + data
    with pytest.raises(NotLeading):
        await pair.take(link, await storage.add_executor("f"))
