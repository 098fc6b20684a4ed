"""Amounts of CPU and memory as the protocol writes them.

CPU is text such as ``1000m`` (thousandths of a core) and memory text such as ``10Gi``. The parsers are cached:
a colony asks for the same few amounts again and again.
"""

from __future__ import annotations

import re
from functools import lru_cache

from kolony.errors import BadRequest

_INT64 = 2**63
_MIB = 1024**2
_CPU = re.compile(r"[+-]?[0-9]+", re.ASCII)
_MEMORY = re.compile(r"([+-]?[0-9]+)([A-Za-z]+)", re.ASCII)
_FACTORS: dict[str, int] = {
    **{f"{letter}i{suffix}": 1024**power for power, letter in enumerate("KMGT", 1) for suffix in ("", "B")},
    **{f"{letter}{suffix}": 1000**power for power, letter in enumerate("KMGT", 1) for suffix in ("", "B", "b")},
}


@lru_cache(maxsize=4096)
def parse_cpu(text: str) -> int:
    """Thousandths of a core.

    Text that does not end in ``m`` asks for nothing: clients have always been able to write ``"2"`` without
    limiting where their work runs.

    Raises:
        BadRequest: the text ends in ``m`` but no whole number stands before it.
    """
    if not text.endswith("m"):
        return 0
    if not _CPU.fullmatch(text[:-1]) or not -_INT64 <= (amount := int(text[:-1])) < _INT64:
        raise BadRequest("Error converting CPU to int")
    return amount


def format_cpu(amount: int) -> str:
    """Write thousandths of a core as the protocol does."""
    return f"{amount}m"


@lru_cache(maxsize=4096)
def parse_memory(text: str) -> int:
    """Bytes; empty text is 0. Units ``Ki`` to ``TiB`` are powers of 1024, ``K`` to ``TB`` powers of 1000.

    Raises:
        BadRequest: no whole number, no unit, an unknown unit, or more than 64 bits.
    """
    if not text:
        return 0
    found = _MEMORY.fullmatch(text)
    factor = _FACTORS.get(found[2]) if found else None
    if found is None or factor is None or not -_INT64 <= (amount := int(found[1]) * factor) < _INT64:
        shown = found[1] if found and factor else ""
        raise BadRequest(f'error converting memory to int: strconv.ParseInt: parsing "{shown}": invalid syntax')
    return amount


def format_memory(amount: int) -> str:
    """Write bytes as the protocol does: whole ``Mi``, rounded down."""
    return f"{amount // _MIB}Mi"
