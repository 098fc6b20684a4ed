"""``GET /pubsub``: subscriptions to processes over a WebSocket.

A client sends signed requests and gets events, in the kind of frame it sent; nothing acknowledges a subscription.
The first subscription to run out of time ends the connection, which is how clients learn of it. So does an envelope
that cannot be read or was not properly signed, and the loss of membership.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Coroutine
from typing import Any, NamedTuple, TypeVar

import msgspec
from msgspec import Raw
from starlette.websockets import WebSocket, WebSocketDisconnect, WebSocketState

from kolony.crypto import Identity
from kolony.errors import Forbidden, KolonyError
from kolony.model.base import ColonyName
from kolony.model.processes import Process
from kolony.wire import subscriptions as wire
from kolony.wire.decoding import Decoder
from kolony.wire.envelope import Request, decode_payload, open_request, seal_error, seal_reply
from kolony.wire.message import Message, payload_type
from kolony_apiserver.events.hub import Topic, process_topic, type_topic
from kolony_apiserver.membership import Caller
from kolony_apiserver.rpc.dispatch import Dispatcher, named_type
from kolony_apiserver.rpc.freshness import require_fresh
from kolony_apiserver.rpc.subscriptions import absent_process, may_follow, may_follow_all
from kolony_apiserver.services.context import Context, Parts, UnitOfWork
from kolony_apiserver.store.unit import Store

M = TypeVar("M", bound=Message[Any])

_ENCODER = msgspec.json.Encoder()
_ONE = Decoder(wire.SubscribeProcess[Raw])
_MANY = Decoder(wire.SubscribeProcesses[Raw])
_LONGEST = 10 * 365 * 86_400
_NEVER = Topic("", "", "", -1)


class Subscription(NamedTuple):
    """What a client wants to be told, in which colony, and for how many seconds."""

    colony: ColonyName
    topic: Topic
    timeout: int


class Subscriptions:
    """Serves all connections."""

    def __init__(self, dispatcher: Dispatcher, parts: Parts) -> None:
        self._dispatcher = dispatcher
        self._parts = parts

    async def serve(self, socket: WebSocket) -> None:
        """Serve one connection until it ends."""
        await socket.accept()
        connection = _Connection(socket, self._dispatcher, self._parts)
        try:
            await connection.run()
        except WebSocketDisconnect:
            return
        if socket.application_state is WebSocketState.CONNECTED:
            await socket.close()


class _Connection:
    """One connection: a task that reads requests, and one for each subscription; the first to end ends all."""

    def __init__(self, socket: WebSocket, dispatcher: Dispatcher, parts: Parts) -> None:
        self._socket = socket
        self._dispatcher = dispatcher
        self._parts = parts
        self._sending = asyncio.Lock()
        self._over = asyncio.Event()
        self._tasks: set[asyncio.Task[None]] = set()

    async def run(self) -> None:
        """Take requests and deliver events until the connection is over."""
        self._start(self._requests())
        try:
            await self._over.wait()
        finally:
            for task in self._tasks:
                task.cancel()
            await asyncio.gather(*self._tasks, return_exceptions=True)

    def _start(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(lambda _: self._over.set())

    async def _requests(self) -> None:
        """Take requests until the client goes away, or sends what ends the connection."""
        while True:
            frame = await self._socket.receive()
            if frame["type"] == "websocket.disconnect":
                return
            binary = frame.get("text") is None
            body: bytes = frame["bytes"] if binary else frame["text"].encode()
            try:
                request = open_request(body)
                caller = await self._dispatcher.identify(request)
            except KolonyError:
                return
            try:
                subscription = await self._subscription(request, caller)
            except KolonyError as error:
                await self._send(seal_error(error), binary=binary)
                continue
            if subscription is not None:
                self._start(self._deliver(subscription, caller.identity, binary=binary))

    async def _subscription(self, request: Request, caller: Caller) -> Subscription | None:
        """What a request asks to be told; `None` when it is to be ignored."""
        match request.payloadtype:
            case wire.ONE:
                try:
                    one = _decode(_ONE, wire.SubscribeProcess, request)
                except msgspec.MsgspecError:
                    return None
                async with UnitOfWork(self._parts, caller) as context:
                    return await _one_process(context, one)
            case wire.MANY:
                try:
                    many = _decode(_MANY, wire.SubscribeProcesses, request)
                except msgspec.MsgspecError as error:
                    raise Forbidden(str(error)) from error
                async with UnitOfWork(self._parts, caller) as context:
                    return await _many_processes(context, many)
            case _:
                return None

    async def _deliver(self, subscription: Subscription, identity: Identity, *, binary: bool) -> None:
        """Send the events of a subscription until its time is over or the caller is no member any more."""
        hub = self._parts.hub
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(min(subscription.timeout, _LONGEST)):
                with hub.subscribe(subscription.topic, self._parts.clock.now()) as events:
                    if (due := await self._due(subscription)) is not None:
                        events.deliver(due)
                    while True:
                        event = await events.get()
                        caller = await self._parts.callers.recall(identity)
                        if not caller.is_member(subscription.colony):
                            return
                        await self._send_event(event, binary=binary)

    async def _due(self, subscription: Subscription) -> Process[Raw] | None:
        """The process itself, when it is in the wanted state already."""
        topic = subscription.topic
        if not topic.processid:
            return None
        async with self._parts.database.session() as session:
            process = await Store(session).processes.get(subscription.colony, topic.processid)
        return process if process is not None and process.state == topic.state else None

    async def _send_event(self, process: Process[Raw], *, binary: bool) -> None:
        await self._send(seal_reply(wire.ONE, _ENCODER.encode(process)), binary=binary)

    async def _send(self, body: bytes, *, binary: bool) -> None:
        async with self._sending:
            if binary:
                await self._socket.send_bytes(body)
            else:
                await self._socket.send_text(body.decode())


def _decode(decoder: Decoder[M], kind: type[M], request: Request) -> M:
    try:
        text = decode_payload(request.payload).decode()
    except UnicodeDecodeError as error:
        raise msgspec.DecodeError(str(error)) from error
    if named_type(text) != payload_type(kind):
        raise Forbidden(f"{kind.failure}, msg.msgType does not match rpcMsg.PayloadType")
    return decoder.decode(text)


async def _one_process(context: Context, message: wire.SubscribeProcess[Raw]) -> Subscription:
    colony = await may_follow(context, message)
    await require_fresh(context, message.fresh)
    process = await context.store.processes.get(colony, message.processid)
    if process is None:
        raise absent_process(message)
    reachable = message.executortype in ("", process.spec.conditions.executortype)
    topic = process_topic(colony, message.processid, message.state) if reachable else _NEVER
    return Subscription(colony, topic, message.timeout)


async def _many_processes(context: Context, message: wire.SubscribeProcesses[Raw]) -> Subscription:
    colony = await may_follow_all(context, message)
    await require_fresh(context, message.fresh)
    return Subscription(colony, type_topic(colony, message.executortype, message.state), message.timeout)
