"""The web application: the API, health, readiness, and subscriptions."""

from __future__ import annotations

from collections.abc import Callable

from fastapi import FastAPI
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.types import ASGIApp, Receive, Scope, Send

from kolony_apiserver.rpc.dispatch import Dispatcher
from kolony_apiserver.services.context import Parts
from kolony_apiserver.web.plain import Cors, absent
from kolony_apiserver.web.rpc import RpcEndpoint
from kolony_apiserver.web.subscriptions import Subscriptions


class _Front:
    """Calls of the API go straight to their endpoint, past routing and middleware that they have no use for."""

    def __init__(self, rpc: ASGIApp, app: ASGIApp) -> None:
        self._rpc = rpc
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        rpc = scope["type"] == "http" and scope["path"] == "/api"
        await (self._rpc if rpc else self._app)(scope, receive, send)


def create_app(parts: Parts, ready: Callable[[], bool]) -> ASGIApp:
    """The application of one server; ``ready`` says whether it should be sent more calls."""
    app = FastAPI(title="Colonies server", docs_url=None, redoc_url=None, openapi_url=None, redirect_slashes=False)
    dispatcher = Dispatcher(parts)

    @app.get("/health")
    async def health() -> Response:
        """Whether the process lives; does not touch the database."""
        return PlainTextResponse("")

    @app.get("/ready")
    async def readiness() -> Response:
        """Whether the server takes calls; 503 from the moment it is told to stop."""
        return PlainTextResponse("", 200 if ready() else 503)

    subscriptions = Subscriptions(dispatcher, parts)
    app.add_api_websocket_route("/pubsub", subscriptions.serve)

    @app.get("/pubsub")
    async def upgrade_required(request: Request) -> Response:
        """What a request without an upgrade is told."""
        return PlainTextResponse("Bad Request", 400, headers={"sec-websocket-version": "13"})

    async def unserved(request: Request, error: Exception) -> Response:
        return absent(request.method, request.url.path)

    app.add_exception_handler(404, unserved)
    app.add_exception_handler(405, unserved)
    return Cors(_Front(RpcEndpoint(dispatcher, parts.settings), app))
