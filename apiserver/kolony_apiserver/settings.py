"""Settings of the Colonies server, read once from the environment at start.

The names of ColonyOS are kept; new ones have the same prefix. This is the only module of the server that reads
the environment.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from typing import TypeVar
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import msgspec

from kolony.errors import ConfigurationError

T = TypeVar("T")
MIB = 1024**2
MAX_NAME = 40
"""Most characters of a server's name: the database cuts off longer names of connections."""


class Settings(msgspec.Struct, frozen=True, kw_only=True):
    """All settings of one server."""

    port: int = 50080
    """Port of the API (``COLONIES_SERVER_HTTP_PORT``, else ``COLONIES_SERVER_PORT``)."""

    host: str = "0.0.0.0"
    """Address to listen on (``COLONIES_SERVER_HTTP_HOST``)."""

    monitor_port: int = 0
    """Port of the Prometheus metrics (``COLONIES_MONITOR_PORT``); 0 serves none."""

    reports_tls: bool = False
    """What ``getserverinfomsg`` says about TLS, which a proxy in front provides (``COLONIES_SERVER_HTTP_TLS``)."""

    server_id: str = ""
    """Identity of the server owner, stored when the database has none yet (``COLONIES_SERVER_ID``)."""

    dsn: str = ""
    """PostgreSQL connection string (``COLONIES_DB_DSN``, or made from ``COLONIES_DB_HOST`` and its siblings)."""

    pool_size: int = 10
    """Most connections for calls outside the hot path (``COLONIES_DB_MAX_OPEN_CONNS``)."""

    timezone: str = "UTC"
    """Zone of the times in replies, and of cron expressions (``TZ``)."""

    name: str = ""
    """Name of this server in its cluster (``COLONIES_SERVER_NAME``); one is made up when it is empty."""

    workers: int = 1
    """Servers that one command runs on one port (``COLONIES_WORKERS``, or ``--workers``)."""

    lease: str = "database"
    """Who keeps the lease of the leader: ``database``, or ``kubernetes`` (``COLONIES_LEASE``)."""

    lease_name: str = "kolony"
    """Name of the lease (``COLONIES_LEASE_NAME``)."""

    lease_namespace: str = ""
    """Kubernetes namespace of the lease; empty for that of the pod (``COLONIES_LEASE_NAMESPACE``)."""

    lease_duration: float = 0
    """Seconds for which the lease lasts unless it is renewed; 0 for what suits its keeper
    (``COLONIES_LEASE_DURATION``)."""

    kubeconfig: str = ""
    """How Kubernetes is reached (``KUBECONFIG``); empty for the service account of the pod, or where kubectl looks."""

    relay_host: str = ""
    """Address at which other servers reach this one, if not that of its connections to the database
    (``COLONIES_RELAY_HOST``)."""

    relay_port: int = 0
    """Port for other servers; 0 takes a free one (``COLONIES_RELAY_PORT``)."""

    exclusive_assign: bool = False
    """Only the leader assigns (``COLONIES_EXCLUSIVE_ASSIGN``)."""

    allow_reregister: bool = False
    """An executor may be added again under a name in use (``COLONIES_ALLOW_EXECUTOR_REREGISTER``)."""

    stale_after: float = 600
    """Seconds of silence after which an executor is removed (``COLONIES_STALE_EXECUTOR_DURATION``)."""

    cleanup_interval: float = 60
    """Seconds between looks for stale executors (``COLONIES_CLEANUP_INTERVAL``)."""

    cron_checker_period: int = 1_000
    """Milliseconds between looks for crons that are due (``COLONIES_CRON_CHECKER_PERIOD``)."""

    generator_checker_period: int = 1_000
    """Milliseconds between looks for generators that are due (``COLONIES_GENERATOR_CHECKER_PERIOD``)."""

    retention: bool = False
    """Delete old successful processes and old logs (``COLONIES_RETENTION``)."""

    retention_age: float = 0
    """Age in seconds from which retention deletes (``COLONIES_RETENTION_POLICY``)."""

    max_body: int = 8 * MIB
    """Largest request in bytes (``COLONIES_MAX_BODY_BYTES``)."""

    max_workflow_body: int = 128 * MIB
    """Largest request that submits a workflow or many processes (``COLONIES_MAX_WORKFLOW_BODY_BYTES``)."""

    require_freshness: bool = False
    """Refuse messages without a time and a nonce (``COLONIES_REQUIRE_FRESHNESS``)."""

    freshness_window: float = 60
    """Seconds by which the time of a fresh message may differ from the server's (``COLONIES_FRESHNESS_WINDOW``)."""

    idempotency_window: float = 86_400
    """Seconds for which idempotency keys are remembered (``COLONIES_IDEMPOTENCY_WINDOW``)."""

    drain_timeout: float = 20
    """Seconds that calls get to finish after SIGTERM (``COLONIES_DRAIN_TIMEOUT``)."""

    verbose: bool = False
    """Log every call (``COLONIES_VERBOSE``)."""

    build_version: str = "dev"
    """Version shown to clients (``BUILD_VERSION``)."""

    build_time: str = ""
    """Build time shown to clients (``BUILD_TIME``)."""


def from_environment(environ: Mapping[str, str] | None = None) -> Settings:
    """Read all settings; raise `ConfigurationError` that names the first one that is wrong."""
    return _read(os.environ if environ is None else environ)


def _read(environ: Mapping[str, str]) -> Settings:
    defaults = Settings()
    port_name = "COLONIES_SERVER_HTTP_PORT" if environ.get("COLONIES_SERVER_HTTP_PORT") else "COLONIES_SERVER_PORT"

    def value(name: str, parse: Callable[[str], T], default: T) -> T:
        text = environ.get(name, "")
        if not text:
            return default
        try:
            return parse(text)
        except ValueError as error:
            raise ConfigurationError(f"{name}={text!r} is wrong: {error}") from error

    value("COLONIES_DB_PORT", _port, 0)
    return Settings(
        port=value(port_name, _port, defaults.port),
        host=value("COLONIES_SERVER_HTTP_HOST", str, defaults.host),
        monitor_port=value("COLONIES_MONITOR_PORT", _port, defaults.monitor_port),
        reports_tls=value("COLONIES_SERVER_HTTP_TLS", _exactly_true, defaults.reports_tls),
        server_id=value("COLONIES_SERVER_ID", _identity, defaults.server_id),
        dsn=_dsn(environ),
        pool_size=value("COLONIES_DB_MAX_OPEN_CONNS", _positive, defaults.pool_size),
        timezone=value("TZ", _timezone, defaults.timezone),
        name=value("COLONIES_SERVER_NAME", _name, defaults.name),
        workers=value("COLONIES_WORKERS", _positive, defaults.workers),
        lease=value("COLONIES_LEASE", _lease, defaults.lease),
        lease_name=value("COLONIES_LEASE_NAME", str, defaults.lease_name),
        lease_namespace=value("COLONIES_LEASE_NAMESPACE", str, defaults.lease_namespace),
        lease_duration=value("COLONIES_LEASE_DURATION", _lease_seconds, defaults.lease_duration),
        kubeconfig=value("KUBECONFIG", str, defaults.kubeconfig),
        relay_host=value("COLONIES_RELAY_HOST", str, defaults.relay_host),
        relay_port=value("COLONIES_RELAY_PORT", _port, defaults.relay_port),
        exclusive_assign=value("COLONIES_EXCLUSIVE_ASSIGN", _boolean, defaults.exclusive_assign),
        allow_reregister=value("COLONIES_ALLOW_EXECUTOR_REREGISTER", _boolean, defaults.allow_reregister),
        stale_after=value("COLONIES_STALE_EXECUTOR_DURATION", _seconds, defaults.stale_after),
        cleanup_interval=value("COLONIES_CLEANUP_INTERVAL", _seconds, defaults.cleanup_interval),
        cron_checker_period=value("COLONIES_CRON_CHECKER_PERIOD", _positive, defaults.cron_checker_period),
        generator_checker_period=value(
            "COLONIES_GENERATOR_CHECKER_PERIOD", _positive, defaults.generator_checker_period
        ),
        retention=value("COLONIES_RETENTION", _exactly_true, defaults.retention),
        retention_age=value("COLONIES_RETENTION_POLICY", _seconds, defaults.retention_age),
        max_body=value("COLONIES_MAX_BODY_BYTES", _positive, defaults.max_body),
        max_workflow_body=value("COLONIES_MAX_WORKFLOW_BODY_BYTES", _positive, defaults.max_workflow_body),
        require_freshness=value("COLONIES_REQUIRE_FRESHNESS", _boolean, defaults.require_freshness),
        freshness_window=value("COLONIES_FRESHNESS_WINDOW", _seconds, defaults.freshness_window),
        idempotency_window=value("COLONIES_IDEMPOTENCY_WINDOW", _seconds, defaults.idempotency_window),
        drain_timeout=value("COLONIES_DRAIN_TIMEOUT", _seconds, defaults.drain_timeout),
        verbose=value("COLONIES_VERBOSE", _exactly_true, defaults.verbose),
        build_version=value("BUILD_VERSION", str, defaults.build_version),
        build_time=value("BUILD_TIME", str, defaults.build_time),
    )


def _dsn(environ: Mapping[str, str]) -> str:
    if dsn := environ.get("COLONIES_DB_DSN", ""):
        return dsn
    if not environ.get("COLONIES_DB_HOST"):
        raise ConfigurationError(
            "no database: set COLONIES_DB_DSN, or COLONIES_DB_HOST with COLONIES_DB_USER and COLONIES_DB_PASSWORD"
        )
    names = {"host": "HOST", "port": "PORT", "user": "USER", "password": "PASSWORD", "dbname": "NAME"}
    given = {"dbname": "postgres"} | {
        key: text for key, name in names.items() if (text := environ.get(f"COLONIES_DB_{name}"))
    }
    return " ".join(f"{key}='{_quoted(text)}'" for key, text in given.items())


def _quoted(text: str) -> str:
    return text.replace("\\", r"\\").replace("'", r"\'")


def _port(text: str) -> int:
    if not 0 < (port := int(text)) < 65_536:
        raise ValueError("a port is 1 to 65535")
    return port


def _positive(text: str) -> int:
    if (number := int(text)) <= 0:
        raise ValueError("it must be greater than 0")
    return number


def _seconds(text: str) -> float:
    if not 0 <= (seconds := float(text)) < float("inf"):
        raise ValueError("seconds are 0 or more")
    return seconds


def _name(text: str) -> str:
    if len(text) > MAX_NAME or not all(each.isascii() and (each.isalnum() or each in "-._") for each in text):
        raise ValueError(f"a name is at most {MAX_NAME} letters, digits, dashes, dots and underscores")
    return text


def _lease(text: str) -> str:
    if text not in {"database", "kubernetes"}:
        raise ValueError("write database or kubernetes")
    return text


def _lease_seconds(text: str) -> float:
    if not 1 <= (seconds := float(text)) <= 60:
        raise ValueError("a lease lasts 1 to 60 seconds")
    return seconds


def _identity(text: str) -> str:
    if len(text) != 64 or set(text) - set("0123456789abcdef"):
        raise ValueError("an identity is 64 lower-case hex digits; `kolony key id` shows that of a key")
    return text


def _timezone(text: str) -> str:
    try:
        ZoneInfo(text)
    except (ZoneInfoNotFoundError, ValueError) as error:
        raise ValueError("no such time zone") from error
    return text


def _boolean(text: str) -> bool:
    if text in {"1", "t", "T", "true", "True", "TRUE"}:
        return True
    if text in {"0", "f", "F", "false", "False", "FALSE"}:
        return False
    raise ValueError("write true or false")


def _exactly_true(text: str) -> bool:
    return text == "true"
