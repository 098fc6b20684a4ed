"""Migrations: whoever starts, and how often, the schema is made once."""

from __future__ import annotations

import secrets
from concurrent.futures import ThreadPoolExecutor
from importlib import resources

import psycopg
from psycopg import sql
from psycopg.rows import tuple_row

from kolony_apiserver.store.migrate import migrate

MIGRATIONS = sorted(
    file.name.removesuffix(".sql")
    for file in resources.files("kolony_apiserver.store").joinpath("migrations").iterdir()
    if file.name.endswith(".sql")
)


def applied(dsn: str) -> list[tuple[str, ...]]:
    with psycopg.connect(dsn, row_factory=tuple_row) as connection:
        return connection.execute(
            "select migration_id, applied_at_utc::text from _yoyo_migration order by 1"
        ).fetchall()


def test_a_second_start_changes_nothing(database_dsn: str) -> None:
    migrate(database_dsn)
    first = applied(database_dsn)
    assert [name for name, _ in first] == MIGRATIONS
    migrate(database_dsn)
    assert applied(database_dsn) == first


def test_servers_that_start_together_migrate_once(database_dsn: str) -> None:
    with ThreadPoolExecutor(8) as pool:
        for done in [pool.submit(migrate, database_dsn) for _ in range(8)]:
            done.result()
    assert [name for name, _ in applied(database_dsn)] == MIGRATIONS
    with psycopg.connect(database_dsn) as connection:
        held = connection.execute(
            "select count(*) from pg_locks where locktype = 'advisory'"
            " and database = (select oid from pg_database where datname = current_database())"
        ).fetchone()
        assert held == (0,), "the lock of the migration is still held"
        assert connection.execute("select count(*) from membership").fetchone() == (1,)


def test_the_database_may_have_any_name(postgres_dsn: str) -> None:
    odd = f"{secrets.token_hex(6)} %2F?&=ä'"
    with psycopg.connect(postgres_dsn, autocommit=True) as connection:
        connection.execute(sql.SQL("create database {}").format(sql.Identifier(odd)))
    dsn = psycopg.conninfo.make_conninfo(postgres_dsn, dbname=odd)
    migrate(dsn)
    assert [name for name, _ in applied(dsn)] == MIGRATIONS
