"""The metrics on a port of their own, for Prometheus."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from prometheus_client import CollectorRegistry, start_http_server

from kolony.errors import ConfigurationError
from kolony_apiserver.settings import Settings


@asynccontextmanager
async def monitor(settings: Settings, registry: CollectorRegistry) -> AsyncIterator[None]:
    """Serve the metrics while the block runs, from a thread of its own; without a port for them, serve nothing."""
    if not settings.monitor_port:
        yield
        return
    try:
        server, thread = start_http_server(settings.monitor_port, addr=settings.host, registry=registry)
    except OSError as error:
        raise ConfigurationError(
            f"cannot serve metrics on {settings.host}:{settings.monitor_port} (COLONIES_MONITOR_PORT): {error.strerror}"
        ) from error
    try:
        yield
    finally:
        await asyncio.to_thread(server.shutdown)
        server.server_close()
        thread.join()
