"""Migrations that run ahead of the new code only add: the servers of the version before go on with the result."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

FOLDER = Path(__file__).parents[2] / "apiserver" / "kolony_apiserver" / "store" / "migrations"
BEFORE = sorted(FOLDER.glob("*.before.*.sql"))

TERMINATE = "do $$ begin perform pg_terminate_backend(pid) from pg_stat_activity where true; end $$"
ENDS = TERMINATE.split(" where ")[0]


def statements(sql: str) -> list[str]:
    """The statements of a migration, without comments, in lower case and each on one line."""
    plain = re.sub(r"--.*", "", sql).lower()
    plain = re.sub(r"(do \$\$.*?);(\s*end \$\$)", r"\1,\2", plain, flags=re.DOTALL)
    return [" ".join(each.split()) for each in plain.split(";") if each.strip()]


def adds(statement: str, new: set[str]) -> bool:
    """Whether a statement only adds to the schema; with ``new`` tables, which no old server knows, more is allowed."""
    if statement.startswith(("create table ", "create view ", "create index ", ENDS)):
        return True
    if found := re.match(r"(?:insert into|create unique index \w+ on) (\w+)", statement):
        return found[1] in new
    if found := re.match(r"alter table \w+ (.*)", statement):
        return all(map(is_optional, found[1].split(", ")))
    return False


def is_optional(change: str) -> bool:
    """Whether a change of a table adds a column that whoever does not know it may leave out."""
    demands = re.search(r"\b(unique|check|primary|references)\b", change)
    return change.startswith("add column ") and not demands and ("not null" not in change or " default " in change)


def objections(sql: str) -> list[str]:
    """What servers of the version before may not survive."""
    given = statements(sql)
    new = {each.split()[2] for each in given if each.startswith("create table ")}
    found = [each for each in given if not adds(each, new)]
    if any(each.startswith("alter table ") for each in given) and not given[-1].startswith(ENDS):
        found.append("the sessions of old servers, with all they have prepared, are not ended after the last change")
    return found


@pytest.mark.parametrize("path", BEFORE, ids=lambda path: path.name)
def test_what_runs_ahead_of_the_new_code_only_adds(path: Path) -> None:
    assert objections(path.read_text()) == []


def test_migrations_have_one_of_two_kinds() -> None:
    assert [
        path.name for path in FOLDER.iterdir() if not re.fullmatch(r"\d{4}\.(before|after)\.\w+\.sql", path.name)
    ] == []


@pytest.mark.parametrize(
    "statement",
    [
        "drop table users",
        "alter table users drop column name",
        "alter table users rename column name to username",
        "alter table users alter column name type varchar",
        "alter table users alter column phone set not null",
        "alter table users add column age integer not null",
        "alter table users add column a integer default 0, add column age integer not null",
        "alter table users add constraint grown check (age > 17)",
        "create unique index users_names on users (name)",
        "update users set name = ''",
        "insert into users values ('alice')",
        "truncate users",
    ],
)
def test_what_takes_something_away_is_recognised(statement: str) -> None:
    assert objections(f"create table pets (name text not null);\n{statement}; {TERMINATE};") == [statement]


def test_sessions_have_to_be_ended_where_rows_change() -> None:
    added = "alter table users add column age integer not null default 0"
    assert objections(f"{added};") != []
    assert objections(f"{added}; {TERMINATE};") == []
