"""Fixtures of the tests of the protocol."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from colonies import RunningServer, create_database, start_server

from kolony.crypto import PrivateKey

EXAMPLE_KEY = PrivateKey("d50e7dd35f7e1c371dfc2751333f63cb74353dfa39e98b95a443252dfadfedb5")
"""The key of the protocol's test vectors."""


@pytest.fixture(scope="session")
def example_server(postgres_dsn: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningServer]:
    """A server that belongs to the key of the protocol's test vectors."""
    folder = tmp_path_factory.mktemp("example-server")
    running = start_server(
        create_database(postgres_dsn),
        folder,
        server_key=EXAMPLE_KEY,
        BUILD_VERSION="d89bd38",
        BUILD_TIME="2026-02-12T14:10:23Z",
    )
    yield running
    running.stop()
