"""Errors of the database, turned into those of the project: once, here, by code and constraint."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import psycopg
from psycopg import errors
from psycopg_pool import PoolTimeout

from kolony.errors import BadRequest, Conflict, KolonyError, ServerError, Unavailable

_CONSTRAINTS = {
    "executors_identity": "Executor not unique, both Name and ExecutorId must be unique within a Colony",
    "users_identity": "A user with this Id already exists in the Colony",
    "functions_pkey": 'pq: duplicate key value violates unique constraint "functions_pkey"',
    "attributes_pkey": 'pq: duplicate key value violates unique constraint "attributes_pkey"',
}
_CONSTRAINT_STATUS = {"functions_pkey": 500}


@contextmanager
def translated() -> Iterator[None]:
    """Raise the project's error for a failure of the database inside the block."""
    try:
        yield
    except (psycopg.Error, PoolTimeout, OSError) as error:
        raise _translate(error) from error


def _translate(error: psycopg.Error | PoolTimeout | OSError) -> KolonyError:
    match error:
        case errors.UniqueViolation():
            name = error.diag.constraint_name or ""
            return Conflict(_CONSTRAINTS.get(name, "it exists already"), status=_CONSTRAINT_STATUS.get(name))
        case errors.ForeignKeyViolation():
            return Conflict("what this belongs to was removed meanwhile")
        case errors.DataError() | psycopg.DataError() | errors.ProgramLimitExceeded():
            return BadRequest(f"the database does not accept this value: {_reason(error)}")
        case psycopg.OperationalError() | PoolTimeout() | OSError():
            return Unavailable("the database is away; try again")
        case _:
            return ServerError(f"the database failed: {_reason(error)}")


def _reason(error: psycopg.Error) -> str:
    return error.diag.message_primary or str(error)
