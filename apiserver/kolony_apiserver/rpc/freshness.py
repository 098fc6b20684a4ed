"""Freshness: a message that says when it was made, and carries a nonce, counts once and not for long."""

from __future__ import annotations

from kolony.errors import Forbidden
from kolony.wire.message import Freshness
from kolony_apiserver.services.context import Context

MAX_NONCE = 128
_NS = 10**9


class Stale(Forbidden):
    """A message that is too old, was sent before, or does not prove to be new."""

    def __init__(self, message: str, *, reason: str) -> None:
        super().__init__(message)
        self.reason = reason


async def require_fresh(context: Context, fresh: Freshness | None) -> None:
    """Refuse a message that is not new; one without proof passes unless the settings demand it."""
    if fresh is None and not context.parts.settings.require_freshness:
        return
    try:
        await _check(context, fresh)
    except Stale as stale:
        context.parts.metrics.signature_rejects.labels(stale.reason).inc()
        raise


async def _check(context: Context, fresh: Freshness | None) -> None:
    if fresh is None:
        raise Stale("this server takes only messages with a time and a nonce (field fresh)", reason="unproven")
    parts = context.parts
    window = parts.settings.freshness_window
    if abs(fresh.time - parts.clock.now_ns()) > window * _NS:
        raise Stale(
            f"the message's time is more than {window:g} s away from the server's: is your clock right?",
            reason="expired",
        )
    if not 0 < len(fresh.nonce) <= MAX_NONCE:
        raise Stale(f"a nonce has 1 to {MAX_NONCE} characters", reason="unproven")
    if not await parts.nonces.use(context.caller.identity, fresh.nonce, parts.clock.now()):
        raise Stale("the message was sent before: sign it anew with another nonce", reason="replayed")
