"""Figures of a benchmark, what they are compared with, and how they are shown."""

from __future__ import annotations

import json
import statistics
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

PRODUCT, FLOOR, RAW = "product", "floor", "raw"

_HEADINGS = ("row", "figure", PRODUCT, FLOOR, RAW, "vs floor", "vs raw", "target", "met", "note")
_RIGHT = {PRODUCT, FLOOR, RAW, "vs floor", "vs raw"}

HANDOFF_SAMPLES = 2_000

LEGEND = (
    "Values are medians of the rounds. `floor` is the shortest honest server, `raw` is PostgreSQL alone on the same "
    "instance. `vs` is the product's speed as a multiple of the other's, so more than 1 is faster, for times too."
)


@dataclass(frozen=True, kw_only=True)
class Figure:
    """One measured quantity: its samples for each target, and what the product is asked for."""

    row: str
    name: str
    unit: str
    samples: Mapping[str, Sequence[float]]
    more_is_better: bool = True
    bound: float | None = None
    """What the product has to reach, or not to exceed."""

    of_floor: float | None = None
    """Least speed of the product as a multiple of the floor's, where the floor was measured."""

    comparable: bool = True
    """Whether the ratio to other targets says anything."""

    note: str = ""

    def value(self, target: str) -> float | None:
        """The median for a target; `None` when it was not measured."""
        samples = self.samples.get(target)
        return statistics.median(samples) if samples else None

    def speed(self, target: str) -> float | None:
        """The product's speed as a multiple of the target's."""
        ours, theirs = self.value(PRODUCT), self.value(target)
        if not self.comparable or not ours or not theirs:
            return None
        return ours / theirs if self.more_is_better else theirs / ours

    @property
    def target(self) -> str:
        """What is asked of the product, in words; empty when nothing is."""
        asked = []
        if self.bound is not None:
            asked.append(f"{'>=' if self.more_is_better else '<='} {_number(self.bound)}{self.unit}")
        if self.of_floor is not None and self.value(FLOOR) is not None:
            asked.append(f">= {self.of_floor} of floor")
        return ", ".join(asked)

    @property
    def met(self) -> bool | None:
        """Whether the product does what is asked of it; `None` when nothing is."""
        ours, of_floor = self.value(PRODUCT), self.speed(FLOOR)
        verdicts = []
        if self.bound is not None and ours is not None:
            verdicts.append(ours >= self.bound if self.more_is_better else ours <= self.bound)
        if self.of_floor is not None and of_floor is not None:
            verdicts.append(of_floor >= self.of_floor)
        return all(verdicts) if verdicts else None


def percentile(samples: Sequence[float], share: float) -> float:
    """The smallest sample that at least this share of the samples does not exceed."""
    ordered = sorted(samples)
    return ordered[min(len(ordered) - 1, int(len(ordered) * share))]


def handoff_figures(
    row: str,
    seconds: Mapping[str, Sequence[Sequence[float]]],
    *,
    p50: float,
    p99: float | None = None,
    of_floor: float | None = None,
) -> list[Figure]:
    """Half and nearly all of the hand-offs of all rounds take no longer; with bounds in milliseconds."""
    pooled = {target: [value for round_ in rounds for value in round_] for target, rounds in seconds.items()}
    count = len(next(iter(pooled.values())))
    note = f"{count:,} samples" + ("" if count >= HANDOFF_SAMPLES else f", fewer than {HANDOFF_SAMPLES:,}")

    def figure(name: str, share: float, bound: float | None, of_floor: float | None) -> Figure:
        values = {target: [1000 * percentile(samples, share)] for target, samples in pooled.items()}
        return Figure(
            row=row,
            name=name,
            unit=" ms",
            samples=values,
            more_is_better=False,
            bound=bound,
            of_floor=of_floor,
            note=note,
        )

    return [figure("p50", 0.5, p50, of_floor), figure("p99", 0.99, p99, None)]


def table(figures: Iterable[Figure]) -> str:
    """The figures as a Markdown table that reads well as plain text too."""
    rows = [_HEADINGS, *(_cells(figure) for figure in figures)]
    widths = [max(len(row[column]) for row in rows) for column in range(len(_HEADINGS))]
    rule = [
        "-" * (width - 1) + (":" if heading in _RIGHT else "-")
        for width, heading in zip(widths, _HEADINGS, strict=True)
    ]
    lines = [_line(rows[0], widths), _line(rule, widths), *(_line(row, widths) for row in rows[1:])]
    return "\n".join(lines)


def json_line(figure: Figure) -> str:
    """A figure as one line of JSON, with all samples."""
    content: dict[str, Any] = {"row": figure.row, "figure": figure.name, "unit": figure.unit}
    content |= {target: figure.value(target) for target in (PRODUCT, FLOOR, RAW)}
    content |= {"vs_floor": figure.speed(FLOOR), "vs_raw": figure.speed(RAW)}
    content |= {"target": figure.target, "met": figure.met, "note": figure.note}
    return json.dumps(content | {"samples": dict(figure.samples)})


def _cells(figure: Figure) -> tuple[str, ...]:
    values = [figure.value(target) for target in (PRODUCT, FLOOR, RAW)]
    speeds = [figure.speed(target) for target in (FLOOR, RAW)]
    return (
        figure.row,
        figure.name,
        *("" if value is None else f"{_number(value)}{figure.unit}" for value in values),
        *("" if speed is None else f"{speed:.2f}" for speed in speeds),
        figure.target,
        {True: "yes", False: "NO", None: ""}[figure.met],
        figure.note,
    )


def _line(cells: Sequence[str], widths: Sequence[int]) -> str:
    aligned = (
        cell.rjust(width) if heading in _RIGHT else cell.ljust(width)
        for cell, width, heading in zip(cells, widths, _HEADINGS, strict=True)
    )
    return f"| {' | '.join(aligned)} |"


def _number(value: float) -> str:
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}"
