"""The load generator notices every kind of wrong answer, so that its figures stand for correct work."""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Any

import load
import msgspec
import pytest
from connections import Endpoint, WrongReply

from kolony.crypto import Identity, PrivateKey, recover
from kolony.errors import Conflict, KolonyError
from kolony.wire.envelope import Request, decode_payload, open_request, seal_error, seal_reply

CREW = load.Crew("colony", PrivateKey.generate(), (PrivateKey.generate(), PrivateKey.generate()))
COUNT = 20


class Server:
    """Answers as a correct server would; a test overrides what it is about."""

    def __init__(self) -> None:
        self.submitted = 0
        self.assigned = 0
        self.connections: set[asyncio.Task[None] | None] = set()

    def submit(self, message: dict[str, Any]) -> dict[str, Any]:
        self.submitted += 1
        return {"processid": f"p{self.submitted}", "state": 0, "spec": message["spec"]}

    def assign(self, caller: Identity) -> dict[str, Any]:
        self.assigned += 1
        spec = {"args": [0]}
        return {"processid": f"p{self.assigned}", "state": 1, "spec": spec, "assignedexecutorid": caller, "attempt": 1}

    def close(self, message: dict[str, Any]) -> dict[str, Any]:
        assert message["out"] == [message["processid"]]
        assert message["attempt"] == 1
        return {}

    def reply(self, payloadtype: str, content: dict[str, Any]) -> bytes:
        return http(200, seal_reply(payloadtype, msgspec.json.encode(content)))

    def answer(self, request: Request) -> bytes:
        message = msgspec.json.decode(decode_payload(request.payload))
        caller = recover(request.payload.encode(), request.signature)
        try:
            match request.payloadtype:
                case "submitfuncspecmsg":
                    content = self.submit(message)
                case "assignprocessmsg":
                    content = self.assign(caller)
                case _:
                    content = self.close(message)
        except KolonyError as error:
            return http(error.status, seal_error(error))
        return self.reply(request.payloadtype, content)

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections.add(asyncio.current_task())
        with suppress(asyncio.IncompleteReadError, ConnectionError):
            while head := await reader.readuntil(b"\r\n\r\n"):
                length = int(head.partition(b"Content-Length: ")[2].partition(b"\r\n")[0])
                writer.write(self.answer(open_request(await reader.readexactly(length))))
        writer.close()
        with suppress(ConnectionError):
            await writer.wait_closed()


def http(status: int, body: bytes) -> bytes:
    return b"HTTP/1.1 %d X\r\ncontent-length: %d\r\n\r\n%b" % (status, len(body), body)


def run(server: Server, scenario: Callable[[Endpoint], Awaitable[load.Timing]]) -> load.Timing:
    async def main() -> load.Timing:
        async with await asyncio.start_server(server.serve, "127.0.0.1", 0) as listener:
            try:
                return await scenario(Endpoint(*listener.sockets[0].getsockname()))
            finally:
                await asyncio.gather(*filter(None, server.connections))

    return asyncio.run(main())


async def submit(endpoint: Endpoint) -> load.Timing:
    return await load.submit([endpoint], CREW, COUNT)


async def cycle(endpoint: Endpoint) -> load.Timing:
    return await load.cycle([endpoint], CREW, COUNT, fresh=True)


@pytest.mark.parametrize("scenario", [submit, cycle])
def test_correct_work_is_counted(scenario: Callable[[Endpoint], Awaitable[load.Timing]]) -> None:
    timing = run(Server(), scenario)

    assert len(set(timing.processids)) == len(timing.latencies) == COUNT
    assert timing.rate > 0


def test_two_submits_answered_with_one_process() -> None:
    class Wrong(Server):
        def submit(self, message: dict[str, Any]) -> dict[str, Any]:
            return super().submit(message) | {"processid": "p"}

    expect_wrong_reply(Wrong(), submit)


def test_submit_answered_with_the_process_of_another() -> None:
    class Wrong(Server):
        def submit(self, message: dict[str, Any]) -> dict[str, Any]:
            return super().submit(message) | {"spec": {"args": [COUNT]}}

    expect_wrong_reply(Wrong(), submit)


def test_process_assigned_twice() -> None:
    class Wrong(Server):
        def assign(self, caller: Identity) -> dict[str, Any]:
            return super().assign(caller) | {"processid": "p"}

    expect_wrong_reply(Wrong(), cycle)


def test_process_assigned_to_someone_else() -> None:
    class Wrong(Server):
        def assign(self, caller: Identity) -> dict[str, Any]:
            return super().assign(CREW.submitter.identity)

    expect_wrong_reply(Wrong(), cycle)


def test_process_that_does_not_run() -> None:
    class Wrong(Server):
        def assign(self, caller: Identity) -> dict[str, Any]:
            return super().assign(caller) | {"state": 0}

    expect_wrong_reply(Wrong(), cycle)


def test_reply_of_another_type() -> None:
    class Wrong(Server):
        def reply(self, payloadtype: str, content: dict[str, Any]) -> bytes:
            return super().reply("getprocessmsg", content)

    expect_wrong_reply(Wrong(), submit)


def test_success_with_a_wrong_status() -> None:
    class Wrong(Server):
        def reply(self, payloadtype: str, content: dict[str, Any]) -> bytes:
            return http(500, seal_reply(payloadtype, msgspec.json.encode(content)))

    expect_wrong_reply(Wrong(), submit)


def test_answer_longer_than_it_says() -> None:
    class Wrong(Server):
        def reply(self, payloadtype: str, content: dict[str, Any]) -> bytes:
            return super().reply(payloadtype, content) + b"!"

    expect_wrong_reply(Wrong(), submit)


def test_refused_close() -> None:
    class Wrong(Server):
        def close(self, message: dict[str, Any]) -> dict[str, Any]:
            raise Conflict("Tried to set failed process as successful")

    with pytest.raises(ExceptionGroup) as raised:
        run(Wrong(), cycle)
    assert raised.group_contains(KolonyError, match="failed process")


def expect_wrong_reply(server: Server, scenario: Callable[[Endpoint], Awaitable[load.Timing]]) -> None:
    with pytest.raises(ExceptionGroup) as raised:
        run(server, scenario)
    assert raised.group_contains(WrongReply)
