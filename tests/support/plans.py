"""How PostgreSQL runs named queries: their plans, and the pages they touch."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import psycopg
from psycopg import sql

from kolony_apiserver.store.queries import queries

_PARAMETER = re.compile(r"%\((\w+)\)s")


def numbered(query: str) -> tuple[str, list[str]]:
    """A named query as ``prepare`` takes it, and the names of its parameters in their order."""
    names = list(dict.fromkeys(_PARAMETER.findall(query)))
    return _PARAMETER.sub(lambda found: f"${names.index(found[1]) + 1}", query).replace("%%", "%"), names


def prepare(connection: psycopg.Connection[Any], name: str) -> None:
    """Prepare a named query under its name, with the types that the driver gives where PostgreSQL would guess."""
    text, names = numbered(queries()[name])
    types = ", ".join("timestamptz" if each == "now" else "unknown" for each in names)
    connection.execute(f"prepare {name} {f'({types})' if names else ''} as {text}".encode())


def explain(connection: psycopg.Connection[Any], name: str, parameters: dict[str, Any], *, run: bool) -> Plan:
    """The plan of a prepared query; with ``run`` it is carried out and undone, to see what it touches."""
    _, names = numbered(queries()[name])
    arguments = sql.SQL(", ").join(sql.Literal(parameters[each]) for each in names)
    options = sql.SQL("analyze, buffers, timing off, format json" if run else "format json")
    call = sql.SQL("({})").format(arguments) if names else sql.SQL("")
    statement = sql.SQL("explain ({}) execute {}{}").format(options, sql.Identifier(name), call)
    with connection.transaction(force_rollback=True):
        row = connection.execute(statement).fetchone()
    assert row is not None
    return Plan(row[0][0])


class Plan:
    """One plan."""

    def __init__(self, explained: dict[str, Any]) -> None:
        self.explained = explained

    def nodes(self) -> Iterator[dict[str, Any]]:
        """All nodes of the plan."""
        waiting = [self.explained["Plan"]]
        while waiting:
            node = waiting.pop()
            yield node
            waiting += node.get("Plans", [])

    def scanned(self) -> set[str]:
        """The tables that are read from end to end."""
        return {node["Relation Name"] for node in self.nodes() if node["Node Type"] == "Seq Scan"}

    def read_whole(self) -> set[str]:
        """The tables of which an index is read from end to end."""
        scans = [node for node in self.nodes() if node["Node Type"] in ("Index Scan", "Index Only Scan")]
        return {node["Relation Name"] for node in scans if "Index Cond" not in node}

    def indexes(self) -> set[str]:
        """The indexes that are used."""
        return {node["Index Name"] for node in self.nodes() if "Index Name" in node}

    def pages(self) -> int:
        """The pages touched."""
        root = self.explained["Plan"]
        return int(root["Shared Hit Blocks"] + root["Shared Read Blocks"])
