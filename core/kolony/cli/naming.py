"""How commands find what has a name as well as an id."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from kolony.cli.picking import ID_DIGITS, LEAST_DIGITS
from kolony.errors import NotFound

_HEX = frozenset("0123456789abcdef")


def named(text: str, kind: str, listed: Callable[[], Iterable[tuple[str, str]]]) -> str:
    """The id that a text stands for among those that are listed with their names: itself, a name, or first digits.

    Raises:
        NotFound: it stands for none, or for several.
    """
    if len(text) == ID_DIGITS and _HEX.issuperset(text):
        return text
    known = list(listed())
    found = [each for each, name in known if name == text]
    if not found and len(text) >= LEAST_DIGITS:
        found = [each for each, _ in known if each.startswith(text)]
    if len(found) != 1:
        how_many = "more than one" if found else "no"
        raise NotFound(f"{how_many} {kind} has this name, or an id that begins so: {text}")
    return found[0]
