"""Shapes of workflows: for each node, by number, the numbers of its parents."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence

Parents = Sequence[Sequence[int]]


def deep(size: int) -> Parents:
    """All in a row."""
    return [[number - 1] if number else [] for number in range(size)]


def wide(size: int) -> Parents:
    """One first, one last, and all others between the two."""
    return [[], *([0] for _ in range(size - 2)), list(range(1, size - 1))]


def scattered(size: int) -> Parents:
    """Up to three parents each, anywhere before it; the same at every call."""
    choice = random.Random(size)
    return [
        sorted({choice.randrange(number) for _ in range(choice.randint(1, 3))}) if number else []
        for number in range(size)
    ]


SHAPES: dict[str, Callable[[int], Parents]] = {"wide": wide, "deep": deep, "random": scattered}
