"""The index of requirement classes, against a matcher that compares everything with everything."""

from __future__ import annotations

import random
import time
from collections.abc import Iterable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from kolony_apiserver.queue.classes import MAX_VIEWS, ClassIndex, RequirementClass, best, members
from kolony_apiserver.queue.requirements import Offer, Requirements

COLONIES = st.sampled_from(["dev", "other"])
TYPES = st.sampled_from(["cli", "gpu", ""])
NAMES = st.sampled_from(["e1", "e2", "e3"])
LOCATIONS = st.sampled_from(["", "umeå", "lund"])
AMOUNTS = st.sampled_from([0, 1, 500, 1000, 2**40])
HEADS = st.integers(-5, 40)

REQUIREMENTS = st.builds(
    Requirements,
    TYPES,
    st.lists(NAMES, unique=True, max_size=3).map(sorted).map(tuple),
    LOCATIONS,
    AMOUNTS,
    AMOUNTS,
)
OFFERS = st.builds(Offer, COLONIES, TYPES, NAMES, LOCATIONS, st.none() | AMOUNTS, st.none() | AMOUNTS)


def needs(
    executortype: str = "cli", *, names: Iterable[str] = (), location: str = "", cpu: int = 0, mem: int = 0
) -> Requirements:
    return Requirements(executortype, tuple(names), location, cpu, mem)


def offer(
    executortype: str = "cli",
    *,
    colony: str = "dev",
    name: str = "e1",
    location: str = "",
    cpu: int | None = None,
    mem: int | None = None,
) -> Offer:
    return Offer(colony, executortype, name, location, cpu, mem)


def matches(offered: Offer, colony: str, demands: Requirements) -> bool:
    """The rules of matching as the protocol lists them."""
    return (
        colony == offered.colonyname
        and demands.executortype == offered.executortype
        and (not demands.executornames or offered.executorname in demands.executornames)
        and (not demands.location or demands.location == offered.location)
        and (offered.cpu is None or demands.cpu <= offered.cpu)
        and (offered.mem is None or demands.mem <= offered.mem)
    )


def found(index: ClassIndex, offered: Offer, count: int = 100) -> list[int]:
    """The ids of the classes that the index gives for an offer, those first whose head is smallest."""
    return [each.classid for each in best(index.views(offered), count)]


def reached(index: ClassIndex, offered: Offer) -> set[int]:
    """The ids of all classes that an offer can take from, whether something waits there or not."""
    return {each.classid for each in members(index.views(offered), start=0, count=10**9)}


class AgainstNaiveMatcher(RuleBasedStateMachine):
    """Any sequence of changes leaves an index that answers as a plain search through all classes does."""

    def __init__(self) -> None:
        super().__init__()
        self.index = ClassIndex()
        self.demands: dict[int, tuple[str, Requirements]] = {}
        self.heads: dict[int, int | None] = {}
        self.arrived: dict[int, int | None] = {}
        self.last = 0

    def a_class(self, data: st.DataObject) -> int:
        return data.draw(st.sampled_from(sorted(self.demands)))

    @rule(colony=COLONIES, demands=REQUIREMENTS)
    def learn(self, colony: str, demands: Requirements) -> None:
        if (colony, demands) not in self.demands.values():
            self.last += 1
            self.index.add(self.last, colony, demands)
            self.demands[self.last] = (colony, demands)
            self.heads[self.last] = self.arrived[self.last] = None

    @precondition(lambda self: self.demands)
    @rule(data=st.data(), prioritytime=HEADS)
    def arrive(self, data: st.DataObject, prioritytime: int) -> None:
        classid = self.a_class(data)
        self.index.arrived(classid, prioritytime)
        self.heads[classid] = smallest(self.heads[classid], prioritytime)
        self.arrived[classid] = smallest(self.arrived[classid], prioritytime)

    @precondition(lambda self: self.demands)
    @rule(data=st.data())
    def begin_to_look(self, data: st.DataObject) -> None:
        classid = self.a_class(data)
        self.known(classid).look()
        self.arrived[classid] = None

    @precondition(lambda self: self.demands)
    @rule(data=st.data(), head=st.none() | HEADS)
    def see(self, data: st.DataObject, head: int | None) -> None:
        classid = self.a_class(data)
        before = self.heads[classid]
        # What arrived since the look began may not be in what it saw.
        self.heads[classid] = smallest(head, self.arrived[classid])
        assert self.index.seen(self.known(classid), head) == (self.heads[classid] != before)

    @precondition(lambda self: self.demands)
    @rule(data=st.data())
    def forget(self, data: st.DataObject) -> None:
        classid = self.a_class(data)
        self.index.remove(classid)
        self.drop(classid)

    @rule(colony=COLONIES)
    def forget_colony(self, colony: str) -> None:
        self.index.remove_colony(colony)
        for classid in [classid for classid, (name, _) in self.demands.items() if name == colony]:
            self.drop(classid)

    @rule(offered=OFFERS, count=st.integers(1, 5))
    def ask(self, offered: Offer, count: int) -> None:
        fitting = {classid for classid, (colony, demands) in self.demands.items() if matches(offered, colony, demands)}
        heads = sorted(head for classid in fitting if (head := self.heads[classid]) is not None)
        given_ids = found(self.index, offered, count)
        assert [self.heads[classid] for classid in given_ids] == heads[:count]
        assert len(set(given_ids)) == len(given_ids)
        assert set(given_ids) <= fitting
        assert reached(self.index, offered) == fitting

    @invariant()
    def knows_its_classes(self) -> None:
        assert len(self.index) == len(self.demands)
        for classid, (colony, demands) in self.demands.items():
            assert self.index.classid(colony, demands) == classid
            assert self.known(classid).head == self.heads[classid]

    def known(self, classid: int) -> RequirementClass:
        each = self.index.get(classid)
        assert each is not None
        return each

    def drop(self, classid: int) -> None:
        del self.demands[classid], self.heads[classid], self.arrived[classid]


def smallest(*values: int | None) -> int | None:
    return min((value for value in values if value is not None), default=None)


TestAgainstNaiveMatcher = AgainstNaiveMatcher.TestCase
TestAgainstNaiveMatcher.settings = settings(max_examples=60, stateful_step_count=40, deadline=None)


@given(OFFERS, COLONIES, REQUIREMENTS)
def test_a_class_is_found_by_exactly_those_who_can_take_it(offered: Offer, colony: str, demands: Requirements) -> None:
    index = ClassIndex()
    index.add(1, colony, demands)
    index.arrived(1, 7)
    assert found(index, offered) == ([1] if matches(offered, colony, demands) else [])


def test_the_smallest_head_comes_first() -> None:
    index = ClassIndex()
    for classid, head in enumerate((30, 10, 20), start=1):
        index.add(classid, "dev", needs(cpu=classid))
        index.arrived(classid, head)
    assert found(index, offer()) == [2, 3, 1]
    assert found(index, offer(), 2) == [2, 3]
    assert found(index, offer(cpu=1)) == [1]
    # Asking takes nothing away.
    assert found(index, offer()) == [2, 3, 1]


def test_classes_of_several_shelves_come_in_one_order() -> None:
    index = ClassIndex()
    demands = [needs(), needs(names=["e1"]), needs(location="lund"), needs(names=["e1", "e2"], location="lund")]
    for classid, each in enumerate(demands, start=1):
        index.add(classid, "dev", each)
        index.arrived(classid, 100 - classid)
    assert found(index, offer(location="lund")) == [4, 3, 2, 1]
    assert found(index, offer(name="e2", location="lund")) == [4, 3, 1]
    assert found(index, offer()) == [2, 1]
    assert found(index, offer(location="umeå")) == [2, 1]


def test_a_class_for_several_names_is_given_once() -> None:
    index = ClassIndex()
    index.add(1, "dev", needs(names=["e1", "e2", "e3"]))
    index.arrived(1, 1)
    assert found(index, offer(name="e2")) == [1]
    index.remove(1)
    for name in ("e1", "e2", "e3"):
        assert reached(index, offer(name=name)) == set()


def test_offers_that_can_take_the_same_share_their_views() -> None:
    index = ClassIndex()
    index.add(1, "dev", needs())
    index.add(2, "dev", needs(names=["e2"]))
    assert index.views(offer(name="e1")) == index.views(offer(name="e3"))
    assert index.views(offer(name="e1")) != index.views(offer(name="e2"))
    assert index.views(offer(cpu=1)) != index.views(offer(cpu=2))
    assert index.views(offer("gpu")) == ()


def test_what_arrives_while_the_database_is_looked_at_is_not_lost() -> None:
    index = ClassIndex()
    each = index.add(1, "dev", needs())
    index.arrived(1, 50)
    each.look()
    index.arrived(1, 70)
    assert index.seen(each, None)
    assert (each.head, found(index, offer())) == (70, [1])
    # The next look begins after that arrival, and what it sees holds.
    each.look()
    assert index.seen(each, None)
    assert (each.head, found(index, offer())) == (None, [])


def test_it_is_known_how_many_wait_as_long_as_all_were_seen_to_come() -> None:
    index = ClassIndex()
    each = index.add(1, "dev", needs())
    assert each.waiting == 0
    for prioritytime in (3, 1, 2):
        index.arrived(1, prioritytime)
    assert (each.waiting, each.head) == (3, 1)
    each.look()
    index.seen(each, 5)
    assert each.waiting is None
    each.look()
    index.arrived(1, 9)
    index.seen(each, None)
    assert (each.waiting, each.head) == (1, 9)


def test_an_arrival_in_an_unknown_class_is_left_to_the_next_look() -> None:
    index = ClassIndex()
    index.arrived(1, 5)
    assert len(index) == 0


def test_a_class_that_is_known_stays_as_it_is() -> None:
    index = ClassIndex()
    each = index.add(1, "dev", needs())
    index.arrived(1, 5)
    assert index.add(1, "dev", needs()) is each
    assert found(index, offer()) == [1]


def test_a_class_that_was_made_anew_under_another_id_replaces_the_old_one() -> None:
    index = ClassIndex()
    for classid in (1, 2):
        index.add(classid, "dev", needs())
    assert index.classid("dev", needs()) == 2
    # The old one is forgotten when the server learns that it is gone; the new one stays.
    index.remove(1)
    assert index.classid("dev", needs()) == 2
    index.remove(2)
    assert index.classid("dev", needs()) is None
    # In the other order as well.
    for classid in (3, 4):
        index.add(classid, "dev", needs())
    index.remove_colony("dev")
    assert (index.classid("dev", needs()), len(index)) == (None, 0)


def test_a_colony_is_forgotten_with_all_its_classes() -> None:
    index = ClassIndex()
    for classid, (colony, names) in enumerate([("dev", []), ("dev", ["e1"]), ("other", [])], start=1):
        index.add(classid, colony, needs(names=names))
        index.arrived(classid, classid)
    assert index.waiting_in("dev") == [1, 2]
    index.remove_colony("dev")
    assert index.waiting_in("dev") == []
    assert (reached(index, offer()), found(index, offer(colony="other"))) == (set(), [3])


def test_members_can_be_read_in_portions() -> None:
    index = ClassIndex()
    for classid in range(1, 11):
        index.add(classid, "dev", needs(cpu=classid, names=["e1"] * (classid % 2)))
    views = index.views(offer())
    portions = [[each.classid for each in members(views, start=start, count=4)] for start in (0, 4, 8, 12)]
    assert [len(portion) for portion in portions] == [4, 4, 2, 0]
    assert sorted(classid for portion in portions for classid in portion) == list(range(1, 11))


def test_heads_that_move_do_not_pile_up() -> None:
    index = ClassIndex()
    each = index.add(1, "dev", needs())
    (view,) = index.views(offer())
    for head in range(20_000):
        each.look()
        index.seen(each, head)
    assert len(view._heap) < 1_000
    assert found(index, offer()) == [1]


def test_bounds_that_nobody_offers_any_more_do_not_pile_up() -> None:
    index = ClassIndex()
    each = index.add(1, "dev", needs(mem=500))
    index.arrived(1, 7)
    for mem in range(1_000):
        assert found(index, offer(mem=mem)) == ([1] if mem >= 500 else [])
        assert found(index, offer(mem=600)) == [1]
    assert len(each.shelves[0].views) == MAX_VIEWS
    # The one that is used all the time is still the same.
    assert index.views(offer(mem=600)) == index.views(offer(mem=600))
    assert found(index, offer(mem=1)) == []


@pytest.fixture(scope="module")
def large() -> ClassIndex:
    """100,000 classes in which something waits, on 1,000 shelves; few fit any one offer."""
    chance = random.Random(1)
    index = ClassIndex()
    for classid in range(100_000):
        names = [f"e{classid % 500}"] if classid % 2 else []
        index.add(classid, "dev", needs(names=names, cpu=classid // 10, mem=classid % 97))
        index.arrived(classid, chance.randrange(10**9))
    return index


def test_many_classes_do_not_slow_it(large: ClassIndex) -> None:
    offers = [offer(name=f"e{number % 500}", cpu=number % 7 * 1000) for number in range(2_000)]
    for each in offers:
        found(large, each, 1)  # the views are made on first use
    began = time.perf_counter()
    for number, each in enumerate(offers):
        (head,) = best(large.views(each), 1)
        head.look()
        large.seen(head, 10**9 + number)
        large.arrived(head.classid, number)
    assert (time.perf_counter() - began) / len(offers) < 0.002


def test_many_classes_are_answered_rightly(large: ClassIndex) -> None:
    offered = offer(name="e7", cpu=300, mem=50)
    fitting = [
        each
        for classid in range(100_000)
        if (each := large.get(classid)) and matches(offered, "dev", each.requirements) and each.head is not None
    ]
    expected = sorted(each.head for each in fitting if each.head is not None)[:20]
    assert [each.head for each in best(large.views(offered), 20)] == expected
