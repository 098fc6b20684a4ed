"""A gate on the way to a server, which can be shut so that nothing passes, or so that nobody gets in."""

from __future__ import annotations

import asyncio
import contextlib
import threading
from concurrent.futures import Future
from typing import Self


class Gate:
    """Forwards connections from a port of this machine. It works in a thread of its own, so tests may block."""

    def __init__(self, host: str, port: int) -> None:
        self._target = host, port
        self._ends: set[asyncio.StreamWriter] = set()
        self._links: set[asyncio.Task[None]] = set()
        self._refusing = False

    def hold(self) -> None:
        """Let nothing pass, in neither direction: whoever asks hears nothing."""
        self._loop.call_soon_threadsafe(self._passing.clear)

    def refuse(self) -> None:
        """Break all connections, and each new one."""
        self._loop.call_soon_threadsafe(self._refuse)

    def open(self) -> None:
        """Let everything pass again, first what was held."""
        self._refusing = False
        self._loop.call_soon_threadsafe(self._passing.set)

    def __enter__(self) -> Self:
        port: Future[int] = Future()
        self._thread = threading.Thread(target=lambda: asyncio.run(self._serve(port)))
        self._thread.start()
        self.port = port.result()
        return self

    def __exit__(self, *exc_info: object) -> None:
        self._loop.call_soon_threadsafe(self._ended.set)
        self._thread.join()

    async def _serve(self, port: Future[int]) -> None:
        self._loop = asyncio.get_running_loop()
        self._passing, self._ended = asyncio.Event(), asyncio.Event()
        self._passing.set()
        server = await asyncio.start_server(self._accept, "127.0.0.1", 0)
        port.set_result(server.sockets[0].getsockname()[1])
        await self._ended.wait()
        server.close()
        self._passing.set()
        self._refuse()
        await asyncio.gather(*self._links)

    def _refuse(self) -> None:
        self._refusing = True
        for end in self._ends:
            end.transport.abort()

    def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        link = asyncio.create_task(self._link(reader, writer))
        self._links.add(link)
        link.add_done_callback(self._links.discard)

    async def _link(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        ends = {writer}
        with contextlib.suppress(OSError):
            if not self._refusing:
                up_reader, up_writer = await asyncio.open_connection(*self._target)
                ends.add(up_writer)
                self._ends |= ends
                await asyncio.gather(self._pass_on(reader, up_writer), self._pass_on(up_reader, writer))
        self._ends -= ends
        for end in ends:
            end.transport.abort()

    async def _pass_on(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while data := await reader.read(2**16):
            await self._passing.wait()
            writer.write(data)
            await writer.drain()
        writer.close()
