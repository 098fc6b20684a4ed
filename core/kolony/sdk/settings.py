"""Settings of clients and workers; the only module of the library that reads the environment."""

from __future__ import annotations

import os
import ssl
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TypeAlias, TypedDict, Unpack

from kolony.crypto import PrivateKey
from kolony.errors import BadRequest, ConfigurationError
from kolony.sdk.retries import Retry

Key: TypeAlias = PrivateKey | str
"""A private key, or its 64 hex digits."""


class Options(TypedDict, total=False):
    """What a client may be given by keyword; `Settings` says what each means."""

    host: str
    port: int
    tls: bool
    verify: ssl.SSLContext | bool
    colony: str
    key: Key | None
    colony_key: Key | None
    server_key: Key | None
    timeout: float
    retry: Retry
    fresh: bool


@dataclass(frozen=True, kw_only=True, slots=True)
class Settings:
    """Where the server is and who speaks to it."""

    host: str = "localhost"
    """Name or address of the server."""

    port: int = 0
    """Port of the server. There is no default, because a Colonies server has none."""

    tls: bool = True
    """Whether to speak HTTPS and WSS. On unless it is turned off, so that nothing is sent in the clear by omission."""

    verify: ssl.SSLContext | bool = True
    """Whether to check the server's certificate, or the context that does."""

    colony: str = ""
    """The colony that calls are about when they name none."""

    key: Key | None = field(default=None, repr=False)
    """Key of the member that signs."""

    colony_key: Key | None = field(default=None, repr=False)
    """Key of the colony owner; calls that need it fall back to ``key``."""

    server_key: Key | None = field(default=None, repr=False)
    """Key of the server owner; calls that need it fall back to ``key``."""

    timeout: float = 30.0
    """Seconds to wait for a reply, beyond the time that the call itself asks the server to wait."""

    retry: Retry = field(default_factory=Retry)
    """How calls are repeated when the connection is lost."""

    fresh: bool = False
    """Whether every call carries a time and a nonce, so that nobody can replay it; servers may demand it."""

    def __post_init__(self) -> None:
        """Check what can be wrong before the first call."""
        if not 0 < self.port < 65536:
            raise ConfigurationError(
                "no port of the server: set COLONIES_SERVER_PORT (1 to 65535) or give it as an option"
            )

    def tls_context(self) -> ssl.SSLContext | None:
        """How to speak TLS; ``None`` is not at all."""
        if not self.tls:
            return None
        if isinstance(self.verify, ssl.SSLContext):
            return self.verify
        context = ssl.create_default_context()
        if not self.verify:
            context.check_hostname = False
            context.verify_mode = ssl.CERT_NONE
        return context

    @classmethod
    def from_env(cls, **options: Unpack[Options]) -> Settings:
        """Settings from the environment; ``options`` win over it."""
        merged: Options = {**_from_environment(os.environ), **options}
        return cls(**merged)


@dataclass(frozen=True, kw_only=True, slots=True)
class ExecutorSettings:
    """What the environment says about the executor that a worker is to be."""

    name: str = ""
    """Name in the colony."""

    type: str = ""
    """Type, which processes ask for."""

    @classmethod
    def from_env(cls) -> ExecutorSettings:
        """Read COLONIES_EXECUTOR_NAME, and COLONIES_EXECUTOR_TYPE or EXECUTOR_TYPE."""
        env = os.environ
        return cls(
            name=env.get("COLONIES_EXECUTOR_NAME", ""),
            type=env.get("COLONIES_EXECUTOR_TYPE") or env.get("EXECUTOR_TYPE", ""),
        )


def member_key() -> PrivateKey:
    """The key in COLONIES_PRVKEY."""
    key = _key(os.environ, "COLONIES_PRVKEY")
    if key is None:
        raise ConfigurationError("no key: set COLONIES_PRVKEY")
    return key


def _from_environment(env: Mapping[str, str]) -> Options:
    found: Options = {}
    if host := env.get("COLONIES_SERVER_HOST"):
        found["host"] = host
    if (port := _port(env, "COLONIES_SERVER_HTTP_PORT") or _port(env, "COLONIES_SERVER_PORT")) is not None:
        found["port"] = port
    if (tls := _flag(env, "COLONIES_TLS")) is not None:
        found["tls"] = tls
    if (fresh := _flag(env, "COLONIES_FRESH")) is not None:
        found["fresh"] = fresh
    if colony := env.get("COLONIES_COLONY_NAME"):
        found["colony"] = colony
    found["key"] = _key(env, "COLONIES_PRVKEY")
    found["colony_key"] = _key(env, "COLONIES_COLONY_PRVKEY")
    found["server_key"] = _key(env, "COLONIES_SERVER_PRVKEY")
    return found


def _port(env: Mapping[str, str], name: str) -> int | None:
    text = env.get(name)
    if not text:
        return None
    if not (text.isascii() and text.isdigit() and 0 < int(text) < 65536):
        raise ConfigurationError(f"{name} must be a number from 1 to 65535, not {text!r}")
    return int(text)


def _flag(env: Mapping[str, str], name: str) -> bool | None:
    text = env.get(name)
    if not text:
        return None
    if text.lower() not in ("true", "false"):
        raise ConfigurationError(f"{name} must be true or false, not {text!r}")
    return text.lower() == "true"


def _key(env: Mapping[str, str], name: str) -> PrivateKey | None:
    text = env.get(name)
    if not text:
        return None
    try:
        return PrivateKey(text)
    except BadRequest as error:
        raise ConfigurationError(f"{name} is not a private key: {error.message}") from None
