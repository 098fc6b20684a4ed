"""Fixtures of tests against PostgreSQL without a server."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
from colonies import create_database
from storage import Storage, copy_database, open_storage

from kolony_apiserver.store.migrate import migrate


@pytest.fixture(scope="session")
def template_dsn(postgres_dsn: str) -> str:
    """A migrated, empty database that nobody is connected to."""
    dsn = create_database(postgres_dsn)
    migrate(dsn)
    return dsn


@pytest.fixture
def migrated_dsn(postgres_dsn: str, template_dsn: str) -> str:
    """A new database, migrated and empty."""
    return copy_database(postgres_dsn, template_dsn)


@pytest.fixture
async def storage(migrated_dsn: str) -> AsyncIterator[Storage]:
    """The store of one server on a new database, with one colony."""
    async with open_storage(migrated_dsn) as storage:
        await storage.add_colony()
        yield storage
