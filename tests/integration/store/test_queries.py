"""Every named query is understood by PostgreSQL on the schema that the migrations make."""

from __future__ import annotations

from collections.abc import Iterator

import psycopg
import pytest
from plans import prepare

from kolony_apiserver.store.queries import queries


@pytest.fixture(scope="module")
def connection(template_dsn: str) -> Iterator[psycopg.Connection]:
    with psycopg.connect(template_dsn, autocommit=True) as connection:
        yield connection


@pytest.mark.parametrize("name", [name for name, text in queries().items() if not text.startswith("listen")])
def test_it_prepares(name: str, connection: psycopg.Connection) -> None:
    prepare(connection, name)
