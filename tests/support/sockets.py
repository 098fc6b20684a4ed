"""The WebSocket of a server, spoken to in raw messages."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Protocol

from colonies import Answer, envelope
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import ClientConnection, connect

from kolony.crypto import PrivateKey

PATIENCE = 10.0


class Listening(Protocol):
    """A server, of whatever kind."""

    host: str
    port: int


class Socket:
    """One connection to ``/pubsub``."""

    def __init__(self, connection: ClientConnection) -> None:
        self.connection = connection

    def send(self, msgtype: str, key: PrivateKey | None, /, *, binary: bool = False, **fields: Any) -> None:
        """Send a signed message, as text unless binary is asked for."""
        text = json.dumps(envelope({"msgtype": msgtype, **fields}, key))
        self.connection.send(text.encode() if binary else text)

    def receive(self, *, within: float = PATIENCE) -> Answer:
        """The next message of the server."""
        frame = self.connection.recv(within)
        opened = json.loads(frame)
        payload = json.loads(base64.b64decode(opened["payload"]))
        status = payload["status"] if opened["error"] else 200
        return Answer(status, opened["payloadtype"], opened["error"], payload)

    def event(self, *, within: float = PATIENCE) -> dict[str, Any]:
        """The process in the next message, which has to be an event."""
        answer = self.receive(within=within)
        assert (answer.payloadtype, answer.error) == ("subscribeprocessmsg", False), answer
        process: dict[str, Any] = answer.payload
        return process

    def ended(self, *, within: float = PATIENCE) -> bool:
        """Whether the server ends the connection without another message."""
        try:
            self.connection.recv(within)
        except ConnectionClosed:
            return True
        except TimeoutError:
            return False
        return False

    def answers_next(self, key: PrivateKey) -> Answer:
        """The next message of the server, which says something now at the latest.

        Requests are taken in order, so when this is the refusal of what is sent here, nothing sent before was refused.
        """
        probe = json.dumps(envelope({"msgtype": "nothing"}, key, "subscribeprocessesmsg"))
        self.connection.send(probe)
        return self.receive()


@contextmanager
def open_socket(server: Listening) -> Iterator[Socket]:
    """Connect to the subscriptions of a server."""
    url = f"ws://{server.host}:{server.port}/pubsub"
    with connect(url, compression=None, proxy=None, open_timeout=PATIENCE, close_timeout=1) as connection:
        yield Socket(connection)
