"""Fixtures of all tests: one PostgreSQL and one server per run, a colony of its own per test."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from colonies import Colony, RunningServer, create_colony, create_database, start_server

from kolony_apiserver.dev.postgres import EmbeddedPostgres


@pytest.fixture(scope="session", autouse=True)
def _no_settings_of_the_shell() -> None:
    for name in [name for name in os.environ if name.startswith("COLONIES_")]:
        del os.environ[name]


@pytest.fixture(scope="session")
def postgres_dsn(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A PostgreSQL: the embedded one, or the one that KOLONY_TEST_DSN names."""
    if dsn := os.environ.get("KOLONY_TEST_DSN"):
        yield dsn
        return
    with EmbeddedPostgres(tmp_path_factory.mktemp("postgres") / "cluster") as postgres:
        yield postgres.dsn


@pytest.fixture
def database_dsn(postgres_dsn: str) -> str:
    """A new, empty database."""
    return create_database(postgres_dsn)


@pytest.fixture(scope="session")
def server(postgres_dsn: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningServer]:
    """A server with the default settings, shared by all tests: each makes a colony of its own in it."""
    running = start_server(create_database(postgres_dsn), tmp_path_factory.mktemp("server"))
    yield running
    running.stop()


@pytest.fixture
def new_server(postgres_dsn: str, tmp_path: Path) -> Iterator[Callable[..., RunningServer]]:
    """Starts servers with settings of their own, each on a new database unless one is given."""
    started: list[RunningServer] = []

    def start(dsn: str | None = None, **options: Any) -> RunningServer:
        started.append(start_server(dsn or create_database(postgres_dsn), tmp_path, **options))
        return started[-1]

    yield start
    for running in started:
        running.stop()


@pytest.fixture
def colony(server: RunningServer) -> Colony:
    """A colony with an owner and a user, in the shared server."""
    return create_colony(server)
