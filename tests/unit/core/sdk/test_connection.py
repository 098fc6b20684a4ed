"""Sending messages: what is signed, what is repeated, and what failures become."""

from __future__ import annotations

import json

import httpx
import pytest

from kolony.crypto import PrivateKey, recover
from kolony.errors import (
    BadRequest,
    ConfigurationError,
    ConnectionLost,
    Forbidden,
    KolonyError,
    ServerError,
    Unavailable,
)
from kolony.model.colonies import Colony
from kolony.model.executors import Executor
from kolony.model.functionspecs import FunctionSpec
from kolony.model.processes import Process
from kolony.sdk.retries import NeverSent, Retry
from kolony.wire.assignments import AssignProcess
from kolony.wire.colonies import AddColony, GetColonies, RemoveColony
from kolony.wire.envelope import open_request, seal_error
from kolony.wire.executors import GetExecutors
from kolony.wire.processes import GetProcess, SubmitFunctionSpec
from kolony.wire.server import Version, VersionReply

BROKEN = httpx.ReadError("reset")
AWAY = httpx.ConnectError("refused")


def signer(request: httpx.Request) -> str:
    envelope = open_request(request.content)
    return recover(envelope.payload.encode(), envelope.signature)


async def test_a_reply_is_an_object(connect, fake_server) -> None:
    server = fake_server({"processid": "p", "state": 2, "in": None, "ofthefuture": {"x": 1}})
    assert await connect(server).call(GetProcess(processid="p")) == Process(processid="p", state=2)
    assert server.requests[0].url == "http://localhost:1/api"


@pytest.mark.parametrize(
    "reply, executors", [(None, []), ([], []), ([{"executorname": "e"}], [Executor(executorname="e")])]
)
async def test_null_is_an_empty_list(connect, fake_server, reply, executors) -> None:
    assert await connect(fake_server(reply)).call(GetExecutors(colonyname="dev")) == executors


async def test_an_empty_reply_is_none(connect, fake_server) -> None:
    assert await connect(fake_server({})).call(RemoveColony(colonyname="dev")) is None


async def test_a_reply_of_another_shape_is_an_error_of_the_server(connect, fake_server) -> None:
    with pytest.raises(ServerError, match="getprocessmsg cannot be read"):
        await connect(fake_server({"processid": 5})).call(GetProcess())


async def test_a_call_is_signed_by_its_own_key_or_by_the_clients(connect, fake_server) -> None:
    server, key, other = fake_server([]), PrivateKey.generate(), PrivateKey.generate()
    connection = connect(server, key=key.hex)
    await connection.call(GetColonies())
    await connection.call(GetColonies(), key=other)
    await connection.call(GetColonies(), key=other.hex)
    assert [signer(request) for request in server.requests] == [key.identity, other.identity, other.identity]


async def test_owners_keys_fall_back_to_the_members(connect, fake_server) -> None:
    colony = PrivateKey.generate()
    keys = connect(fake_server(), colony_key=colony).keys
    assert keys.colony is colony
    assert keys.server is keys.member


async def test_without_a_key_only_unsigned_calls_are_made(connect, fake_server) -> None:
    server = fake_server({"msgtype": "versionmsg", "buildversion": "1"})
    connection = connect(server, key=None)
    assert await connection.call(Version()) == VersionReply(buildversion="1")
    assert open_request(server.requests[0].content).signature == ""
    with pytest.raises(ConfigurationError, match="COLONIES_PRVKEY"):
        await connection.call(GetColonies())


async def test_each_attempt_is_fresh(connect, fake_server) -> None:
    server = fake_server(BROKEN, BROKEN, [])
    await connect(server, fresh=True).call(GetColonies())
    fresh = [message["fresh"] for message in server.messages]
    assert len({each["nonce"] for each in fresh}) == 3
    assert all(len(each["nonce"]) == 32 for each in fresh)
    assert [each["time"] for each in fresh] == sorted(each["time"] for each in fresh)


async def test_calls_are_not_fresh_unasked(connect, fake_server) -> None:
    server = fake_server([])
    await connect(server).call(GetColonies())
    assert server.messages == [{"msgtype": "getcoloniesmsg"}]


@pytest.mark.parametrize("failure", [BROKEN, AWAY, httpx.ReadTimeout("slow"), httpx.Response(503), httpx.Response(502)])
async def test_a_repeatable_call_survives_failures(connect, fake_server, failure) -> None:
    server = fake_server(failure, failure, {"processid": "p"})
    message = SubmitFunctionSpec(spec=FunctionSpec(), idempotencykey="k")
    assert (await connect(server).call(message)).processid == "p"
    assert [message["idempotencykey"] for message in server.messages] == ["k", "k", "k"]


@pytest.mark.parametrize(
    "failure", [BROKEN, httpx.ReadTimeout("slow"), httpx.RemoteProtocolError("x"), httpx.Response(504)]
)
async def test_a_call_is_not_done_twice_unless_it_may_be(connect, fake_server, failure) -> None:
    server = fake_server(failure, {"name": "dev"})
    with pytest.raises(ConnectionLost):
        await connect(server).call(AddColony(colony=Colony(name="dev")), once=True)
    assert len(server.requests) == 1


@pytest.mark.parametrize("failure", [AWAY, httpx.ConnectTimeout("slow"), httpx.Response(503)])
async def test_a_call_that_was_never_done_is_repeated(connect, fake_server, failure) -> None:
    server = fake_server(failure, {"name": "dev"})
    assert await connect(server).call(AddColony(colony=Colony(name="dev")), once=True) == Colony(name="dev")


async def test_attempts_are_bounded(connect, fake_server) -> None:
    server = fake_server(AWAY)
    with pytest.raises(NeverSent, match="no Colonies server answers at http://localhost:1"):
        await connect(server, retry=Retry(attempts=3, first_delay=0)).call(GetColonies())
    assert len(server.requests) == 3


async def test_time_is_bounded(connect, fake_server) -> None:
    server = fake_server(AWAY)
    with pytest.raises(NeverSent):
        await connect(server, retry=Retry(attempts=10**9, deadline=0.05, first_delay=0.001)).call(GetColonies())


@pytest.mark.parametrize("status, raised", [(400, BadRequest), (403, Forbidden), (500, ServerError)])
async def test_a_refusal_is_not_repeated(connect, fake_server, status: int, raised: type[KolonyError]) -> None:
    refusal = httpx.Response(status, content=seal_error(KolonyError("no", status=status)))
    server = fake_server(refusal)
    with pytest.raises(raised, match="no"):
        await connect(server).call(GetColonies())
    assert len(server.requests) == 1


async def test_an_answer_of_the_server_that_it_is_not_available_is_repeated(connect, fake_server) -> None:
    server = fake_server(httpx.Response(503, content=seal_error(Unavailable("starting"))), [])
    assert await connect(server).call(GetColonies()) == []


async def test_an_answer_of_something_else_says_so(connect, fake_server) -> None:
    server = fake_server(httpx.Response(404, content=b"404 page not found"))
    with pytest.raises(BadRequest, match="is this a Colonies server"):
        await connect(server).call(GetColonies())


async def test_what_json_cannot_write_is_refused(connect, fake_server) -> None:
    server = fake_server({})
    for value in (object(), "\ud800"):
        with pytest.raises(BadRequest, match="cannot be written as JSON"):
            await connect(server).call(SubmitFunctionSpec(spec=FunctionSpec(args=[value])))
    assert server.requests == []


async def test_a_reply_is_awaited_for_as_long_as_the_call_waits(connect, fake_server) -> None:
    server = fake_server({})
    connection = connect(server, timeout=7)
    await connection.call(AssignProcess(timeout=50))
    await connection.call(AssignProcess(timeout=-1))
    await connection.call(GetProcess())
    assert [request.extensions["timeout"]["read"] for request in server.requests] == [57, 7, 7]


async def test_a_host_that_is_none_is_a_wrong_setting(connect, fake_server) -> None:
    with pytest.raises(ConfigurationError, match="is not an address"):
        await connect(fake_server({}), host="a b\x00").call(GetColonies())


async def test_addresses(connect, fake_server) -> None:
    plain, secure = connect(fake_server(), host="::1"), connect(fake_server(), host="h", tls=True)
    assert (plain.address, plain.pubsub) == ("http://[::1]:1", "ws://[::1]:1/pubsub")
    assert (secure.address, secure.pubsub) == ("https://h:1", "wss://h:1/pubsub")


async def test_the_body_is_the_envelope(connect, fake_server) -> None:
    server = fake_server({})
    await connect(server).call(GetProcess(processid="p"))
    assert set(json.loads(server.requests[0].content)) == {"payloadtype", "payload", "signature"}
