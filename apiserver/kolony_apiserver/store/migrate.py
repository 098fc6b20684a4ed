"""Bringing the database to the schema of this version.

Migrations are the numbered files of ``migrations/``: ``before`` runs ahead of the new code, ``after`` once no
old server is left. Applied with yoyo, under an advisory lock of the database, so that servers which start
together do not meet: one migrates, the others wait and find nothing to do.
"""

from __future__ import annotations

from importlib import resources
from urllib.parse import quote, urlencode

import psycopg
import yoyo
from psycopg.conninfo import conninfo_to_dict
from psycopg.rows import TupleRow

from kolony.errors import ConfigurationError
from kolony_apiserver.store.failures import translated
from kolony_apiserver.store.queries import queries

_LOCK = 0x6B6F6C6F6E79
"""Key of the advisory lock: the letters of the project's name."""


def migrate(dsn: str) -> None:
    """Apply the migrations that the database does not have yet; blocks while another server does so.

    Raises:
        ConfigurationError: the database cannot be opened; the text says why.
    """
    with (
        _open(dsn) as connection,
        translated(),
        resources.as_file(resources.files(__package__).joinpath("migrations")) as folder,
    ):
        connection.execute(queries()["lock_schema"], {"key": _LOCK})
        backend = yoyo.get_backend(_uri(dsn))
        try:
            backend.apply_migrations(backend.to_apply(yoyo.read_migrations(str(folder))))
        finally:
            backend.connection.close()


def _open(dsn: str) -> psycopg.Connection[TupleRow]:
    try:
        return psycopg.connect(dsn, autocommit=True)
    except psycopg.OperationalError as error:
        reason = " ".join(str(error).split())
    except psycopg.Error:
        # What is wrong with it may be the password, so that is not repeated.
        reason = "COLONIES_DB_DSN is no connection string of PostgreSQL"
    raise ConfigurationError(f"cannot open the database that COLONIES_DB_DSN or COLONIES_DB_HOST names: {reason}")


def _uri(dsn: str) -> str:
    """The connection string as the address that yoyo reads: every part as a query parameter, which alone it decodes."""
    parameters = {key: str(value) for key, value in conninfo_to_dict(dsn).items() if value is not None}
    return f"postgresql+psycopg:///?{urlencode(parameters, quote_via=quote)}"
