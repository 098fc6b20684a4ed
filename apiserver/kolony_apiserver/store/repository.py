"""The base of the repositories: one class per family, one method per named query."""

from __future__ import annotations

from kolony_apiserver.store.database import Session


class Repository:
    """Queries of one family, run in the session of a unit of work."""

    __slots__ = ("session",)

    def __init__(self, session: Session) -> None:
        self.session = session
