"""Plain answers and CORS, as clients of the protocol know them."""

from __future__ import annotations

from starlette.responses import PlainTextResponse, RedirectResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

_PREFLIGHT = {
    "access-control-allow-origin": "*",
    "access-control-allow-methods": "GET,POST,PUT,PATCH,DELETE,HEAD,OPTIONS",
    "access-control-allow-headers": "Origin,Content-Length,Content-Type",
    "access-control-max-age": "43200",
}
_REDIRECTS = {("GET", "/health/"): 301, ("GET", "/pubsub/"): 301, ("POST", "/api/"): 307}


def absent(method: str, path: str) -> Response:
    """404 for every path and verb that is not served, and a redirect where only a slash is too much."""
    status = _REDIRECTS.get((method, path))
    if status:
        return RedirectResponse(path.rstrip("/"), status)
    return PlainTextResponse("404 page not found", 404, headers={"content-type": "text/plain"})


class Cors:
    """Lets pages of any origin call the server; adds nothing to requests without a foreign origin."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer, and let pages of other origins read it."""
        if scope["type"] != "http" or not _is_foreign(scope):
            await self._app(scope, receive, send)
            return
        if scope["method"] == "OPTIONS":
            await Response(status_code=204, headers=_PREFLIGHT)(scope, receive, send)
            return

        async def send_open(message: Message) -> None:
            if message["type"] == "http.response.start":
                message["headers"] = [*message["headers"], (b"access-control-allow-origin", b"*")]
            await send(message)

        await self._app(scope, receive, send_open)


def _is_foreign(scope: Scope) -> bool:
    origin = host = b""
    for name, value in scope["headers"]:
        if name == b"origin":
            origin = value
        elif name == b"host":
            host = value
    return bool(origin) and origin not in (b"http://" + host, b"https://" + host)
