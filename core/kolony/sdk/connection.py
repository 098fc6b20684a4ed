"""One connection to a server: seals messages, sends them, repeats what may be repeated, opens the replies."""

from __future__ import annotations

import asyncio
import random
import secrets
import ssl
import time
from dataclasses import dataclass
from typing import TypeVar

import httpx
import msgspec

from kolony.crypto import PrivateKey
from kolony.errors import BadRequest, ConfigurationError, ConnectionLost, KolonyError, Unavailable
from kolony.sdk.replies import decode_reply
from kolony.sdk.retries import NeverSent, Retry
from kolony.sdk.settings import Key, Settings
from kolony.wire.assignments import AssignProcess
from kolony.wire.envelope import open_reply, seal_request
from kolony.wire.message import Freshness, Message
from kolony.wire.server import GetServerInfo, Version

R = TypeVar("R")

UNSIGNED = (Version, GetServerInfo)
"""The messages that need no key."""

_CONNECT_TIMEOUT = 5.0
_IDLE_CONNECTIONS = 100
_GATEWAY_FAILED = (502, 504)
"""Statuses by which a proxy says that it got no reply: whether the server did the work is not known."""


@dataclass(frozen=True, slots=True)
class Keys:
    """The keys that calls are signed with; an owner's key that was not given is the member's."""

    member: PrivateKey | None
    colony: PrivateKey | None
    server: PrivateKey | None


class Connection:
    """A server and who speaks to it. Connections are kept alive and shared by all calls."""

    def __init__(self, settings: Settings, http: httpx.AsyncClient | None = None) -> None:
        self.settings = settings
        member = _private_key(settings.key)
        self.keys = Keys(
            member,
            _private_key(settings.colony_key) or member,
            _private_key(settings.server_key) or member,
        )
        self.tls = settings.tls_context()
        self._http = http or httpx.AsyncClient(
            # without TLS there is nothing to verify, and a default context takes a tenth of a second to load
            verify=self.tls or False,
            limits=httpx.Limits(max_connections=None, max_keepalive_connections=_IDLE_CONNECTIONS),
        )

    @property
    def address(self) -> str:
        """Scheme, host and port of the server."""
        return f"{'https' if self.settings.tls else 'http'}://{self._host}:{self.settings.port}"

    @property
    def pubsub(self) -> str:
        """Where subscriptions are made."""
        return f"{'wss' if self.settings.tls else 'ws'}://{self._host}:{self.settings.port}/pubsub"

    @property
    def _host(self) -> str:
        host = self.settings.host
        return f"[{host}]" if ":" in host else host

    async def call(
        self, message: Message[R], *, key: Key | None = None, once: bool = False, retry: Retry | None = None
    ) -> R:
        """Send a message and return its reply.

        A call whose connection breaks is repeated as ``retry`` allows (the client's own by default). With ``once``
        it is not repeated when the server may have done it already.

        Raises:
            KolonyError: the error that the server replied, or `ConnectionLost` when no reply came.
        """
        retry = retry or self.settings.retry
        started = time.monotonic()
        failures = 0
        while True:
            try:
                return await self._attempt(message, key)
            except KolonyError as error:
                failures += 1
                if not retry.allows(error, failures=failures, elapsed=time.monotonic() - started, once=once):
                    raise
            await asyncio.sleep(retry.delay(failures, random.random()))

    def seal(self, message: Message[R], key: Key | None) -> bytes:
        """The envelope of a message, signed by ``key`` or the client's own; each call makes a fresh one."""
        if isinstance(message, UNSIGNED):
            return seal_request(message, None)
        signer = _private_key(key) or self.keys.member
        if signer is None:
            raise ConfigurationError("no key to sign with: set COLONIES_PRVKEY or give the client a key")
        if self.settings.fresh:
            fresh = Freshness(time=time.time_ns(), nonce=secrets.token_hex(16))
            message = msgspec.structs.replace(message, fresh=fresh)
        try:
            return seal_request(message, signer)
        except (TypeError, ValueError) as error:
            raise BadRequest(f"the values cannot be written as JSON: {error}") from error

    async def close(self) -> None:
        """Close all connections."""
        await self._http.aclose()

    async def _attempt(self, message: Message[R], key: Key | None) -> R:
        body = await self._post(self.seal(message, key), self._timeout(message))
        _, payload = open_reply(body)
        return decode_reply(type(message), payload)

    async def _post(self, body: bytes, limits: httpx.Timeout) -> bytes:
        try:
            response = await self._http.post(
                f"{self.address}/api",
                content=body,
                headers={"Content-Type": "application/json"},
                timeout=limits,
            )
        except (httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout) as error:
            if reason := _tls_failure(error):
                raise ConfigurationError(
                    f"no TLS with {self.address} ({reason}): set COLONIES_TLS=false if the server has none"
                ) from error
            raise NeverSent(f"no Colonies server answers at {self.address}") from error
        except httpx.InvalidURL as error:
            raise ConfigurationError(f"{self.address} is not an address: {error}") from error
        except httpx.TransportError as error:
            raise ConnectionLost(f"the connection to {self.address} broke before the reply came") from error
        if response.content[:1] != b"{" and response.status_code in (503, *_GATEWAY_FAILED):
            # a proxy speaks, not the server
            failure = Unavailable if response.status_code == 503 else ConnectionLost
            raise failure(f"the server behind {self.address} does not answer now")
        return response.content

    def _timeout(self, message: Message[R]) -> httpx.Timeout:
        patience = max(message.timeout, 0) if isinstance(message, AssignProcess) else 0
        return httpx.Timeout(self.settings.timeout, connect=_CONNECT_TIMEOUT, read=self.settings.timeout + patience)


def _tls_failure(error: BaseException | None) -> ssl.SSLError | None:
    """The failure of TLS that an error comes from; trying again does not help against it."""
    while error:
        if isinstance(error, ssl.SSLError):
            return error
        error = error.__cause__ or error.__context__
    return None


def _private_key(key: Key | None) -> PrivateKey | None:
    return PrivateKey(key) if isinstance(key, str) else key
