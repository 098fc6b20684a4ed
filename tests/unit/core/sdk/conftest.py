"""A connection to a server that is a function."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from typing import Any

import httpx
import msgspec
import pytest

from kolony.crypto import PrivateKey
from kolony.sdk.connection import Connection
from kolony.sdk.retries import Retry
from kolony.sdk.settings import Options, Settings
from kolony.wire.envelope import decode_payload, open_request, seal_reply

KEY = PrivateKey.generate()
AT_ONCE = Retry(attempts=4, first_delay=0.0)

Answer = Any
"""What the server does with a message: an exception, a response, or an object to reply with."""


class FakeServer:
    """Answers messages in turn and remembers them; the last answer is given again and again."""

    def __init__(self, *answers: Answer) -> None:
        self._answers: Iterator[Answer] = iter(answers)
        self._last: Answer = None
        self.requests: list[httpx.Request] = []

    @property
    def messages(self) -> list[dict[str, Any]]:
        return [json.loads(decode_payload(open_request(request.content).payload)) for request in self.requests]

    def __call__(self, request: httpx.Request) -> httpx.Response:
        self.requests.append(request)
        self._last = next(self._answers, self._last)
        if isinstance(self._last, Exception):
            raise self._last
        if isinstance(self._last, httpx.Response):
            return self._last
        payloadtype = open_request(request.content).payloadtype
        return httpx.Response(200, content=seal_reply(payloadtype, msgspec.json.encode(self._last)))


Connect = Callable[..., Connection]


@pytest.fixture
def connect() -> Connect:
    """Connects to a fake server."""

    def connect(server: FakeServer, **options: Any) -> Connection:
        defaults: Options = {"port": 1, "tls": False, "colony": "dev", "key": KEY, "retry": AT_ONCE}
        http = httpx.AsyncClient(transport=httpx.MockTransport(server))
        return Connection(Settings(**{**defaults, **options}), http)

    return connect


@pytest.fixture
def fake_server() -> type[FakeServer]:
    return FakeServer
