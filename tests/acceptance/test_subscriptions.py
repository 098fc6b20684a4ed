"""Subscriptions over the WebSocket: who is told what, in which frames, and how a subscription ends."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from typing import Any, NamedTuple

import pytest
from answers import refusal
from clocked import ClockedServer
from colonies import Colony, RunningServer, create_colony, create_database, envelope
from sockets import PATIENCE, Socket, open_socket
from websockets.exceptions import ConnectionClosed, ConnectionClosedOK
from websockets.sync.client import connect

from kolony.crypto import PrivateKey

WAITING, RUNNING, SUCCESSFUL, FAILED, CANCELLED = range(5)
ONE, MANY = "subscribeprocessmsg", "subscribeprocessesmsg"


@pytest.fixture
def socket(server: RunningServer) -> Iterator[Socket]:
    with open_socket(server) as socket:
        yield socket


@pytest.fixture(scope="module")
def clocked(postgres_dsn: str) -> Iterator[ClockedServer]:
    with ClockedServer(create_database(postgres_dsn)) as server:
        yield server


def follow(socket: Socket, colony: Colony, processid: str, state: int, **fields: Any) -> None:
    """Follow one process as the user."""
    socket.send(ONE, colony.user_key, **{"processid": processid, "state": state, "timeout": 60, **fields})


def follow_all(socket: Socket, colony: Colony, key: PrivateKey, state: int, **fields: Any) -> None:
    """Follow all processes for executors of type ``cli``."""
    names = {"colonyname": colony.name, "executortype": "cli"}
    socket.send(MANY, key, **{**names, "state": state, "timeout": 60, **fields})


def is_silent(socket: Socket, key: PrivateKey) -> bool:
    """Whether the server has nothing to say but the answer to what is asked here."""
    answer = socket.answers_next(key)
    return answer.error and answer.message.startswith("Failed to subscribe")


def get(colony: Colony, processid: str) -> dict[str, Any]:
    process: dict[str, Any] = colony.rpc.ok("getprocessmsg", colony.user_key, processid=processid)
    return process


# Events


class Followed(NamedTuple):
    """A process that is followed, and the executor that runs it or may."""

    server: ClockedServer
    colony: Colony
    executor: PrivateKey
    processid: str

    def call(self, msgtype: str, **fields: Any) -> None:
        self.colony.rpc.ok(msgtype, self.executor, processid=self.processid, **fields)

    def let_time_pass(self) -> None:
        self.server.apply_limits(after=11)


class Trigger(NamedTuple):
    """What happens to a process: in which state, to which state, how, and with which limits it was submitted."""

    before: int
    after: int
    happen: Callable[[Followed], None]
    limits: dict[str, int] = {}


TRIGGERS = {
    "closed as successful": Trigger(RUNNING, SUCCESSFUL, lambda it: it.call("closesuccessfulmsg", out=["done"])),
    "closed as failed": Trigger(RUNNING, FAILED, lambda it: it.call("closefailedmsg", errors=["broken"])),
    "cancelled while waiting": Trigger(WAITING, CANCELLED, lambda it: it.call("cancelprocessmsg")),
    "cancelled while running": Trigger(RUNNING, CANCELLED, lambda it: it.call("cancelprocessmsg")),
    "waited too long": Trigger(WAITING, FAILED, Followed.let_time_pass, {"maxwaittime": 10}),
    "ran too long": Trigger(RUNNING, FAILED, Followed.let_time_pass, {"maxexectime": 10}),
    "tried again": Trigger(RUNNING, WAITING, Followed.let_time_pass, {"maxexectime": 10, "maxretries": 1}),
}


@pytest.mark.parametrize("kind", [ONE, MANY])
@pytest.mark.parametrize("trigger", TRIGGERS.values(), ids=TRIGGERS)
def test_what_happens_to_a_process_is_told(clocked: ClockedServer, trigger: Trigger, kind: str) -> None:
    colony = clocked.colony()
    key = colony.add_executor("e1")
    process = Followed(clocked, colony, key, colony.submit(env={"A": "1"}, **trigger.limits)["processid"])
    if trigger.before == RUNNING:
        colony.assign(key)
    with open_socket(clocked) as socket:
        if kind == ONE:
            follow(socket, colony, process.processid, trigger.after)
        else:
            follow_all(socket, colony, key, trigger.after)
        assert is_silent(socket, key)
        trigger.happen(process)
        event = socket.event()
        # complete and current, as anybody reads it afterwards
        assert event == get(colony, process.processid)
        assert event["state"] == trigger.after
        assert is_silent(socket, key)


def test_a_submit_is_told(colony: Colony, socket: Socket) -> None:
    key = colony.add_executor("e1")
    follow_all(socket, colony, key, WAITING)
    assert is_silent(socket, key)
    submitted = [colony.submit() for _ in range(2)]
    assert [socket.event() for _ in range(2)] == submitted


@pytest.mark.parametrize("kind", [ONE, MANY])
def test_an_assignment_is_told(colony: Colony, socket: Socket, kind: str) -> None:
    key = colony.add_executor("e1")
    processid = colony.submit()["processid"]
    if kind == ONE:
        follow(socket, colony, processid, RUNNING)
    else:
        follow_all(socket, colony, key, RUNNING)
    assert is_silent(socket, key)
    assert colony.assign(key) == socket.event()


def test_only_the_state_that_was_asked_for_is_told(colony: Colony, socket: Socket) -> None:
    key = colony.add_executor("e1")
    processid = colony.submit()["processid"]
    for state in (FAILED, CANCELLED):
        follow(socket, colony, processid, state)
        follow_all(socket, colony, key, state)
    colony.assign(key)
    colony.rpc.ok("closesuccessfulmsg", key, processid=processid)
    assert is_silent(socket, key)


def test_a_process_that_is_there_already_is_told_at_once(colony: Colony, socket: Socket) -> None:
    key = colony.add_executor("e1")
    processid = colony.submit()["processid"]
    colony.assign(key)
    colony.rpc.ok("closesuccessfulmsg", key, processid=processid, out=[1])
    follow(socket, colony, processid, SUCCESSFUL)
    assert socket.event() == get(colony, processid)
    follow_all(socket, colony, key, SUCCESSFUL)
    assert is_silent(socket, key)


def test_a_subscription_stays_after_its_first_event(clocked: ClockedServer) -> None:
    colony = clocked.colony()
    key = colony.add_executor("e1")
    processid = colony.submit(maxexectime=10, maxretries=-1)["processid"]
    with open_socket(clocked) as socket:
        follow(socket, colony, processid, WAITING)
        assert socket.event()["retries"] == 0
        for retries in (1, 2):
            colony.assign(key)
            clocked.apply_limits(after=11)
            event = socket.event()
            assert (event["retries"], event["assignedexecutorid"], event["isassigned"]) == (retries, "", False)


# Who is told


def test_every_subscriber_gets_every_event(colony: Colony) -> None:
    keys = [colony.add_executor(f"e{number}") for number in range(3)]
    with ExitStack() as stack:
        sockets = [stack.enter_context(open_socket(colony.server)) for _ in keys]
        for socket, key in zip(sockets, keys, strict=True):
            follow_all(socket, colony, key, WAITING)
            assert is_silent(socket, key)
        submitted = [colony.submit() for _ in range(4)]
        for socket in sockets:
            assert [socket.event() for _ in submitted] == submitted


def test_who_waits_for_work_takes_no_event(clocked: ClockedServer) -> None:
    colony = clocked.colony()
    follower, worker = colony.add_executor("e1"), colony.add_executor("e2")
    with open_socket(clocked) as socket, ThreadPoolExecutor() as threads:
        follow_all(socket, colony, follower, WAITING)
        assert is_silent(socket, follower)
        waiting = threads.submit(colony.assign, worker, 60)
        submitted = colony.submit()
        assert waiting.result(PATIENCE)["processid"] == submitted["processid"]
        assert socket.event()["processid"] == submitted["processid"]


def test_events_of_other_colonies_are_not_told(server: RunningServer, colony: Colony, socket: Socket) -> None:
    key = colony.add_executor("e1")
    follow_all(socket, colony, key, WAITING)
    assert is_silent(socket, key)
    create_colony(server).submit()
    assert is_silent(socket, key)


@pytest.mark.parametrize(
    "asked, submitted",
    [
        ({"executortype": "cli1", "state": WAITING}, "cli"),
        ({"executortype": "cli", "state": WAITING}, "cli1"),
        ({"executortype": "", "state": WAITING}, "cli"),
        ({"executortype": "CLI", "state": WAITING}, "cli"),
    ],
    ids=str,
)
def test_types_are_told_apart(colony: Colony, socket: Socket, asked: dict[str, Any], submitted: str) -> None:
    key = colony.add_executor("e1")
    follow_all(socket, colony, key, **asked)
    assert is_silent(socket, key)
    colony.submit(conditions={"executortype": submitted})
    assert is_silent(socket, key)


@pytest.mark.parametrize("executortype, told", [("", True), ("cli", True), ("other", False)])
def test_a_type_that_is_given_for_one_process_has_to_be_its_own(
    colony: Colony, socket: Socket, executortype: str, told: bool
) -> None:
    process = colony.submit()
    follow(socket, colony, process["processid"], WAITING, executortype=executortype)
    if told:
        assert socket.event() == process
    assert is_silent(socket, colony.user_key)


def test_who_is_no_member_any_more_is_told_no_more(colony: Colony, socket: Socket) -> None:
    process = colony.submit()
    follow(socket, colony, process["processid"], CANCELLED)
    assert is_silent(socket, colony.user_key)
    executor = colony.add_executor("e1")
    colony.rpc.ok("removeusermsg", colony.colony_key, colonyname=colony.name, name="alice")
    colony.rpc.ok("cancelprocessmsg", executor, processid=process["processid"])
    assert socket.ended()


# Frames and connections


@pytest.mark.parametrize("binary", [False, True], ids=["text", "binary"])
@pytest.mark.parametrize("accepted", [False, True], ids=["refused", "accepted"])
def test_answers_come_in_the_kind_of_frame_that_asked(
    colony: Colony, socket: Socket, accepted: bool, binary: bool
) -> None:
    processid = colony.submit()["processid"] if accepted else "nothing"
    follow(socket, colony, processid, WAITING, binary=binary)
    frame = socket.connection.recv(PATIENCE)
    assert isinstance(frame, bytes if binary else str)
    assert json.loads(frame)["error"] is not accepted


def test_an_event_is_a_reply_envelope(colony: Colony, socket: Socket) -> None:
    process = colony.submit()
    follow(socket, colony, process["processid"], WAITING)
    frame = json.loads(socket.connection.recv(PATIENCE))
    assert (list(frame), frame["payloadtype"]) == (["payloadtype", "payload", "error"], ONE)
    assert json.loads(base64.b64decode(frame["payload"])) == process


def test_several_subscriptions_share_a_connection(colony: Colony, socket: Socket) -> None:
    processes = [colony.submit()["processid"] for _ in range(3)]
    for processid in processes:
        follow(socket, colony, processid, CANCELLED)
    assert is_silent(socket, colony.user_key)
    for processid in processes:
        colony.rpc.ok("cancelprocessmsg", colony.user_key, processid=processid)
        assert socket.event()["processid"] == processid


def test_no_compression_and_any_origin(server: RunningServer) -> None:
    url = f"ws://{server.host}:{server.port}/pubsub"
    with connect(url, compression="deflate", origin="https://elsewhere.example", proxy=None) as connection:  # type: ignore[arg-type]
        assert connection.response is not None
        assert "sec-websocket-extensions" not in connection.response.headers
        assert connection.ping().wait(PATIENCE)
        connection.close()
        assert connection.close_code == 1000


# How it ends


@pytest.mark.parametrize("kind", [ONE, MANY])
@pytest.mark.parametrize("timeout", [1, 0, -1])
def test_the_connection_ends_with_the_time(colony: Colony, socket: Socket, kind: str, timeout: int) -> None:
    key = colony.add_executor("e1")
    if kind == ONE:
        follow(socket, colony, colony.submit()["processid"], CANCELLED, timeout=timeout)
    else:
        follow_all(socket, colony, key, CANCELLED, timeout=timeout)
    with pytest.raises(ConnectionClosedOK):
        socket.connection.recv(PATIENCE)


def test_the_first_subscription_to_end_ends_all(colony: Colony, socket: Socket) -> None:
    processid = colony.submit()["processid"]
    follow(socket, colony, processid, CANCELLED, timeout=60)
    follow(socket, colony, processid, CANCELLED, timeout=1)
    assert socket.ended()


def test_a_long_time_may_be_asked_for(colony: Colony, socket: Socket) -> None:
    process = colony.submit()
    follow(socket, colony, process["processid"], WAITING, timeout=2**62)
    assert socket.event() == process
    assert is_silent(socket, colony.user_key)


@pytest.mark.parametrize(
    "frame",
    ["", "x", "null", "[]", '{"payloadtype":5}', '{"payload":' + "[" * 100_000, b"\xff", "{}"],
    ids=["nothing", "no JSON", "null", "a list", "a number", "too deep", "no UTF-8", "no signature"],
)
def test_what_is_no_signed_envelope_ends_the_connection(socket: Socket, frame: str | bytes) -> None:
    socket.connection.send(frame)
    assert socket.ended()


def test_a_bad_signature_ends_the_connection(colony: Colony, socket: Socket) -> None:
    request = envelope({"msgtype": ONE, "processid": colony.submit()["processid"]}, colony.user_key)
    socket.connection.send(json.dumps({**request, "signature": "00" * 65}))
    with pytest.raises(ConnectionClosed):
        socket.connection.recv(PATIENCE)


# Requests that are ignored or refused


@pytest.mark.parametrize("payloadtype", ["versionmsg", "getcolonymsg", "subscribechannelmsg", "nonsense", ""])
def test_other_messages_are_ignored(colony: Colony, socket: Socket, payloadtype: str) -> None:
    message = {"msgtype": payloadtype, "colonyname": colony.name}
    socket.connection.send(json.dumps(envelope(message, colony.user_key)))
    assert is_silent(socket, colony.user_key)


NO_MESSAGE = ["", "{", "null", "[]", '{"msgtype":"MSGTYPE","state":"0"}', '{"msgtype":"MSGTYPE","state":1.0}']


@pytest.mark.parametrize(
    "payload", [*NO_MESSAGE, '{"msgtype":"MSGTYPE","a":' + "[" * 100_000], ids=lambda text: text[:40]
)
@pytest.mark.parametrize("kind", [ONE, MANY])
def test_payloads_that_cannot_be_read(colony: Colony, socket: Socket, kind: str, payload: str) -> None:
    raw = payload.replace("MSGTYPE", kind).encode()
    socket.connection.send(json.dumps(envelope(raw, colony.user_key, kind)))
    if kind == MANY:
        assert refusal(socket.receive())[0] == 403
    assert is_silent(socket, colony.user_key)


@pytest.mark.parametrize("kind, what", [(ONE, "process"), (MANY, "processes")])
@pytest.mark.parametrize("payload", ["{}", '{"msgtype":"getprocessmsg"}', '{"msgtype":null,"state":0}'])
def test_payloads_of_another_type(colony: Colony, socket: Socket, kind: str, what: str, payload: str) -> None:
    socket.connection.send(json.dumps(envelope(payload.encode(), colony.user_key, kind)))
    expected = f"Failed to subscribe to {what}, msg.msgType does not match rpcMsg.PayloadType"
    assert refusal(socket.receive()) == (403, expected)


def test_a_refusal_leaves_the_connection_open(colony: Colony, socket: Socket) -> None:
    follow(socket, colony, "nothing", WAITING)
    assert refusal(socket.receive()) == (403, "Invalid process with Id nothing")
    process = colony.submit()
    follow(socket, colony, process["processid"], WAITING)
    assert socket.event() == process


def test_names_may_be_in_any_case(colony: Colony, socket: Socket) -> None:
    process = colony.submit()
    text = f'{{"MsgType":"{ONE}","ProcessId":"{process["processid"]}","STATE":0,"Timeout":60,"executortype":null}}'
    socket.connection.send(json.dumps(envelope(text.encode(), colony.user_key, ONE)))
    assert socket.event() == process
