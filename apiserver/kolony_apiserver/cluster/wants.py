"""What servers want to hear of: nobody is told what nobody wants."""

from __future__ import annotations

from collections.abc import Hashable, Iterable
from typing import Generic, TypeVar

import msgspec

from kolony_apiserver.events.hub import Followed
from kolony_apiserver.queue.room import Sought

KEPT_FOR = 2.0
"""Seconds for which something is wanted after the last who wanted it: they often come back."""

T = TypeVar("T", bound=Hashable)


class Wants(msgspec.Struct, frozen=True, kw_only=True):
    """What one server wants to hear of; `None` is everything."""

    sought: frozenset[Sought] | None = frozenset()
    followed: frozenset[Followed] | None = frozenset()


class Interest(Generic[T]):
    """What is wanted here, or was a short while ago."""

    def __init__(self) -> None:
        self._until: dict[T, float] = {}

    def add(self, wanted: T, now: float) -> bool:
        """Note that something is wanted; whether it was not before."""
        new = wanted not in self._until
        self._until[wanted] = now + KEPT_FOR
        return new

    def renew(self, wanted: Iterable[T], now: float) -> frozenset[T]:
        """All that counts as wanted, given what is wanted now."""
        self._until = {each: until for each, until in self._until.items() if until > now}
        self._until.update(dict.fromkeys(wanted, now + KEPT_FOR))
        return frozenset(self._until)


class Demand(Generic[T]):
    """What anybody wants of those who said so."""

    def __init__(self) -> None:
        self._wanted: frozenset[T] = frozenset()
        self._everything = False

    def learn(self, wants: Iterable[frozenset[T] | None]) -> None:
        """Take over what each of them wants."""
        said = list(wants)
        self._everything = None in said
        self._wanted = frozenset().union(*(each for each in said if each is not None))

    def __contains__(self, wanted: T) -> bool:
        return self._everything or wanted in self._wanted
