"""How results are shown: tables for people, the objects of the protocol for programs."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Sequence
from datetime import UTC, datetime
from enum import StrEnum
from typing import TYPE_CHECKING, Annotated, Any, TypeAlias, TypeVar

import msgspec
import typer

from kolony.errors import ConnectionLost, Forbidden, KolonyError
from kolony.model.processes import ProcessState

if TYPE_CHECKING:
    from rich.console import Console

T = TypeVar("T")

Columns: TypeAlias = Sequence[tuple[str, Callable[[T], str]]]
"""Headings, and what each shows of an object."""


STYLES = {
    ProcessState.WAITING: "dim",
    ProcessState.RUNNING: "cyan",
    ProcessState.SUCCESS: "green",
    ProcessState.FAILED: "red",
    ProcessState.CANCELLED: "yellow",
}
"""The colours of states."""


class Output(StrEnum):
    """Forms of a result."""

    TABLE = "table"
    JSON = "json"
    YAML = "yaml"


OutputOption = Annotated[Output, typer.Option("--output", "-o", help="Table for people, json or yaml for programs.")]


def show_list(items: Iterable[T], columns: Columns[T], output: Output) -> None:
    """Show objects, one to a row."""
    items = list(items)
    if output is not Output.TABLE:
        typer.echo(written(items, output))
    else:
        _print_table([heading for heading, _ in columns], [[cell(item) for _, cell in columns] for item in items])


def show_one(item: Any, rows: Iterable[tuple[str, str]], output: Output) -> None:
    """Show one object, a row for each of its properties that says something."""
    if output is not Output.TABLE:
        typer.echo(written(item, output))
    else:
        _print_table([], [[name, text] for name, text in rows if text])


def written(item: Any, output: Output) -> str:
    """The object as JSON or YAML: exactly what the server sent or takes."""
    text = msgspec.json.encode(item)
    if output is Output.YAML:
        import yaml

        return yaml.safe_dump(msgspec.json.decode(text), sort_keys=False, allow_unicode=True).rstrip()
    return msgspec.json.format(text, indent=2).decode()


def compact(value: Any) -> str:
    """A value on one line: text as it is, anything else as JSON."""
    return value if isinstance(value, str) else msgspec.json.encode(value).decode()


def state_name(state: int) -> str:
    """A state of a process, in a word."""
    return ProcessState(state).name.lower()


def moment(time: datetime) -> str:
    """A time in the zone of the reader; nothing for a time that is not set."""
    return time.astimezone().strftime("%Y-%m-%d %H:%M:%S") if is_set(time) else ""


def age(time: datetime, now: datetime | None = None) -> str:
    """How long ago a time was; nothing for a time that is not set."""
    return duration(((now or datetime.now(UTC)) - time).total_seconds()) if is_set(time) else ""


def duration(seconds: float) -> str:
    """A duration in its two largest units: ``0.25s``, ``42s``, ``3m12s``, ``2h5m``, ``4d1h``."""
    seconds = max(seconds, 0.0)
    if seconds < 10:
        return f"{seconds:.2f}s"
    whole = int(seconds)
    for unit, size, lesser, part in (("d", 86_400, "h", 3_600), ("h", 3_600, "m", 60), ("m", 60, "s", 1)):
        if whole >= size:
            rest = whole % size // part
            return f"{whole // size}{unit}{rest}{lesser}" if rest else f"{whole // size}{unit}"
    return f"{whole}s"


def is_set(time: datetime) -> bool:
    """Whether a time is set; the protocol writes one that is not as one in the year 1."""
    return time.year > 1


def explain(error: KolonyError) -> str:
    """One line that says what went wrong and what to do about it."""
    text = " ".join(error.message.split())
    if isinstance(error, ConnectionLost):
        return f"{text}: start one with `kolony dev`, or set COLONIES_SERVER_HOST and COLONIES_SERVER_PORT"
    if isinstance(error, Forbidden):
        return f"{text}: is COLONIES_PRVKEY the key of an approved member of the colony?"
    return text


def complain(error: KolonyError) -> None:
    """Write an error for people."""
    typer.secho(f"error: {explain(error)}", fg="red", err=True)


def console(*, stderr: bool = False) -> Console:
    """Where something is drawn; in a file or a pipe, lines are never cut."""
    from rich.console import Console

    stream = sys.stderr if stderr else sys.stdout
    return Console(stderr=stderr, width=None if stream.isatty() else 100_000, highlight=False)


def _print_table(headings: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    from rich.table import Table
    from rich.text import Text

    shown_on = console()
    table = Table(*headings, box=None, pad_edge=False, show_header=bool(headings), padding=(0, 2, 0, 0))
    for row in rows:
        table.add_row(*(Text(cell, overflow="fold") for cell in row))
    with shown_on.capture() as shown:
        shown_on.print(table)
    for line in shown.get().splitlines():
        typer.echo(line.rstrip())
