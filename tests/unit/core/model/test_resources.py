"""Amounts of CPU and memory as the protocol writes them."""

from __future__ import annotations

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kolony.errors import BadRequest
from kolony.model.resources import format_cpu, format_memory, parse_cpu, parse_memory


@pytest.mark.parametrize(
    "text, amount",
    [
        ("1000m", 1000),
        ("0m", 0),
        ("-5m", -5),
        ("+5m", 5),
        # what does not end in m asks for nothing
        ("", 0),
        ("2", 0),
        ("2.5", 0),
        ("1000M", 0),
        ("two", 0),
        ("9223372036854775807m", 2**63 - 1),
    ],
)
def test_cpu(text: str, amount: int) -> None:
    assert parse_cpu(text) == amount


@pytest.mark.parametrize("text", ["m", "1.5m", " 1m", "1 m", "onem", "--1m", "1_000m", "٣m", "9223372036854775808m"])
def test_cpu_that_is_no_number_is_refused(text: str) -> None:
    with pytest.raises(BadRequest, match="Error converting CPU to int"):
        parse_cpu(text)


@pytest.mark.parametrize(
    "text, amount",
    [
        ("", 0),
        ("0Mi", 0),
        ("1Ki", 1024),
        ("1KiB", 1024),
        ("3Mi", 3 * 1024**2),
        ("3MiB", 3 * 1024**2),
        ("10Gi", 10 * 1024**3),
        ("10GiB", 10 * 1024**3),
        ("1TiB", 1024**4),
        ("1Ti", 1024**4),
        ("5K", 5_000),
        ("5M", 5_000_000),
        ("5G", 5 * 10**9),
        ("5T", 5 * 10**12),
        ("5Gb", 5 * 10**9),
        ("5GB", 5 * 10**9),
        ("5KB", 5_000),
        ("5Kb", 5_000),
        ("5MB", 5_000_000),
        ("5Mb", 5_000_000),
        ("5TB", 5 * 10**12),
        ("5Tb", 5 * 10**12),
        ("-1Mi", -(1024**2)),
        ("+1Mi", 1024**2),
    ],
)
def test_memory(text: str, amount: int) -> None:
    assert parse_memory(text) == amount


@pytest.mark.parametrize(
    "text, shown",
    [
        ("1024", ""),
        ("1024B", ""),
        ("1gi", ""),
        ("1mi", ""),
        ("1k", ""),
        ("1.5Gi", ""),
        ("1 Gi", ""),
        (" 1Gi", ""),
        ("Gi", ""),
        ("1Pi", ""),
        ("٣Mi", ""),
        ("9999999999TiB", "9999999999"),
    ],
)
def test_memory_that_cannot_be_read_is_refused(text: str, shown: str) -> None:
    with pytest.raises(BadRequest) as caught:
        parse_memory(text)
    assert caught.value.message == (
        f'error converting memory to int: strconv.ParseInt: parsing "{shown}": invalid syntax'
    )


@pytest.mark.parametrize(
    "text, written", [("10Gi", "10240Mi"), ("10M", "9Mi"), ("500Ki", "0Mi"), ("", "0Mi"), ("10GiB", "10240Mi")]
)
def test_memory_is_written_back_in_whole_mebibytes(text: str, written: str) -> None:
    assert format_memory(parse_memory(text)) == written


@given(st.integers(-(2**63), 2**63 - 1))
def test_cpu_survives_being_written(amount: int) -> None:
    assert parse_cpu(format_cpu(amount)) == amount


@given(st.text(max_size=12))
def test_any_text_is_an_amount_or_refused(text: str) -> None:
    for parse in (parse_cpu, parse_memory):
        with contextlib.suppress(BadRequest):
            assert isinstance(parse(text), int)
