"""A proxy between a client and a server that loses what it is told to lose."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from dataclasses import dataclass, field
from enum import Enum, auto
from typing import Self


class Fate(Enum):
    """What becomes of a request."""

    PASS = auto()
    LOSE_REPLY = auto()  # the server does the work, and the connection breaks before the reply
    LOSE_REQUEST = auto()  # the connection breaks before the server sees anything
    HOLD_REPLY = auto()  # the server does the work, and the reply never comes


Plan = Callable[[str, int], Fate]
"""The fate of a request, by its payload type and how many of that type there were before."""


@dataclass
class Proxy:
    """Forwards requests to a server, and remembers their payload types; ``GET`` has an empty one."""

    host: str
    port: int
    plan: Plan = lambda payloadtype, before: Fate.PASS
    seen: list[str] = field(default_factory=list)
    held: asyncio.Event = field(default_factory=asyncio.Event)
    changed: asyncio.Condition = field(default_factory=asyncio.Condition)

    @property
    def own_port(self) -> int:
        return int(self._server.sockets[0].getsockname()[1])

    async def has_seen(self, payloadtype: str, times: int = 1) -> None:
        """Wait until requests of a type have come so often."""
        async with self.changed:
            await self.changed.wait_for(lambda: self.seen.count(payloadtype) >= times)

    async def __aenter__(self) -> Self:
        self._tasks: set[asyncio.Task[None]] = set()
        self._server = await asyncio.start_server(self._accept, "127.0.0.1", 0)
        return self

    async def __aexit__(self, *exc_info: object) -> None:
        self._server.close()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self._server.wait_closed()

    def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.create_task(self._serve(reader, writer))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        upstream_reader, upstream_writer = await asyncio.open_connection(self.host, self.port)
        try:
            while True:
                head, body = await _read(reader)
                fate = await self._note(body)
                if fate is Fate.LOSE_REQUEST:
                    return
                upstream_writer.write(head + body)
                reply = b"".join(await _read(upstream_reader))
                if fate is Fate.LOSE_REPLY:
                    return
                if fate is Fate.HOLD_REPLY:
                    self.held.set()
                    await asyncio.Event().wait()
                writer.write(reply)
                await writer.drain()
        except (asyncio.IncompleteReadError, ConnectionError):
            return
        finally:
            writer.close()
            upstream_writer.close()

    async def _note(self, body: bytes) -> Fate:
        payloadtype = json.loads(body)["payloadtype"] if body else ""
        fate = self.plan(payloadtype, self.seen.count(payloadtype))
        async with self.changed:
            self.seen.append(payloadtype)
            self.changed.notify_all()
        return fate


async def _read(reader: asyncio.StreamReader) -> tuple[bytes, bytes]:
    """Head and body of a request or a reply."""
    head = await reader.readuntil(b"\r\n\r\n")
    fields = dict(line.lower().split(b":", 1) for line in head.split(b"\r\n")[1:-2])
    return head, await reader.readexactly(int(fields.get(b"content-length", b"0")))
