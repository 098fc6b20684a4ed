"""The wire between one server and PostgreSQL: it can cut, refuse, hold and delay, apart for each use of a connection.

A server names what a connection is for when it opens it: the tables, its lease, or the notifications. Everything is
forwarded as it comes; what a server sends for the tables is looked at on the way, so that a connection can be cut after
the commit of something that was written and before the answer to it.
"""

from __future__ import annotations

import asyncio
import re
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Self

_CANCEL = (80877102).to_bytes(4)
_COMMITTED = b"Z\x00\x00\x00\x05I"
"""How an answer ends after which no transaction is open."""

_WRITES = re.compile(rb"\b(insert\s+into|update|delete\s+from)\s+(?!nonces)", re.IGNORECASE)


class Use(StrEnum):
    """What a connection is for."""

    TABLES = "kolony"
    LEASE = "kolony-lease"
    SIGNALS = "kolony-signals"


@dataclass
class Trouble:
    """What is wrong with the connections of one use."""

    refused: bool = False
    """New connections are closed at once."""

    held: bool = False
    """Nothing passes, in neither direction, until it is let through in order."""

    delay: float = 0.0
    """Seconds that everything takes longer in each direction."""


class Wire:
    """Forwards the connections of one server, from a port of this machine to a Unix socket."""

    def __init__(self, socket: str, when_cut: Callable[[], None]) -> None:
        self.socket = socket
        self.troubles = {use: Trouble() for use in Use}
        self._when_cut = when_cut
        self.links: set[Link] = set()
        self._doomed = 0

    @property
    def port(self) -> int:
        return int(self._server.sockets[0].getsockname()[1])

    async def __aenter__(self) -> Self:
        self._server = await asyncio.get_running_loop().create_server(lambda: Link(self).near, "127.0.0.1", 0)
        return self

    async def __aexit__(self, *exc_info: object) -> None:
        self._server.close()
        for use in Use:
            self.cut(use)
        await self._server.wait_closed()

    def cut(self, use: Use) -> None:
        """Break all connections of a use."""
        for link in [link for link in self.links if link.use is use]:
            link.break_off()

    def refuse(self, *uses: Use) -> None:
        """Break all connections of some uses, and let none be made."""
        for use in uses:
            self.troubles[use].refused = True
            self.cut(use)

    def hold(self, *uses: Use) -> None:
        """Let nothing pass."""
        for use in uses:
            self.troubles[use].held = True

    def delay(self, seconds: float) -> None:
        """Let everything take longer."""
        for trouble in self.troubles.values():
            trouble.delay = seconds

    def mend(self) -> None:
        """Let everything pass again, first what was held."""
        for use in Use:
            self.troubles[use] = Trouble()
        for link in list(self.links):
            link.pump()

    def cut_after_commits(self, skip: int) -> None:
        """Cut the connection of a commit to come before it is answered, after letting some pass."""
        self._doomed = skip + 1

    def dooms(self) -> bool:
        """Whether the commit that is answered now is the one whose answer is to be lost."""
        if self._doomed:
            self._doomed -= 1
            if not self._doomed:
                self._when_cut()
                return True
        return False


@dataclass
class _Pipe:
    """One direction of a link: in order, whatever is held or delayed."""

    link: Link
    to: asyncio.Transport | None = None
    ended: bool = False
    waiting: deque[tuple[float, bytes]] = field(default_factory=deque)

    def send(self, data: bytes) -> None:
        trouble = self.link.trouble
        if self.to is not None and not self.waiting and not trouble.held and not trouble.delay:
            self.to.write(data)
            return
        self.waiting.append((asyncio.get_running_loop().time() + trouble.delay, data))
        self.pump()

    def end(self) -> None:
        self.ended = True
        self.pump()

    def pump(self) -> None:
        if self.to is None or self.link.trouble.held:
            return
        loop = asyncio.get_running_loop()
        while self.waiting:
            due, data = self.waiting[0]
            if due > loop.time():
                loop.call_at(due, self.pump)
                return
            self.waiting.popleft()
            self.to.write(data)
        if self.ended:
            self.to.close()


class Link:
    """One connection, with its two ends. What one end sent before it closed still arrives at the other."""

    def __init__(self, wire: Wire) -> None:
        self.wire = wire
        self.use = Use.TABLES
        self.near = _Near(self)
        self.far = _Far(self)
        self.up = _Pipe(self)
        self.down = _Pipe(self)

    @property
    def trouble(self) -> Trouble:
        return self.wire.troubles[self.use]

    def pump(self) -> None:
        self.up.pump()
        self.down.pump()

    def break_off(self) -> None:
        self.wire.links.discard(self)
        for pipe in (self.up, self.down):
            if pipe.to is not None:
                pipe.to.abort()


class _Near(asyncio.Protocol):
    """The end of the server."""

    def __init__(self, link: Link) -> None:
        self._link = link
        self._begun = False
        self._writes: set[bytes] = set()
        self._rest = b""
        self.wrote = False
        """Whether something was written since the last answer after which no transaction was open."""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        self._link.down.to = transport
        self._link.wire.links.add(self._link)

    def data_received(self, data: bytes) -> None:
        if not self._begun:
            self._begin(data)
        elif self._link.use is Use.TABLES:
            self._watch(data)
        self._link.up.send(data)

    def connection_lost(self, exc: Exception | None) -> None:
        self._link.down.to = None
        self._link.up.end()
        if not self._begun:
            self._link.wire.links.discard(self._link)

    def _begin(self, startup: bytes) -> None:
        self._begun = True
        link = self._link
        if startup[4:8] != _CANCEL:
            words = startup[8:].split(b"\0")
            names = dict(zip(words[::2], words[1::2], strict=False))
            link.use = _use(names.get(b"application_name", b"").decode())
        if link.trouble.refused:
            link.break_off()
        else:
            self._opening = asyncio.create_task(self._open())

    async def _open(self) -> None:
        try:
            await asyncio.get_running_loop().create_unix_connection(lambda: self._link.far, self._link.wire.socket)
        except OSError:
            self._link.break_off()

    def _watch(self, data: bytes) -> None:
        """Learn which statements write, and notice when one is sent."""
        data = self._rest + data if self._rest else data
        at, end = 0, len(data)
        while end - at >= 5:
            after = at + 1 + int.from_bytes(data[at + 1 : at + 5])
            if after > end:
                break
            kind = data[at]
            if kind == 0x50:  # Parse: a name and the statement
                name, statement = data[at + 5 : after].split(b"\0", 2)[:2]
                if _WRITES.search(statement):
                    self._writes.add(name)
                else:
                    self._writes.discard(name)
            elif kind == 0x42 and data[at + 5 : after].split(b"\0", 2)[1] in self._writes:  # Bind: portal, name
                self.wrote = True
            at = after
        self._rest = data[at:]


class _Far(asyncio.Protocol):
    """The end of the database."""

    def __init__(self, link: Link) -> None:
        self._link = link

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        self._link.up.to = transport
        self._link.pump()

    def data_received(self, data: bytes) -> None:
        near = self._link.near
        if near.wrote and data.endswith(_COMMITTED):
            near.wrote = False
            if self._link.wire.dooms():
                self._link.break_off()
                return
        self._link.down.send(data)

    def connection_lost(self, exc: Exception | None) -> None:
        self._link.up.to = None
        self._link.wire.links.discard(self._link)
        self._link.down.end()


def _use(application: str) -> Use:
    named = application.split("/", 1)[0]
    return Use(named) if named in set(Use) else Use.TABLES
