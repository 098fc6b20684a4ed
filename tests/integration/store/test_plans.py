"""How the queries find their rows: by index, whatever the tables hold and whenever the plan was made.

The database has 150,000 processes, 120,000 of them waiting. What a query touches is measured in pages: reading the
table, or all of one index, is thousands.
"""

from __future__ import annotations

import json
import re
from datetime import UTC, datetime, timedelta
from typing import Any

import psycopg
import pytest
from plans import explain, prepare
from storage import HIGHEST, LOWEST, copy_database

from kolony_apiserver.store import database
from kolony_apiserver.store.queries import queries

NOW = datetime(2026, 1, 2, tzinfo=UTC)

FILL = """
insert into colonies (colonyname, colonyid) values ('big', 'owner'), ('small', 'owner');
insert into executors
select 'big', 'e' || n, 'id' || n, 'cli', 1, false, now(), timestamptz '2026-01-01' + n * interval '1 second',
       '', '{}', '{}', '', 0
from generate_series(1, 2000) n;
insert into classes (colonyname, digest, requirements) select 'big', 'd' || n, '{}' from generate_series(1, 100) n;
insert into processes
select 'p' || n, case when n % 1000 = 0 then 'small' else 'big' end, 1 + n % 100,
       case when n <= 120000 then 0 when n <= 121000 then 1 when n <= 140000 then 2 when n <= 145000 then 3 else 4 end,
       0, 0, n, timestamptz '2026-01-01' + n * interval '100 ms',
       case when n > 120000 then timestamptz '2026-01-01' + n * interval '100 ms' end,
       case when n > 121000 then timestamptz '2026-01-01' + n * interval '200 ms' end,
       case when n % 50 = 0 then timestamptz '2026-01-01' + n * interval '1 second' end,
       case when n % 2 = 0 then timestamptz '2026-01-01' + n * interval '1 second' end,
       0, 0, 0, 'initiator', 'alice',
       case when n > 120000 then 'id' || n % 2000 else '' end, case when n > 120000 then 'e' || n % 2000 else '' end,
       'cli', 'echo', '', '{}'
from generate_series(1, 150000) n;
insert into attributes select 'a' || n, 'p' || n, 3, 'k', 'v' from generate_series(1, 150000, 10) n
where exists (select from processes where processid = 'p' || n);
insert into submissions
select 'big', 'initiator', 'key' || n, array['p' || n], timestamptz '2026-01-01' + n * interval '1 second'
from generate_series(1, 20000) n;
insert into count_changes (colonyname, classid, state, change)
select 'big', 1 + n % 100, n % 2, 1 from generate_series(1, 20000) n;
insert into class_counts select 1 + n, 0, 1200 from generate_series(0, 99) n;
insert into colony_counts select 'big', n, 1 from generate_series(0, 4) n;
insert into logs (colonyname, processid, executorname, message, timestamp)
select 'big', 'p' || n % 1000, 'e1', 'text', n from generate_series(1, 50000) n;
insert into workflows (workflowid, colonyname, state, initiatorid, initiatorname, submissiontime, size)
select 'w' || n, 'big', n % 5, 'initiator', 'alice', timestamptz '2026-01-01' + n * interval '1 second', 10
from generate_series(0, 2999) n;
insert into processes (
    processid, colonyname, classid, state, prioritytime, submissiontime, endtime, maxwaittime, maxexectime, maxretries,
    initiatorid, initiatorname, executortype, funcname, label, spec, workflowid, rank, pendingparents, settled
)
select 'wp' || n, 'big', case when n < 3000 then 1 + n % 100 else -1 - n % 100 end,
       case when n < 3000 then 2 else 0 end, n, timestamptz '2026-01-01' + n * interval '100 ms',
       case when n < 3000 then timestamptz '2026-01-02' end, 0, 0, 0,
       'initiator', 'alice', 'cli', 'echo', '', '{}', 'w' || n % 3000, n / 3000, case when n < 3000 then 0 else 1 end,
       n % 10 <> 0
from generate_series(0, 29999) n;
insert into dependencies (workflowid, parentid, childid, nth, rank)
select 'w' || n % 3000, 'wp' || n - 3000, 'wp' || n, 0, n / 3000 from generate_series(3000, 29999) n;
insert into nonces select 'n' || n, timestamptz '2026-01-01' + n * interval '1 second' from generate_series(1, 20000) n;
"""

COLONY = {"colony": "big"}
FILTERS = {"executortype": "", "initiator": "", "label": "", "count": 100}
RECENT = {"executortype": "cli", "state": 2, "count": 200}
SOON = datetime(2026, 1, 1, 0, 5, tzinfo=UTC)
"""Early enough that a scan finds little, as when it runs every second."""

CALLS = [
    {"no": n, "processid": f"p{120_001 + n}", "executorid": f"id{(120_001 + n) % 2000}", "attempt": 0, "state": 2}
    for n in range(10)
]
SUBMISSIONS = [
    {
        "submission": n, "processid": f"new{n}", "colonyname": "big", "classid": 1 + n, "prioritytime": 1,
        "submissiontime": NOW.isoformat(), "waitdeadline": None, "maxwaittime": 0, "maxexectime": 0, "maxretries": 0,
        "initiatorid": "initiator", "initiatorname": "alice", "executortype": "cli", "funcname": "echo", "label": "",
        "spec": {}, "workflowid": "", "rank": 0, "pendingparents": 0, "input": [],
        "idempotencykey": f"new{n}", "attributes": [],
    }
    for n in range(10)
]  # fmt: skip
SEATS = [
    {"seat": n, "grp": 1, "colonyname": "big", "executorid": f"id{n + 1}", "executorname": f"e{n + 1}"}
    for n in range(8)
]
SEARCHES = [{"grp": 1, "classid": n, "low": LOWEST, "high": HIGHEST, "most": 8} for n in range(1, 9)]

NODES = [f"wp{n}" for n in range(0, 50, 10)]

HOT: dict[str, dict[str, Any]] = {
    "submit_processes": {"calls": json.dumps(SUBMISSIONS)},
    "claim_processes": {
        "seats": json.dumps(SEATS),
        "searches": json.dumps(SEARCHES),
        "now": NOW,
        "term": 0,
    },
    "release_process": {"processid": "p120001", "attempt": 0},
    "close_processes": {"calls": json.dumps(CALLS), "now": NOW},
    "start_nodes": {"calls": json.dumps([{"processid": "wp5", "processgraphid": "w5"}]), "now": NOW},
    "lock_workflows": {"processids": NODES},
    "settle_processes": {"processids": NODES, "now": NOW, "highest": 3},
    "fail_workflows": {"processids": NODES, "now": NOW},
    "probe_classes": {"classids": list(range(1, 101))},
    "load_classes": {"since": datetime(2000, 1, 1, tzinfo=UTC)},
    "note_contacts": {
        "contacts": json.dumps(
            [{"colonyname": "big", "executorname": f"e{n}", "heard": NOW.isoformat()} for n in (1, 2)]
        )
    },
}
"""What runs on connections of its own, with parameters."""

OTHER: dict[str, dict[str, Any]] = {
    "get_process": COLONY | {"processid": "p7"},
    "get_processes_by_id": COLONY | {"processids": [f"p{n}" for n in range(50)]},
    "process_home": {"processid": "p7"},
    "find_waiting_processes": COLONY | FILTERS,
    "find_running_processes": COLONY | FILTERS,
    "find_ended_processes": COLONY | FILTERS | {"state": 2},
    "find_process_history": COLONY
    | {"state": 0, "since": SOON + timedelta(hours=3, minutes=14, seconds=50), "executorid": ""},
    "find_submitted_since": COLONY | RECENT | {"since": SOON + timedelta(hours=4)},
    "find_started_since": COLONY | RECENT | {"since": SOON + timedelta(hours=8, minutes=5)},
    "find_ended_since": COLONY | RECENT | {"since": SOON + timedelta(hours=7, minutes=35)},
    "find_submission": COLONY | {"initiatorid": "initiator", "key": "key7"},
    "set_process_output": COLONY
    | {"processid": "p120001", "executorid": "id1", "attempt": 0, "output": "[]"},
    "cancel_process": COLONY | {"processid": "p7", "now": NOW},
    "remove_process": COLONY | {"processid": "p7"},
    "add_attribute": {
        "attributeid": "x", "attributetype": 1, "key": "k", "value": "v", "targetid": "p120001", "executorid": "id1",
    },
    "get_attribute": {"attributeid": "a11"},
    "add_process_log": {"processid": "p120001", "executorid": "id1", "message": "text", "timestamp": 1},
    "find_process_logs": {"processid": "p7", "since": 0, "count": 100},
    "find_latest_process_logs": {"processid": "p7", "count": 100},
    "find_executor_logs": COLONY | {"executorname": "e1", "since": 0, "count": 100},
    "find_latest_executor_logs": COLONY | {"executorname": "e1", "count": 100},
    "expire_waiting": {"now": SOON, "limit": 50, "errors": "[]"},
    "expire_running": {"now": SOON + timedelta(days=1, hours=9, minutes=25), "limit": 50, "errors": "[]"},
    "lock_running_processes": {"colony": "small"},
    "return_executor_processes": COLONY | {"executorid": "id1"},
    "find_stale_executors": {"before": datetime(2026, 1, 1, 0, 1, tzinfo=UTC), "limit": 100},
    "remove_old_processes": COLONY | {"before": SOON + timedelta(hours=3, minutes=18), "limit": 50},
    "remove_old_logs": COLONY | {"before": 500, "limit": 1000},
    "remove_old_submissions": {"before": SOON, "limit": 1000},
    "remove_old_nonces": {"before": SOON, "limit": 1000},
    "colony_statistics": COLONY,
    "fold_counts": {"limit": 100},
    "oldest_waiting": {},
    "remove_empty_classes": {"before": datetime(2100, 1, 1, tzinfo=UTC), "limit": 1000},
    "remove_classes": {"classids": [1, 2, 3]},
    "find_authority": {"identity": "id7"},
    "find_unsettled": {"limit": 100},
    "find_workflows": COLONY | {"state": 2, "count": 20},
    "get_workflow": COLONY | {"workflowid": "w1"},
    "get_graph": {"workflowid": "w1"},
    "find_labels": {"workflowid": "w1"},
    "find_leaf_outputs": {"workflowid": "w1"},
    "lock_found_workflows": COLONY | {"states": [2], "before": SOON, "limit": 10},
    "put_before": {"workflowid": "w1", "childid": "wp3001", "parentid": "wp1"},
    "hand_over_children": {"workflowid": "w1", "from_parent": "wp3001", "to_parent": "wp1"},
    "cancel_nodes": {"workflowid": "w1", "now": NOW},
    "remove_nodes": {"workflowids": ["w1", "w2"]},
    "remove_dependencies": {"workflowids": ["w1", "w2"]},
}  # fmt: skip
"""What runs on connections of the pool, with parameters."""

COUNTS: dict[str, dict[str, Any]] = {"count_states": {}, "server_statistics": {}}
"""What reads all counters there are."""

GENERIC = "set plan_cache_mode = force_generic_plan"
CUSTOM = "set plan_cache_mode = force_custom_plan"

MOST_PAGES = 2_000
"""For fifty rows that change, or more that are read; `processes` alone is 4,000 pages, each of its indexes hundreds."""

BIG = {"processes", "dependencies", "workflows", "attributes", "logs", "submissions", "nonces"}
"""Tables that grow with the work done."""


WHOLE_COLONY = {"remove_processes", "remove_colony_processes"}
"""What reads all processes of a colony, because it deletes them."""


@pytest.fixture(scope="module")
def filled_dsn(postgres_dsn: str, template_dsn: str) -> str:
    """A database with many processes, of which the planner knows nothing."""
    dsn = copy_database(postgres_dsn, template_dsn)
    with psycopg.connect(dsn, autocommit=True) as connection:
        for table in BIG:
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


@pytest.fixture(scope="module")
def small_dsn(postgres_dsn: str, template_dsn: str) -> str:
    """A database with a few hundred processes, most of them running, of which the planner knows nothing."""
    dsn = copy_database(postgres_dsn, template_dsn)
    with psycopg.connect(dsn, autocommit=True) as connection:
        connection.execute("alter table processes set (autovacuum_enabled = off)")
        for statement in FILL.split(";\n"):
            connection.execute(statement.replace("(1, 150000)", "(120600, 121100)").encode())
    return dsn


@pytest.fixture(scope="module")
def small_analysed_dsn(postgres_dsn: str, small_dsn: str) -> str:
    """The same database after the planner has looked at it."""
    dsn = copy_database(postgres_dsn, small_dsn)
    with psycopg.connect(dsn, autocommit=True) as connection:
        connection.execute("vacuum analyze")
    return dsn


WIDE = """
insert into workflows (workflowid, colonyname, state, initiatorid, initiatorname, submissiontime, size)
values ('wide', 'big', 1, 'initiator', 'alice', now(), 20002);
insert into processes (
    processid, colonyname, classid, state, prioritytime, submissiontime, maxwaittime, maxexectime, maxretries,
    initiatorid, initiatorname, executortype, funcname, label, spec, workflowid, rank, pendingparents, settled
)
select 'x' || n, 'big', case when n > 20000 then -1 else 1 end, case when n <= 5 then 3 else 0 end, n, now(), 0, 0, 0,
       'initiator', 'alice', 'cli', 'echo', '', '{}', 'wide', n, case when n > 20000 then 20000 else 0 end, false
from generate_series(0, 20001) n;
insert into dependencies (workflowid, parentid, childid, nth, rank)
select 'wide', 'x0', 'x' || n, 0, n from generate_series(1, 20000) n;
insert into dependencies (workflowid, parentid, childid, nth, rank)
select 'wide', 'x' || n, 'x20001', n, 20001 from generate_series(1, 20000) n
"""


@pytest.fixture(scope="module")
def wide_dsn(postgres_dsn: str, template_dsn: str) -> str:
    """A database with one workflow in which one waits for all others, at which the planner has looked."""
    dsn = copy_database(postgres_dsn, template_dsn)
    with psycopg.connect(dsn, autocommit=True) as connection:
        connection.execute("insert into colonies (colonyname, colonyid) values ('big', 'owner')")
        for statement in WIDE.split(";\n"):
            connection.execute(statement.encode())
        connection.execute("vacuum analyze")
    return dsn


@pytest.fixture(params=["small_dsn", "small_analysed_dsn"])
def small(request: pytest.FixtureRequest) -> str:
    """The small database, before and after the planner has looked at it."""
    dsn: str = request.getfixturevalue(request.param)
    return dsn


@pytest.fixture(params=["filled_dsn", "analysed_dsn"])
def filled(request: pytest.FixtureRequest) -> str:
    """The database, before and after the planner has looked at it."""
    dsn: str = request.getfixturevalue(request.param)
    return dsn


def require_few_pages(dsn: str, name: str, parameters: dict[str, Any], *, options: str, mode: str) -> None:
    with psycopg.connect(dsn, autocommit=True, options=options) as connection:
        connection.execute(mode.encode())
        prepare(connection, name)
        plan = explain(connection, name, parameters, run=True)
    assert plan.scanned() & BIG == set()
    assert plan.pages() < MOST_PAGES


@pytest.mark.parametrize("name", HOT)
def test_the_hot_path_touches_few_pages(name: str, filled: str) -> None:
    require_few_pages(filled, name, HOT[name], options=database.LANE_OPTIONS, mode=GENERIC)


@pytest.mark.parametrize("mode", [GENERIC, CUSTOM])
@pytest.mark.parametrize("name", OTHER)
def test_other_queries_touch_few_pages(name: str, mode: str, filled: str) -> None:
    require_few_pages(filled, name, OTHER[name], options=database.POOL_OPTIONS, mode=mode)


@pytest.mark.parametrize("name", COUNTS)
def test_counting_does_not_read_processes(name: str, filled: str) -> None:
    with psycopg.connect(filled, autocommit=True, options=database.POOL_OPTIONS) as connection:
        prepare(connection, name)
        plan = explain(connection, name, COUNTS[name], run=True)
    assert "processes" not in {node.get("Relation Name") for node in plan.nodes()}


@pytest.mark.parametrize("name", HOT | OTHER)
def test_a_plan_made_on_empty_tables_goes_by_index(name: str, template_dsn: str) -> None:
    """A server that starts on a new database keeps such plans until the tables are looked at again."""
    options = database.LANE_OPTIONS if name in HOT else database.POOL_OPTIONS
    with psycopg.connect(template_dsn, autocommit=True, options=options) as connection:
        connection.execute(GENERIC)
        prepare(connection, name)
        plan = explain(connection, name, (HOT | OTHER)[name], run=False)
    assert plan.scanned() & BIG == set()


@pytest.mark.parametrize("name", HOT)
def test_a_plan_made_on_small_tables_finds_processes_one_by_one(name: str, small: str) -> None:
    """A server keeps such plans while the tables grow: reading all that runs would look cheap to the planner."""
    with psycopg.connect(small, autocommit=True, options=database.LANE_OPTIONS) as connection:
        prepare(connection, name)
        plan = explain(connection, name, HOT[name], run=False)
    assert plan.read_whole() & BIG == set()
    used = {node.get("Index Name") for node in plan.nodes() if node.get("Relation Name") == "processes"}
    assert used <= {"processes_pkey", "processes_queue", "processes_of_workflow", None}


@pytest.mark.parametrize("name", ["lock_workflows", "settle_processes", "fail_workflows", "start_nodes"])
def test_a_process_of_a_large_workflow_costs_what_one_of_a_small_does(name: str, wide_dsn: str) -> None:
    calls = json.dumps([{"processid": "x9", "processgraphid": "wide"}])
    with psycopg.connect(wide_dsn, autocommit=True, options=database.LANE_OPTIONS) as connection:
        prepare(connection, name)
        plan = explain(
            connection, name, {"processids": ["x7", "x8"], "calls": calls, "now": NOW, "highest": 3}, run=True
        )
    assert plan.read_whole() & BIG == set()
    assert plan.pages() < 100


def test_no_query_about_processes_is_left_out() -> None:
    about = {name for name, text in queries().items() if re.search(r"\b(shown_)?processes\b(?!\s*\()", text)}
    assert about - (HOT | OTHER | COUNTS).keys() - WHOLE_COLONY == set()
