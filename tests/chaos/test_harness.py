"""The harness is proven: where a server lacks one of its safeguards, the counter of the invariant rises."""

from __future__ import annotations

from dataclasses import replace

import pytest
from chaos.record import Invariant
from chaos.run import Plan, run

SMALL = Plan(rounds=0, calls=0, faults=(), servers=2, submitters=4, slots=20, intruders=0, drain=4)


@pytest.mark.parametrize(
    ("plan", "invariant"),
    [
        pytest.param(
            replace(SMALL, sabotaged="fence", faults=("hold_leader",), rounds=3), Invariant.OLD_TERM, id="fence"
        ),
        pytest.param(
            replace(SMALL, sabotaged="attempt", only="single", executors=1, late=0.3, seconds=9),
            Invariant.STALE_CLOSE,
            id="attempt",
        ),
        pytest.param(
            replace(SMALL, sabotaged="idempotency", only="single", commit_pause=0.2, seconds=6),
            Invariant.DOUBLED,
            id="idempotency key",
        ),
    ],
)
def test_a_safeguard_that_is_missing_is_noticed(plan: Plan, invariant: Invariant) -> None:
    report = run(plan)
    assert report.broken(invariant) > 0, report.lines()
