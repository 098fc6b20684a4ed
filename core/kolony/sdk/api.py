"""Families of calls, written once and offered twice: to be awaited, and blocking.

A call of a family is a coroutine marked with `method`, or an asynchronous generator marked with `stream`. In a
client that is awaited they are what they look like. In one that blocks, the same code runs on the client's own
loop, and the caller gets the result, or an ordinary iterator. Which of the two an `Api` does is part of its type,
so a type checker knows what every call returns.
"""

from __future__ import annotations

import functools
from collections.abc import AsyncGenerator, Callable, Coroutine, Iterator
from types import MethodType
from typing import Any, Concatenate, Generic, ParamSpec, TypeVar, overload

from kolony.errors import ConfigurationError
from kolony.sdk.connection import Connection, Keys
from kolony.sdk.portal import Portal
from kolony.sdk.settings import Key
from kolony.wire.message import Message

P = ParamSpec("P")
R = TypeVar("R")


class Awaited:
    """Marks an `Api` whose calls are awaited."""


class Blocking:
    """Marks an `Api` whose calls block."""


M = TypeVar("M", bound=Awaited | Blocking)


class Api(Generic[M]):
    """Calls over one connection: awaited, or blocking when there is a portal."""

    def __init__(self, connection: Connection, portal: Portal | None) -> None:
        self._connection = connection
        self._portal = portal

    @property
    def _keys(self) -> Keys:
        return self._connection.keys

    def _colony(self, name: str) -> str:
        """The colony that a call is about: the one it names, or the client's."""
        colony = name or self._connection.settings.colony
        if not colony:
            raise ConfigurationError("no colony: set COLONIES_COLONY_NAME or name one in the call")
        return colony

    async def _call(self, message: Message[R], key: Key | None, *, once: bool = False) -> R:
        return await self._connection.call(message, key=key, once=once)

    def _bind(self, function: Callable[..., Any], through: Callable[[Portal, Any], Any]) -> Callable[..., Any]:
        """The call as this `Api` offers it: as it is, or run ``through`` its portal."""
        bound = MethodType(function, self)
        portal = self._portal
        if portal is None:
            return bound

        @functools.wraps(bound)
        def blocking(*args: Any, **kwargs: Any) -> Any:
            return through(portal, bound(*args, **kwargs))

        return blocking


class Method(Generic[P, R]):
    """A call that answers once."""

    def __init__(self, function: Callable[Concatenate[Any, P], Coroutine[Any, Any, R]]) -> None:
        self._function = function

    @overload
    def __get__(self, api: Api[Awaited], owner: type) -> Callable[P, Coroutine[Any, Any, R]]: ...
    @overload
    def __get__(self, api: Api[Blocking], owner: type) -> Callable[P, R]: ...
    def __get__(self, api: Any, owner: type) -> Any:
        return self._function if api is None else api._bind(self._function, Portal.run)


class Stream(Generic[P, R]):
    """A call that answers again and again."""

    def __init__(self, function: Callable[Concatenate[Any, P], AsyncGenerator[R, None]]) -> None:
        self._function = function

    @overload
    def __get__(self, api: Api[Awaited], owner: type) -> Callable[P, AsyncGenerator[R, None]]: ...
    @overload
    def __get__(self, api: Api[Blocking], owner: type) -> Callable[P, Iterator[R]]: ...
    def __get__(self, api: Any, owner: type) -> Any:
        return self._function if api is None else api._bind(self._function, Portal.iterate)


def method(function: Callable[Concatenate[Any, P], Coroutine[Any, Any, R]]) -> Method[P, R]:
    """Mark a coroutine of an `Api` as a call."""
    return Method(function)


def stream(function: Callable[Concatenate[Any, P], AsyncGenerator[R, None]]) -> Stream[P, R]:
    """Mark an asynchronous generator of an `Api` as a call."""
    return Stream(function)
