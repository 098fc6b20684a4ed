"""A short run of the chaos: each fault often enough, enough calls, and nothing broken."""

from __future__ import annotations

import os

from chaos.run import Plan, run


def test_nothing_is_lost_or_done_twice_whatever_fails() -> None:
    seed = os.environ.get("CHAOS_SEED")
    report = run(Plan() if seed is None else Plan(seed=int(seed)))
    print("\n".join(report.lines()))
    assert report.is_clean
    assert report.counts
