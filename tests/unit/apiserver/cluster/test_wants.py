"""What servers want to hear of, and for how long."""

from __future__ import annotations

from kolony_apiserver.cluster.wants import KEPT_FOR, Demand, Interest

WORK, OTHER = ("dev", "cli"), ("dev", "gpu")


def test_what_is_wanted_anew_is_news_once() -> None:
    interest: Interest[tuple[str, str]] = Interest()
    assert interest.add(WORK, 0)
    assert not interest.add(WORK, 1)
    assert interest.add(OTHER, 1)


def test_what_nobody_wants_any_more_is_kept_for_a_while() -> None:
    interest: Interest[tuple[str, str]] = Interest()
    interest.add(WORK, 0)
    assert interest.renew([OTHER], 1) == {WORK, OTHER}
    assert interest.renew([], KEPT_FOR) == {OTHER}
    assert interest.renew([], KEPT_FOR + 1) == set()
    assert interest.add(WORK, KEPT_FOR + 1)


def test_what_is_still_wanted_stays() -> None:
    interest: Interest[tuple[str, str]] = Interest()
    assert all(interest.renew([WORK], now) == {WORK} for now in range(20))
    assert not interest.add(WORK, 20)


def test_a_demand_is_what_anybody_wants() -> None:
    demand: Demand[tuple[str, str]] = Demand()
    assert WORK not in demand
    demand.learn([frozenset([WORK]), frozenset()])
    assert WORK in demand
    assert OTHER not in demand
    demand.learn([frozenset([WORK]), None])
    assert OTHER in demand
    demand.learn([])
    assert WORK not in demand
