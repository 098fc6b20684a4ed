"""Fixtures of tests against PostgreSQL without a server."""

from __future__ import annotations

from collections.abc import AsyncIterator

import psycopg
import pytest
from colonies import create_database
from storage import Storage, copy_database, open_storage

from kolony_apiserver.store.migrate import migrate

_EMPTY = (
    "delete from colonies; delete from processes; delete from dependencies; delete from count_changes;"
    " delete from colony_counts; delete from class_counts; delete from nonces; delete from membership_changes"
)
"""What is left takes no time to delete, while a new database for each test would take a second."""


@pytest.fixture(scope="session")
def template_dsn(postgres_dsn: str) -> str:
    """A migrated, empty database that nobody is connected to."""
    dsn = create_database(postgres_dsn)
    migrate(dsn)
    return dsn


@pytest.fixture(scope="session")
def shared_dsn(postgres_dsn: str, template_dsn: str) -> str:
    return copy_database(postgres_dsn, template_dsn)


@pytest.fixture
def migrated_dsn(shared_dsn: str) -> str:
    """A migrated database without content."""
    with psycopg.connect(shared_dsn) as connection:
        connection.execute(_EMPTY)
    return shared_dsn


@pytest.fixture
async def storage(migrated_dsn: str) -> AsyncIterator[Storage]:
    """The store of one server on an empty database, with one colony."""
    async with open_storage(migrated_dsn) as storage:
        await storage.add_colony()
        yield storage
