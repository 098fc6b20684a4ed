"""Subscriptions over the WebSocket, one connection each: the protocol ends all of a connection with the first."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidHandshake, InvalidURI

from kolony.errors import ConnectionLost
from kolony.model.processes import Process
from kolony.sdk.connection import Connection
from kolony.sdk.replies import decode_reply
from kolony.sdk.retries import NeverSent
from kolony.sdk.settings import Key
from kolony.wire.envelope import open_reply
from kolony.wire.subscriptions import SubscribeProcess, SubscribeProcesses

Subscribe = SubscribeProcess | SubscribeProcesses

_OPEN_TIMEOUT = 5.0
_CLOSE_TIMEOUT = 1.0


@asynccontextmanager
async def subscribe(
    connection: Connection, message: Subscribe, key: Key | None
) -> AsyncIterator[AsyncIterator[Process]]:
    """Send a subscription and give its events; it is closed at the end of the block.

    The events end when the server closes the connection, which is how it ends a subscription. There is no
    acknowledgement: that the block is entered says only that the subscription was sent.

    Raises:
        NeverSent: no connection could be made.
        KolonyError: while iterating, the error by which the server refused.
    """
    try:
        socket = await connect(
            connection.pubsub,
            ssl=connection.tls,
            compression=None,
            max_size=None,
            open_timeout=_OPEN_TIMEOUT,
            close_timeout=_CLOSE_TIMEOUT,
        )
    except (OSError, TimeoutError, InvalidHandshake, InvalidURI) as error:
        raise NeverSent(f"{connection.address} offers no subscriptions now") from error
    async with socket:
        try:
            await socket.send(connection.seal(message, key).decode())
        except ConnectionClosed as error:
            raise ConnectionLost(f"the connection to {connection.address} broke") from error
        yield _events(socket, message)


async def _events(socket: ClientConnection, message: Subscribe) -> AsyncIterator[Process]:
    while True:
        try:
            frame = await socket.recv()
        except ConnectionClosed:
            return
        _, payload = open_reply(frame.encode() if isinstance(frame, str) else frame)
        yield decode_reply(type(message), payload)
