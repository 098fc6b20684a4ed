"""The requirement classes in memory, arranged so that the best of them for an offer are found at once.

Classes lie in *shelves*: one per colony, executor type, executor name (or anyone) and location (or anywhere), so
an offer looks at four shelves at the most. On a shelf, each pair of bounds on CPU and memory that was ever offered
has a *view*: a heap of the classes that fit the bounds, by the prioritytime of what waits first in them.

``head`` of a class is a hint. It is exact as far as this server knows; other servers submit and claim as well, so
a probe of the database corrects it every second.
"""

from __future__ import annotations

import heapq
from collections.abc import Iterable, Iterator
from itertools import islice

from kolony_apiserver.queue.requirements import Offer, Requirements

Bounds = tuple[int | None, int | None]
ShelfKey = tuple[str, str, str | None, str]
"""Colony, executor type, executor name or `None` for anyone, location or empty for anywhere."""

MAX_VIEWS = 32
"""Most views of a shelf; of executors that offer another amount with each call, the older views are dropped."""

_SLACK = 64
"""Outdated entries that a heap may have whatever its size."""


class RequirementClass:
    """One class: its demands, and what waits in it.

    ``head`` is the smallest prioritytime that waits (`None`: nothing does), ``waiting`` how many processes do (`None`:
    some). ``arrived`` and ``arrivals`` are the same for what came since the last look at the database began.
    """

    __slots__ = ("arrivals", "arrived", "classid", "colonyname", "head", "requirements", "shelves", "waiting")

    def __init__(self, classid: int, colonyname: str, requirements: Requirements) -> None:
        self.classid = classid
        self.colonyname = colonyname
        self.requirements = requirements
        self.head: int | None = None
        self.waiting: int | None = 0
        self.arrived: int | None = None
        self.arrivals = 0
        self.shelves: list[Shelf] = []

    def look(self) -> None:
        """A look at the database begins: what arrives from now on may be newer than what it sees."""
        self.arrived, self.arrivals = None, 0

    def fits(self, offer: Offer) -> bool:
        """Whether an offer that looks at a shelf of this class has enough CPU and memory for it."""
        needs = self.requirements
        return (offer.cpu is None or needs.cpu <= offer.cpu) and (offer.mem is None or needs.mem <= offer.mem)


class View:
    """The classes of a shelf that fit one pair of bounds, in a heap by head; outdated entries are dropped late."""

    __slots__ = ("_cpu", "_heap", "_mem", "classes")

    def __init__(self, bounds: Bounds) -> None:
        self._cpu, self._mem = bounds
        self._heap: list[tuple[int, int]] = []
        self.classes: dict[int, RequirementClass] = {}

    def add(self, each: RequirementClass) -> None:
        """Take in a class if it fits."""
        needs = each.requirements
        if (self._cpu is None or needs.cpu <= self._cpu) and (self._mem is None or needs.mem <= self._mem):
            self.classes[each.classid] = each
            self.moved(each)

    def remove(self, classid: int) -> None:
        """Forget a class."""
        self.classes.pop(classid, None)

    def moved(self, each: RequirementClass) -> None:
        """Note the new head of a class."""
        if each.head is None or each.classid not in self.classes:
            return
        heapq.heappush(self._heap, (each.head, each.classid))
        if len(self._heap) > 2 * len(self.classes) + _SLACK:
            self._heap = [(one.head, one.classid) for one in self.classes.values() if one.head is not None]
            heapq.heapify(self._heap)

    def best(self, count: int) -> list[RequirementClass]:
        """The classes with the smallest heads."""
        found: dict[int, tuple[int, RequirementClass]] = {}
        while self._heap and len(found) < count:
            head, classid = heapq.heappop(self._heap)
            each = self.classes.get(classid)
            if each is not None and each.head == head:
                found[classid] = (head, each)
        for classid, (head, _) in found.items():
            heapq.heappush(self._heap, (head, classid))
        return [each for _, each in found.values()]


class Shelf:
    """The classes for one executor name (or anyone) at one location (or anywhere)."""

    __slots__ = ("classes", "key", "views")

    def __init__(self, key: ShelfKey) -> None:
        self.key = key
        self.classes: dict[int, RequirementClass] = {}
        self.views: dict[Bounds, View] = {}

    def view(self, bounds: Bounds) -> View:
        """The view for these bounds, made when it is not there; the one that was not asked for longest may go."""
        view = self.views.pop(bounds, None)
        if view is None:
            view = View(bounds)
            for each in self.classes.values():
                view.add(each)
            if len(self.views) == MAX_VIEWS:
                del self.views[next(iter(self.views))]
        self.views[bounds] = view
        return view


class ClassIndex:
    """All requirement classes this server knows."""

    def __init__(self) -> None:
        self._by_id: dict[int, RequirementClass] = {}
        self._ids: dict[tuple[str, Requirements], int] = {}
        self._shelves: dict[ShelfKey, Shelf] = {}

    def __len__(self) -> int:
        return len(self._by_id)

    def classid(self, colonyname: str, requirements: Requirements) -> int | None:
        """The id of the class with these demands, if it is known."""
        return self._ids.get((colonyname, requirements))

    def get(self, classid: int) -> RequirementClass | None:
        """A class by its id."""
        return self._by_id.get(classid)

    def ids(self, *, start: int, count: int) -> list[int]:
        """The ids of some of the classes."""
        return list(islice(self._by_id, start, start + count))

    def add(self, classid: int, colonyname: str, requirements: Requirements) -> RequirementClass:
        """Take in a class; one that is known already stays as it is."""
        if (known := self._by_id.get(classid)) is not None:
            return known
        each = RequirementClass(classid, colonyname, requirements)
        self._by_id[classid] = each
        self._ids[colonyname, requirements] = classid
        for key in _shelf_keys(colonyname, requirements):
            shelf = self._shelves.get(key)
            if shelf is None:
                shelf = self._shelves[key] = Shelf(key)
            shelf.classes[classid] = each
            each.shelves.append(shelf)
            for view in shelf.views.values():
                view.add(each)
        return each

    def remove(self, classid: int) -> None:
        """Forget a class."""
        each = self._by_id.pop(classid, None)
        if each is None:
            return
        # Made anew under another id, by a server that had removed it, the class is known twice for a while.
        if self._ids.get((each.colonyname, each.requirements)) == classid:
            del self._ids[each.colonyname, each.requirements]
        for shelf in each.shelves:
            del shelf.classes[classid]
            for view in shelf.views.values():
                view.remove(classid)
            if not shelf.classes:
                del self._shelves[shelf.key]

    def remove_colony(self, colonyname: str) -> None:
        """Forget the classes of a colony."""
        for classid in [each.classid for each in self._by_id.values() if each.colonyname == colonyname]:
            self.remove(classid)

    def seen(self, each: RequirementClass, head: int | None) -> bool:
        """Take over what a look at the database saw, unless something smaller arrived since it began.

        Whether that changes what is known to wait first.
        """
        waiting = None if head is not None else each.arrivals
        if each.arrived is not None and (head is None or each.arrived < head):
            head = each.arrived
        changed = head != each.head
        each.waiting = waiting
        self._set_head(each, head)
        return changed

    def arrived(self, classid: int, prioritytime: int, count: int = 1) -> None:
        """Note that processes wait in a class; of a class that is not known yet the next look tells."""
        each = self._by_id.get(classid)
        if each is None:
            return
        each.arrivals += count
        if each.waiting is not None:
            each.waiting += count
        if each.arrived is None or prioritytime < each.arrived:
            each.arrived = prioritytime
        if each.head is None or prioritytime < each.head:
            self._set_head(each, prioritytime)

    def _set_head(self, each: RequirementClass, head: int | None) -> None:
        if head == each.head:
            return
        each.head = head
        if head is not None:
            for shelf in each.shelves:
                for view in shelf.views.values():
                    view.moved(each)

    def waiting_in(self, colonyname: str) -> list[int]:
        """The classes of a colony in which something waits."""
        return [
            each.classid for each in self._by_id.values() if each.colonyname == colonyname and each.head is not None
        ]

    def views(self, offer: Offer) -> tuple[View, ...]:
        """The views that hold every class an offer can take; equal for offers that can take the same."""
        bounds = (offer.cpu, offer.mem)
        shelves = (self._shelves.get(key) for key in shelves_for(offer))
        return tuple(shelf.view(bounds) for shelf in shelves if shelf is not None)


def shelves_for(offer: Offer) -> list[ShelfKey]:
    """The shelves that an offer looks at, whether or not there is anything on them."""
    return [
        (offer.colonyname, offer.executortype, name, location)
        for name in (None, offer.executorname)
        for location in (("", offer.location) if offer.location else ("",))
    ]


def best(views: Iterable[View], count: int) -> list[RequirementClass]:
    """The classes with the smallest heads over several views."""
    found = {each.classid: each for view in views for each in view.best(count)}
    return heapq.nsmallest(count, found.values(), key=lambda each: each.head or 0)


def members(views: Iterable[View], *, start: int, count: int) -> Iterator[RequirementClass]:
    """Some of the classes in several views, whatever waits in them."""
    return islice((each for view in views for each in view.classes.values()), start, start + count)


def _shelf_keys(colonyname: str, requirements: Requirements) -> list[ShelfKey]:
    names = requirements.executornames or (None,)
    return [(colonyname, requirements.executortype, name, requirements.location) for name in names]
