"""How crons and generators that are due are found: by index, however many are not.

There are 20,000 of each, and 100,000 arguments that wait. What a query touches is measured in pages: reading a table
from end to end is hundreds.
"""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

import psycopg
import pytest
from plans import explain, prepare
from storage import copy_database

from kolony_apiserver.store import database

NOW = datetime(2026, 1, 1, 1, tzinfo=UTC)
LONG_AGO = datetime(2000, 1, 1, tzinfo=UTC)

FILL = """
insert into colonies (colonyname, colonyid) values ('big', 'owner');
insert into crons
select 'c' || n, 'big', 'c' || n, 'i' || n, 'alice', '', 10, false, '', '', 0, n % 100 = 0, repeat('x', 500), false, '',
       timestamptz '2026-01-01 00:59:30' + n * interval '1 second', null,
       timestamptz '2026-01-01 00:59:30' + n * interval '1 second'
from generate_series(1, 20000) n;
insert into generators
select 'g' || n, 'big', 'g' || n, 'i' || n, 'alice', repeat('x', 500), 100, 60 from generate_series(1, 20000) n;
insert into generator_queues
select 'g' || n, 'big', 100, 60, case when n <= 30 then 3000 else n % 2 end, 0, timestamptz '2026-01-01', null,
       timestamptz '2026-01-01 00:59:30' + n * interval '1 second', null
from generate_series(1, 20000) n;
insert into packs select 'g' || n, k, 'text' from generate_series(1, 30) n, generate_series(1, 3000) k;
insert into packs select 'g' || n, 1, 'text' from generate_series(31, 20000, 2) n;
"""

PACKS = [{"no": n, "generatorid": f"g{n % 7 + 1}", "arg": "text"} for n in range(50)]
QUERIES: dict[str, dict[str, Any]] = {
    "find_due_crons": {"now": NOW, "lastdue": LONG_AGO, "lastid": "", "limit": 100},
    "take_due_cron": {"cronid": "c1", "due": datetime(2026, 1, 1, 0, 59, 31, tzinfo=UTC)},
    "move_cron": {
        "cronid": "c1", "slot": datetime(2026, 1, 1, 0, 59, 31, tzinfo=UTC), "nextrun": NOW, "due": NOW, "lastrun": NOW,
        "prevprocessgraphid": "w",
    },
    "cron_lag": {},
    "change_cron_initiator": {"colony": "big", "old": "i7", "new": "x"},
    "find_due_generators": {"now": NOW, "lastid": "", "limit": 100},
    "take_due_generator": {"generatorid": "g1", "now": NOW},
    "take_packs": {"generatorid": "g1", "taken": 0, "count": 100, "now": NOW},
    "pack_generators": {"calls": json.dumps(PACKS), "now": NOW},
    "put_off_generator": {"generatorid": "g1", "retry": NOW},
    "get_generator": {"colony": "big", "generatorid": "g1"},
    "resolve_generator": {"colony": "big", "name": "g1"},
    "change_generator_initiator": {"colony": "big", "old": "i7", "new": "x"},
}  # fmt: skip
LANE = {"pack_generators"}
MOST_PAGES = 1_500
"""A hundred rows that change touch a few each, with their indexes and those that refer to them."""


@pytest.fixture(scope="module")
def filled_dsn(postgres_dsn: str, template_dsn: str) -> str:
    """The database, of which the planner knows nothing."""
    dsn = copy_database(postgres_dsn, template_dsn)
    with psycopg.connect(dsn, autocommit=True) as connection:
        for table in ("crons", "generators", "generator_queues", "packs"):
            connection.execute(f"alter table {table} set (autovacuum_enabled = off)".encode())
        for statement in FILL.split(";\n"):
            connection.execute(statement.encode())
    return dsn


@pytest.fixture(scope="module")
def analysed_dsn(postgres_dsn: str, filled_dsn: str) -> str:
    """The same database after the planner has looked at it."""
    dsn = copy_database(postgres_dsn, filled_dsn)
    with psycopg.connect(dsn, autocommit=True) as connection:
        connection.execute("vacuum analyze")
    return dsn


@pytest.fixture(params=["filled_dsn", "analysed_dsn"])
def filled(request: pytest.FixtureRequest) -> str:
    dsn: str = request.getfixturevalue(request.param)
    return dsn


@pytest.mark.parametrize("mode", ["force_generic_plan", "force_custom_plan"])
@pytest.mark.parametrize("name", QUERIES)
def test_what_is_due_is_found_by_index(name: str, mode: str, filled: str) -> None:
    options = database.LANE_OPTIONS if name in LANE else database.POOL_OPTIONS
    with psycopg.connect(filled, autocommit=True, options=options) as connection:
        connection.execute(f"set plan_cache_mode = {mode}".encode())
        prepare(connection, name)
        plan = explain(connection, name, QUERIES[name], run=True)
    assert plan.scanned() == set()
    assert plan.pages() < MOST_PAGES
    if name in ("find_due_crons", "find_due_generators", "take_due_cron", "cron_lag", "take_due_generator"):
        assert plan.pages() < 200


def test_what_is_due_is_all_found(filled_dsn: str) -> None:
    with psycopg.connect(filled_dsn) as connection:
        connection.execute(b"select 1")
        prepare(connection, "find_due_generators")
        prepare(connection, "find_due_crons")
        generators = connection.execute(b"execute find_due_generators ('', '2026-01-01 01:00+00', 100)").fetchall()
        crons = connection.execute(b"execute find_due_crons ('2026-01-01 01:00+00', '2000-01-01', '', 100)").fetchall()
    assert {row[0] for row in generators} == {f"g{n}" for n in range(1, 31)}
    assert [row[0] for row in crons] == [f"c{n}" for n in range(1, 31)]
