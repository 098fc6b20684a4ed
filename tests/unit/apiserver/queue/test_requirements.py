"""What matching reads: demands that mean the same are equal, whatever they look like."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kolony.errors import BadRequest
from kolony.model.functionspecs import Conditions, Gpu
from kolony_apiserver.queue.requirements import Offer, Requirements, decode, encode, offer_of, requirements_of

NAMES = st.lists(st.sampled_from(["e1", "e2", "e3"]), max_size=4)

REQUIREMENTS = st.builds(
    Requirements,
    st.text(),
    st.lists(st.text(), max_size=3).map(tuple),
    st.text(),
    st.integers(-(2**63), 2**63 - 1),
    st.integers(-(2**63), 2**63 - 1),
)


def test_demands_are_what_matching_looks_at() -> None:
    conditions = Conditions(
        colonyname="dev",
        executortype="cli",
        executornames=["e2", "e1", "e2"],
        locationname="UMEÅ",
        cpu="1500m",
        mem="1Gi",
        storage="1Ti",
        nodes=3,
        processes=4,
        walltime=60,
        dependencies=["parent"],
        gpu=Gpu(name="a100", count=2),
    )
    assert requirements_of(conditions) == Requirements("cli", ("e1", "e2"), "umeå", 1500, 1024**3)


@pytest.mark.parametrize("names", [None, [], ["*"]])
def test_no_names_and_the_star_mean_anyone(names: list[str] | None) -> None:
    assert requirements_of(Conditions(executornames=names)).executornames == ()


def test_a_star_among_names_is_a_name() -> None:
    assert requirements_of(Conditions(executornames=["*", "e1"])).executornames == ("*", "e1")


@given(NAMES, NAMES)
def test_the_order_of_names_does_not_matter(left: list[str], right: list[str]) -> None:
    same = requirements_of(Conditions(executornames=left)) == requirements_of(Conditions(executornames=right))
    assert same == (set(left) == set(right))


@pytest.mark.parametrize(
    ("cpu", "mem", "expected"),
    [
        ("", "", (0, 0)),
        ("2", "10M", (0, 10_000_000)),
        ("0m", "0Mi", (0, 0)),
        ("1000m", "1024Mi", (1000, 1024**3)),
        ("1000m", "1GiB", (1000, 1024**3)),
    ],
)
def test_amounts_are_compared_as_numbers(cpu: str, mem: str, expected: tuple[int, int]) -> None:
    demands = requirements_of(Conditions(cpu=cpu, mem=mem))
    assert (demands.cpu, demands.mem) == expected


def offer(*, location: str = "", cpu: str = "", mem: str = "") -> Offer:
    return offer_of(colonyname="dev", executortype="cli", executorname="e1", location=location, cpu=cpu, mem=mem)


def test_an_offer_without_an_amount_has_no_bound() -> None:
    assert offer() == Offer("dev", "cli", "e1", "", None, None)


def test_an_offer_is_read_as_demands_are() -> None:
    assert offer(location="Umeå", cpu="1500m", mem="1Gi") == Offer("dev", "cli", "e1", "umeå", 1500, 1024**3)
    # An amount without its unit offers nothing, as it demands nothing.
    assert offer(cpu="2").cpu == 0


@pytest.mark.parametrize(("field", "text"), [("cpu", "m"), ("cpu", "1.5m"), ("mem", "1024"), ("mem", "lots")])
def test_an_amount_that_cannot_be_read_is_refused(field: str, text: str) -> None:
    with pytest.raises(BadRequest):
        requirements_of(Conditions(**{field: text}))
    with pytest.raises(BadRequest):
        offer(**{field: text})


@given(REQUIREMENTS, REQUIREMENTS)
def test_demands_are_equal_exactly_when_their_texts_are(left: Requirements, right: Requirements) -> None:
    assert decode(encode(left)) == left
    assert (encode(left) == encode(right)) == (left == right)
