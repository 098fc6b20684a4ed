"""Settings from the environment and from options."""

from __future__ import annotations

import ssl

import pytest

from kolony.crypto import PrivateKey
from kolony.errors import ConfigurationError
from kolony.sdk.settings import ExecutorSettings, Settings, member_key

KEY = PrivateKey.generate().hex
NAMES = (
    "COLONIES_SERVER_HOST",
    "COLONIES_SERVER_HTTP_PORT",
    "COLONIES_SERVER_PORT",
    "COLONIES_TLS",
    "COLONIES_FRESH",
    "COLONIES_COLONY_NAME",
    "COLONIES_PRVKEY",
    "COLONIES_COLONY_PRVKEY",
    "COLONIES_SERVER_PRVKEY",
    "COLONIES_EXECUTOR_NAME",
    "COLONIES_EXECUTOR_TYPE",
    "EXECUTOR_TYPE",
)


@pytest.fixture(autouse=True)
def environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in NAMES:
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("COLONIES_SERVER_PORT", "50080")


def test_defaults() -> None:
    settings = Settings.from_env()
    assert (settings.host, settings.port, settings.tls, settings.colony) == ("localhost", 50080, True, "")
    assert (settings.key, settings.colony_key, settings.server_key) == (None, None, None)


def test_everything_is_read(monkeypatch: pytest.MonkeyPatch) -> None:
    values = ("server", "1234", "99", "false", "true", "dev", *(PrivateKey.generate().hex for _ in range(3)))
    for name, value in zip(NAMES, values, strict=False):
        monkeypatch.setenv(name, value)
    settings = Settings.from_env()
    assert (settings.host, settings.port, settings.tls, settings.fresh) == ("server", 1234, False, True)
    assert settings.colony == "dev"
    assert [key.hex for key in (settings.key, settings.colony_key, settings.server_key)] == list(values[6:])


def test_options_win(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLONIES_SERVER_HOST", "server")
    settings = Settings.from_env(host="other", port=1, tls=False)
    assert (settings.host, settings.port, settings.tls) == ("other", 1, False)


@pytest.mark.parametrize(
    "name, value",
    [
        ("COLONIES_SERVER_PORT", "http"),
        ("COLONIES_SERVER_PORT", "0"),
        ("COLONIES_SERVER_HTTP_PORT", "65536"),
        ("COLONIES_SERVER_HTTP_PORT", "-1"),
        ("COLONIES_TLS", "yes"),
        ("COLONIES_PRVKEY", KEY[:-1]),
        ("COLONIES_COLONY_PRVKEY", "x" * 64),
    ],
)
def test_a_wrong_value_is_named_but_no_key_is_shown(monkeypatch: pytest.MonkeyPatch, name: str, value: str) -> None:
    monkeypatch.setenv(name, value)
    with pytest.raises(ConfigurationError, match=name) as caught:
        Settings.from_env()
    assert len(value) < 60 or value not in str(caught.value)


def test_a_port_is_needed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("COLONIES_SERVER_PORT")
    with pytest.raises(ConfigurationError, match="COLONIES_SERVER_PORT"):
        Settings.from_env()


def test_keys_are_not_shown() -> None:
    assert KEY not in repr(Settings(port=1, key=KEY, colony_key=KEY, server_key=KEY))


def test_certificates_are_checked_unless_told_otherwise() -> None:
    own = ssl.create_default_context()
    assert Settings(port=1, tls=False).tls_context() is None
    assert Settings(port=1, verify=own).tls_context() is own
    checked, unchecked = Settings(port=1).tls_context(), Settings(port=1, verify=False).tls_context()
    assert checked and checked.verify_mode is ssl.CERT_REQUIRED and checked.check_hostname
    assert unchecked and unchecked.verify_mode is ssl.CERT_NONE


def test_the_executor_of_a_worker(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLONIES_EXECUTOR_NAME", "e")
    monkeypatch.setenv("EXECUTOR_TYPE", "older")
    assert ExecutorSettings.from_env() == ExecutorSettings(name="e", type="older")
    monkeypatch.setenv("COLONIES_EXECUTOR_TYPE", "cli")
    assert ExecutorSettings.from_env().type == "cli"


def test_the_members_key(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ConfigurationError, match="COLONIES_PRVKEY"):
        member_key()
    monkeypatch.setenv("COLONIES_PRVKEY", KEY)
    assert member_key().hex == KEY
