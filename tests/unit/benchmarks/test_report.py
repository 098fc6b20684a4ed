"""Figures say who is faster, and whether a target is met, for rates and for times alike."""

import json

import pytest
from report import FLOOR, PRODUCT, RAW, Figure, json_line, percentile, table


def rate(product: float, floor: float | None = None) -> Figure:
    samples = {PRODUCT: [product - 1, product, product + 50], RAW: [4 * product]}
    if floor is not None:
        samples[FLOOR] = [floor]
    return Figure(row="submit", name="rate", unit="/s", samples=samples, bound=2_500, of_floor=0.85)


def time(product: float) -> Figure:
    return Figure(
        row="handoff",
        name="p50",
        unit=" ms",
        samples={PRODUCT: [product], FLOOR: [3.0]},
        more_is_better=False,
        bound=3.5,
        of_floor=0.85,
    )


def test_value_is_the_median() -> None:
    assert rate(3_000).value(PRODUCT) == 3_000
    assert rate(3_000).value(FLOOR) is None


def test_speed_of_a_rate_and_of_a_time() -> None:
    assert rate(3_000, 2_000).speed(FLOOR) == 1.5
    assert rate(3_000).speed(RAW) == 0.25
    assert time(2.0).speed(FLOOR) == 1.5


@pytest.mark.parametrize(
    ("figure", "met"),
    [
        (rate(2_500), True),
        (rate(2_499), False),
        (rate(2_600, 3_000), True),
        (rate(2_600, 3_200), False),
        (time(3.5), True),
        (time(3.6), False),
        (Figure(row="signatures", name="recovery", unit=" µs", samples={PRODUCT: [50]}), None),
    ],
)
def test_target(figure: Figure, met: bool | None) -> None:
    assert figure.met is met


def test_floor_is_no_target_where_it_is_absent() -> None:
    assert rate(2_500).target == ">= 2,500/s"
    assert rate(2_500, 1_000).target == ">= 2,500/s, >= 0.85 of floor"


def test_percentile() -> None:
    assert percentile([5, 1, 4, 2, 3], 0.5) == 3
    assert percentile([1], 0.99) == 1


def test_table_has_a_line_for_each_figure() -> None:
    heading, rule, line = table([rate(2_600, 3_200)]).splitlines()

    assert heading.index("floor") > 0
    assert set(rule) == set("|-: ")
    assert [cell.strip() for cell in line.split("|")[1:-1]] == [
        "submit",
        "rate",
        "2,600/s",
        "3,200/s",
        "10,400/s",
        "0.81",
        "0.25",
        ">= 2,500/s, >= 0.85 of floor",
        "NO",
        "",
    ]


def test_json_line_keeps_the_samples() -> None:
    content = json.loads(json_line(time(2.0)))

    assert (content["product"], content["vs_floor"], content["met"]) == (2.0, 1.5, True)
    assert content["samples"] == {PRODUCT: [2.0], FLOOR: [3.0]}
