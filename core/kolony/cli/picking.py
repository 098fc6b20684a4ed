"""How commands about processes and workflows pick what they are about: by first digits of an id, and by states."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Annotated

import typer

from kolony.cli.output import state_name
from kolony.errors import NotFound
from kolony.model.processes import ProcessState

MOST_LISTED = 100
"""Most that the server lists of one state."""

SHOWN_DIGITS = 12
"""How many digits of an id people see, if that tells them apart."""

ID_DIGITS = 64
LEAST_DIGITS = 8
"""Fewest first digits that stand for an id: with fewer, a slip of the finger finds another."""

IdArgument = Annotated[str, typer.Argument(metavar="ID", help=f"Its id, or at least the first {LEAST_DIGITS} digits.")]
StateOption = Annotated[list[str] | None, typer.Option("--state", help="Only in this state; may be repeated.")]
CountOption = Annotated[int, typer.Option("--count", min=1, max=MOST_LISTED, help="Most of each state.")]


def distinct_digits(ids: Sequence[str]) -> int:
    """How many first digits tell the ids apart; ids made at the same time begin alike."""
    different = len(set(ids))
    return next(
        digits
        for digits in range(SHOWN_DIGITS, ID_DIGITS + 1)
        if digits == ID_DIGITS or len({each[:digits] for each in ids}) == different
    )


def resolve(text: str, listed: Callable[[ProcessState], Iterable[str]]) -> str:
    """The id that begins with the given digits, among those that are listed of the states."""
    if len(text) >= ID_DIGITS:
        return text
    if len(text) < LEAST_DIGITS:
        raise typer.BadParameter(f"give at least {LEAST_DIGITS} digits of the id")
    found = {each for state in ProcessState for each in listed(state) if each.startswith(text)}
    if len(found) != 1:
        many = "several ids begin" if found else "none of the newest ids begins"
        raise NotFound(f"{many} with {text}: give all {ID_DIGITS} digits of the id")
    return found.pop()


def states(names: list[str] | None) -> list[ProcessState]:
    """The states that are named, or all."""
    try:
        return [ProcessState[name.upper()] for name in names or ()] or list(ProcessState)
    except KeyError as error:
        known = ", ".join(map(state_name, ProcessState))
        raise typer.BadParameter(f"{error.args[0].lower()} is no state: {known}") from None
