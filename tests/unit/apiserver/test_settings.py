"""Settings: every name, what is taken when it is missing, and what is refused."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from psycopg.conninfo import conninfo_to_dict

from kolony.errors import ConfigurationError
from kolony_apiserver.settings import MIB, Settings, from_environment

DSN = {"COLONIES_DB_DSN": "host=db"}
IDENTITY = "0123456789abcdef" * 4

EVERY = [
    ("COLONIES_SERVER_PORT", "8080", "port", 8080),
    ("COLONIES_SERVER_HTTP_PORT", "8081", "port", 8081),
    ("COLONIES_SERVER_HTTP_HOST", "::1", "host", "::1"),
    ("COLONIES_MONITOR_PORT", "9090", "monitor_port", 9090),
    ("COLONIES_SERVER_HTTP_TLS", "true", "reports_tls", True),
    ("COLONIES_SERVER_ID", IDENTITY, "server_id", IDENTITY),
    ("COLONIES_DB_DSN", "host=elsewhere", "dsn", "host=elsewhere"),
    ("COLONIES_DB_MAX_OPEN_CONNS", "25", "pool_size", 25),
    ("TZ", "Europe/Stockholm", "timezone", "Europe/Stockholm"),
    ("COLONIES_SERVER_NAME", "server-1.b_C", "name", "server-1.b_C"),
    ("COLONIES_WORKERS", "4", "workers", 4),
    ("COLONIES_LEASE", "kubernetes", "lease", "kubernetes"),
    ("COLONIES_LEASE_NAME", "other", "lease_name", "other"),
    ("COLONIES_LEASE_NAMESPACE", "science", "lease_namespace", "science"),
    ("COLONIES_LEASE_DURATION", "4.5", "lease_duration", 4.5),
    ("KUBECONFIG", "/etc/kube", "kubeconfig", "/etc/kube"),
    ("COLONIES_RELAY_HOST", "10.0.0.7", "relay_host", "10.0.0.7"),
    ("COLONIES_RELAY_PORT", "7000", "relay_port", 7000),
    ("COLONIES_EXCLUSIVE_ASSIGN", "true", "exclusive_assign", True),
    ("COLONIES_ALLOW_EXECUTOR_REREGISTER", "1", "allow_reregister", True),
    ("COLONIES_STALE_EXECUTOR_DURATION", "30", "stale_after", 30.0),
    ("COLONIES_CLEANUP_INTERVAL", "1.5", "cleanup_interval", 1.5),
    ("COLONIES_CRON_CHECKER_PERIOD", "250", "cron_checker_period", 250),
    ("COLONIES_GENERATOR_CHECKER_PERIOD", "500", "generator_checker_period", 500),
    ("COLONIES_RETENTION", "true", "retention", True),
    ("COLONIES_RETENTION_POLICY", "604800", "retention_age", 604_800.0),
    ("COLONIES_MAX_BODY_BYTES", "1024", "max_body", 1024),
    ("COLONIES_MAX_WORKFLOW_BODY_BYTES", "2048", "max_workflow_body", 2048),
    ("COLONIES_REQUIRE_FRESHNESS", "T", "require_freshness", True),
    ("COLONIES_FRESHNESS_WINDOW", "5", "freshness_window", 5.0),
    ("COLONIES_IDEMPOTENCY_WINDOW", "3600", "idempotency_window", 3600.0),
    ("COLONIES_DRAIN_TIMEOUT", "0", "drain_timeout", 0.0),
    ("COLONIES_VERBOSE", "true", "verbose", True),
    ("BUILD_VERSION", "1.2.3", "build_version", "1.2.3"),
    ("BUILD_TIME", "2026-02-12T14:10:23Z", "build_time", "2026-02-12T14:10:23Z"),
]


def read(**environ: str) -> Settings:
    return from_environment(DSN | environ)


@pytest.mark.parametrize(("name", "text", "field", "expected"), EVERY)
def test_every_setting_is_read_from_its_name(name: str, text: str, field: str, expected: Any) -> None:
    assert getattr(read(), field) != expected
    assert getattr(read(**{name: text}), field) == expected


def test_every_setting_has_a_name() -> None:
    assert {field for _, _, field, _ in EVERY} == set(Settings.__struct_fields__)


def test_what_is_missing_or_empty_has_the_value_of_the_protocol() -> None:
    assert read() == read(**{name: "" for name, *_ in EVERY if name != "COLONIES_DB_DSN"})
    settings = read()
    assert (settings.port, settings.host, settings.timezone, settings.monitor_port) == (50080, "0.0.0.0", "UTC", 0)
    assert (settings.stale_after, settings.cleanup_interval) == (600, 60)
    assert (settings.exclusive_assign, settings.allow_reregister, settings.retention) == (False, False, False)
    assert (settings.max_body, settings.max_workflow_body) == (8 * MIB, 128 * MIB)
    assert settings.require_freshness is False


def test_the_port_of_the_backend_goes_before_that_of_the_server() -> None:
    assert read(COLONIES_SERVER_PORT="1", COLONIES_SERVER_HTTP_PORT="2").port == 2
    with pytest.raises(ConfigurationError, match="COLONIES_SERVER_HTTP_PORT='x'"):
        read(COLONIES_SERVER_PORT="1", COLONIES_SERVER_HTTP_PORT="x")


STRICT = ("COLONIES_EXCLUSIVE_ASSIGN", "COLONIES_ALLOW_EXECUTOR_REREGISTER", "COLONIES_REQUIRE_FRESHNESS")
LENIENT = ("COLONIES_RETENTION", "COLONIES_VERBOSE", "COLONIES_SERVER_HTTP_TLS")
FIELDS = {name: field for name, _, field, _ in EVERY}


@pytest.mark.parametrize("name", STRICT)
def test_strict_switches_know_on_and_off_and_refuse_the_rest(name: str) -> None:
    for text, expected in [
        *((text, True) for text in ("1", "t", "T", "true", "True", "TRUE")),
        *((text, False) for text in ("0", "f", "F", "false", "False", "FALSE")),
    ]:
        assert getattr(read(**{name: text}), FIELDS[name]) is expected
    for text in ("yes", "on", "2", "tRUE", " true", "truee"):
        with pytest.raises(ConfigurationError, match=name):
            read(**{name: text})


@pytest.mark.parametrize("name", LENIENT)
def test_lenient_switches_are_on_for_one_word_only(name: str) -> None:
    assert getattr(read(**{name: "true"}), FIELDS[name]) is True
    for text in ("True", "1", "yes", "false", "true "):
        assert getattr(read(**{name: text}), FIELDS[name]) is False


WRONG = {
    "COLONIES_SERVER_PORT": ("0", "65536", "-1", "80.0", "http", "0x50"),
    "COLONIES_SERVER_HTTP_PORT": ("0", "port"),
    "COLONIES_MONITOR_PORT": ("0", "70000"),
    "COLONIES_SERVER_ID": ("0" * 63, "0" * 65, "g" * 64, IDENTITY.upper()),
    "COLONIES_DB_PORT": ("0", "five"),
    "COLONIES_DB_MAX_OPEN_CONNS": ("0", "-3", "1.5", "many"),
    "COLONIES_SERVER_NAME": ("a b", "a/b", "ü", "a" * 41),
    "COLONIES_WORKERS": ("0", "-1", "two"),
    "COLONIES_LEASE": ("etcd", "Kubernetes"),
    "COLONIES_LEASE_DURATION": ("0", "0.5", "61", "nan", "long"),
    "COLONIES_RELAY_PORT": ("-1", "70000"),
    "TZ": ("Mars/Olympus", "America", "../etc/passwd", "/etc/localtime", "Europe/Stockholm\0"),
    "COLONIES_STALE_EXECUTOR_DURATION": ("-1", "nan", "inf", "-inf", "10m", "1e999"),
    "COLONIES_CLEANUP_INTERVAL": ("-0.1", "soon"),
    "COLONIES_RETENTION_POLICY": ("-1", "a week"),
    "COLONIES_MAX_BODY_BYTES": ("0", "8MiB"),
    "COLONIES_MAX_WORKFLOW_BODY_BYTES": ("0", "1e6"),
    "COLONIES_FRESHNESS_WINDOW": ("-1", "inf"),
    "COLONIES_IDEMPOTENCY_WINDOW": ("-1", "a day"),
    "COLONIES_DRAIN_TIMEOUT": ("-1", "nan"),
}


@pytest.mark.parametrize(("name", "text"), [(name, text) for name, texts in WRONG.items() for text in texts])
def test_a_wrong_value_is_refused_by_name(name: str, text: str) -> None:
    with pytest.raises(ConfigurationError) as refusal:
        read(**{name: text})
    assert refusal.value.message.startswith(f"{name}={text!r} is wrong: ")
    assert "\n" not in refusal.value.message


def test_a_server_needs_a_database() -> None:
    with pytest.raises(ConfigurationError, match="set COLONIES_DB_DSN, or COLONIES_DB_HOST"):
        from_environment({})
    with pytest.raises(ConfigurationError, match="COLONIES_DB_HOST"):
        from_environment({"COLONIES_DB_USER": "kolony", "COLONIES_DB_PASSWORD": "secret"})


def test_a_whole_connection_string_goes_before_its_parts() -> None:
    assert from_environment({"COLONIES_DB_DSN": "host=a", "COLONIES_DB_HOST": "b"}).dsn == "host=a"


def test_the_database_is_named_by_parts() -> None:
    parts = {"HOST": "db", "PORT": "5433", "USER": "kolony", "PASSWORD": "secret", "NAME": "colonies"}
    settings = from_environment({f"COLONIES_DB_{name}": text for name, text in parts.items()})
    assert conninfo_to_dict(settings.dsn) == {
        "host": "db",
        "port": "5433",
        "user": "kolony",
        "password": "secret",
        "dbname": "colonies",
    }
    only_host = from_environment({"COLONIES_DB_HOST": "db"})
    assert conninfo_to_dict(only_host.dsn) == {"host": "db", "dbname": "postgres"}


@given(st.text(st.characters(codec="utf-8", exclude_characters="\0"), min_size=1))
def test_any_password_is_told_to_the_database_as_it_is(password: str) -> None:
    settings = from_environment({"COLONIES_DB_HOST": "db", "COLONIES_DB_PASSWORD": password})
    assert conninfo_to_dict(settings.dsn)["password"] == password
