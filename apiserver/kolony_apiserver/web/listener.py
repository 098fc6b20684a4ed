"""The HTTP listener, and the order in which it starts and stops."""

from __future__ import annotations

import contextlib
import signal
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import AbstractAsyncContextManager, AsyncExitStack
from socket import socket

import uvicorn
from starlette.types import ASGIApp

from kolony_apiserver.settings import Settings

Beside = Callable[[], AbstractAsyncContextManager[None]]
"""Something that runs beside the server: entered when it takes calls, left before it stops."""

_SIGNALS = (signal.SIGTERM, signal.SIGINT)
_KEEP_ALIVE = 120


@contextlib.asynccontextmanager
async def nothing_beside() -> AsyncIterator[None]:
    """Nothing."""
    yield


class Listener(uvicorn.Server):
    """Serves an application until SIGTERM or SIGINT.

    Told to stop, it calls ``unready`` while it still takes calls, ends what runs beside it, calls ``drain``, lets
    calls under way finish, and returns: a signal that was obeyed is not raised again.
    """

    def __init__(
        self,
        app: ASGIApp,
        settings: Settings,
        *,
        unready: Callable[[], None],
        drain: Callable[[], Awaitable[None]],
        beside: Beside = nothing_beside,
    ) -> None:
        super().__init__(
            uvicorn.Config(
                app,
                host=settings.host,
                port=settings.port,
                access_log=False,
                log_config=None,
                lifespan="off",
                server_header=False,
                proxy_headers=False,
                timeout_keep_alive=_KEEP_ALIVE,
                timeout_graceful_shutdown=int(settings.drain_timeout),
                ws="websockets-sansio",
                ws_per_message_deflate=False,
            )
        )
        self._unready = unready
        self._drain = drain
        self._beside = beside
        self._stack = AsyncExitStack()

    async def startup(self, sockets: list[socket] | None = None) -> None:
        """Listen, then start what runs beside; without an address to listen on, end and never be `started`."""
        try:
            await super().startup(sockets)
        except SystemExit:
            # It has logged why, and would end the process before anything else is closed.
            self.should_exit = True
            return
        await self._stack.enter_async_context(self._beside())

    async def shutdown(self, sockets: list[socket] | None = None) -> None:
        """Stop in order."""
        self._unready()
        await self._stack.aclose()
        await self._drain()
        await super().shutdown(sockets)

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Stop at the first signal, and at once at the second."""
        before = {number: signal.signal(number, self.handle_exit) for number in _SIGNALS}
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)
