"""Bringing the database to the schema of this version.

Migrations are the numbered files of ``migrations/``: ``before`` runs ahead of the new code, ``after`` once no
old server is left. Applied with yoyo, under an advisory lock of the database, so that servers which start
together do not meet: one migrates, the others wait and find nothing to do.
"""

from __future__ import annotations

from importlib import resources
from urllib.parse import quote

import psycopg
import yoyo
from psycopg.conninfo import conninfo_to_dict

from kolony_apiserver.store.failures import translated
from kolony_apiserver.store.queries import queries

_LOCK = 0x6B6F6C6F6E79
"""Key of the advisory lock: the letters of the project's name."""


def migrate(dsn: str) -> None:
    """Apply the migrations that the database does not have yet; blocks while another server does so."""
    with (
        translated(),
        psycopg.connect(dsn, autocommit=True) as connection,
        resources.as_file(resources.files(__package__).joinpath("migrations")) as folder,
    ):
        connection.execute(queries()["lock_schema"], {"key": _LOCK})
        backend = yoyo.get_backend(_uri(dsn))
        try:
            backend.apply_migrations(backend.to_apply(yoyo.read_migrations(str(folder))))
        finally:
            backend.connection.close()


def _uri(dsn: str) -> str:
    """The connection string as the address that yoyo reads, every part as a query parameter."""
    parameters = {key: str(value) for key, value in conninfo_to_dict(dsn).items() if value is not None}
    database = quote(parameters.pop("dbname", "postgres"), safe="")
    user, password = (quote(parameters.pop(key, ""), safe="") for key in ("user", "password"))
    query = "&".join(f"{key}={quote(value, safe='')}" for key, value in parameters.items())
    return f"postgresql+psycopg://{user}:{password}@/{database}?{query}"
