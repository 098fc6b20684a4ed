"""SQL lives in files, under names, and each name is used in one place."""

from __future__ import annotations

import ast
import re
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SERVER = ROOT / "apiserver" / "kolony_apiserver"
SOURCES = [*(ROOT / "core").rglob("*.py"), *(ROOT / "apiserver").rglob("*.py")]

STATEMENT = re.compile(
    r"""\s*(
        select\s | insert\s+into\s | update\s+\S+\s+set\s | delete\s+from\s | merge\s+into\s
        | with\s+(recursive\s+)?\w+\s*(\([^)]*\)\s*)?as\s
        | (create|alter|drop)\s+(unique\s+)?(table|index|view|type|schema|sequence|function|database|role)\s
        | truncate\s | lock\s+table\s | copy\s+\S+.*\s(from|to)\s | (un)?listen\s+\w+$ | notify\s+\w+
    )""",
    re.IGNORECASE | re.VERBOSE,
)


def texts(path: Path) -> Iterator[tuple[int, str]]:
    """The string literals of a module without its docstrings, which are sentences of any kind."""
    tree = ast.parse(path.read_text())
    sentences = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr)}
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in sentences:
            yield node.lineno, node.value


def test_no_statement_stands_in_the_code() -> None:
    found = [
        f"{path.relative_to(ROOT)}:{line}: {text[:60]}"
        for path in SOURCES
        for line, text in texts(path)
        if STATEMENT.match(text)
    ]
    assert found == []


def test_every_query_has_one_caller() -> None:
    names = [
        name
        for file in (SERVER / "store" / "sql").glob("*.sql")
        for name in re.findall(r"^-- ([a-z_]+): ", file.read_text(), re.MULTILINE)
    ]
    callers = Counter(text for path in SERVER.rglob("*.py") for _, text in texts(path))
    assert {name: callers[name] for name in names if callers[name] != 1} == {}


@pytest.mark.parametrize(
    "text",
    [
        "SELECT 1",
        "\n  insert into logs values (1)",
        "update executors set state = 1",
        "with heads as (select 1) select 2",
        "with recursive tree(id) as (select 1) select 2",
        "create unique index on logs (ts)",
        "listen wakeups",
    ],
)
def test_statements_are_recognised(text: str) -> None:
    assert STATEMENT.match(text)


@pytest.mark.parametrize(
    "text", ["update the executor", "with the colony's key", "deleted", "create a key", "selected"]
)
def test_sentences_are_not_taken_for_statements(text: str) -> None:
    assert not STATEMENT.match(text)
