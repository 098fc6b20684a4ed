"""Writes what the documentation says of the messages, from the messages themselves.

python docs/generate.py          write docs/protocol.md
python docs/generate.py --check  fail when it is not up to date
"""

from __future__ import annotations

import sys
import typing
from importlib import import_module
from pathlib import Path
from typing import Any

from kolony.wire.message import Message, payload_type, reply_type

FAMILIES = (
    "server",
    "colonies",
    "executors",
    "users",
    "functions",
    "processes",
    "workflows",
    "assignments",
    "attributes",
    "locations",
    "logs",
    "crons",
    "generators",
    "subscriptions",
)
PAGE = Path(__file__).with_name("protocol.md")
_BEGIN = "<!-- messages: written by `make generate` from the classes in core/kolony/wire -->\n"
_END = "<!-- end of messages -->"


def table() -> str:
    """All messages, a row each."""
    rows = ["| Message | Purpose | Answer |", "| --- | --- | --- |"]
    for family in FAMILIES:
        module = import_module(f"kolony.wire.{family}")
        for kind in vars(module).values():
            if isinstance(kind, type) and issubclass(kind, Message) and kind.__module__ == module.__name__:
                purpose = (kind.__doc__ or "").splitlines()[0].removesuffix(".")
                rows.append(f"| `{payload_type(kind)}` | {purpose} | {_answer(reply_type(kind))} |")
    return "\n".join(rows) + "\n"


def _answer(reply: Any) -> str:
    if reply is None:
        return "`{}`"
    if typing.get_origin(reply) is list:
        return f"list of {_answer(typing.get_args(reply)[0])}"
    kind = typing.get_origin(reply) or reply
    return "the message itself" if issubclass(kind, Message) else str(kind.__name__)


def main() -> None:
    """Write the page, or check it."""
    page = PAGE.read_text()
    before, rest = page.split(_BEGIN)
    _, after = rest.split(_END)
    new = f"{before}{_BEGIN}\n{table()}\n{_END}{after}"
    if "--check" in sys.argv:
        sys.exit(0 if new == page else f"{PAGE.name} is not up to date: run `make generate`")
    PAGE.write_text(new)


if __name__ == "__main__":
    main()
