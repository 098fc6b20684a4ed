"""The named queries of ``sql/*.sql``.

A query begins with a line ``-- name: what it does``; further comment lines belong to it. Its parameters are
written ``%(name)s``.
"""

from __future__ import annotations

import re
from functools import cache
from importlib import resources
from typing import LiteralString

_TITLE = re.compile(r"^-- ([a-z_]+): ", re.MULTILINE)


@cache
def queries() -> dict[str, LiteralString]:
    """All named queries; a name that stands twice is an error."""
    found: dict[str, LiteralString] = {}
    for file in sorted(resources.files(__package__).joinpath("sql").iterdir(), key=lambda entry: entry.name):
        parts = _TITLE.split(file.read_text())
        for name, text in zip(parts[1::2], parts[2::2], strict=True):
            if name in found:
                raise ValueError(f"the query {name} is defined twice")
            found[name] = _without_comments(text)
    return found


def _without_comments(text: str) -> LiteralString:
    """The bare statement: a comment may hold a percent sign, and the title line has lost its dashes."""
    lines = text.splitlines()[1:]
    return "\n".join(line.split("-- ")[0].rstrip() for line in lines).strip().rstrip(";")
