"""Requirement classes come with the processes that need them, and go when nothing waits or runs in them."""

from __future__ import annotations

from collections.abc import Iterator

import psycopg
import pytest
from clocked import ClockedServer
from colonies import Colony, create_database


@pytest.fixture(scope="module")
def clocked(postgres_dsn: str) -> Iterator[ClockedServer]:
    with ClockedServer(create_database(postgres_dsn)) as server:
        yield server


def classes(colony: Colony) -> int:
    with psycopg.connect(colony.server.dsn) as connection:
        row = connection.execute("select count(*) from classes where colonyname = %s", [colony.name]).fetchone()
    assert row is not None
    return int(row[0])


def test_a_class_that_was_deleted_as_empty_is_made_anew(clocked: ClockedServer) -> None:
    colony = clocked.colony()
    executor = colony.add_executor("e1")
    for _ in range(3):
        process = colony.submit()
        assert classes(colony) == 1
        assert colony.assign(executor)["processid"] == process["processid"]
        clocked.apply_retention(after=3600)
        assert classes(colony) == 1, "a process runs in it, which may have to return"
        colony.rpc.ok("closesuccessfulmsg", executor, processid=process["processid"])
        clocked.apply_retention(after=3600)
        assert classes(colony) == 0
        clocked.fold_counts()
    statistics = colony.rpc.ok("getcolonystatsmsg", colony.user_key, colonyname=colony.name)
    assert (statistics["waitingprocesses"], statistics["runningprocesses"]) == (0, 0)
    assert statistics["successfulprocesses"] == 3
