"""Functions in the database. Their statistics are kept by the statement that closes processes."""

from __future__ import annotations

from typing import NamedTuple

import msgspec

from kolony.model.base import ColonyName, sparse
from kolony.model.functions import Function, FunctionArg
from kolony_apiserver.store.database import Row
from kolony_apiserver.store.repository import Repository

_ARGS = msgspec.json.Decoder(list[FunctionArg])


class FunctionOwner(NamedTuple):
    """Whose function it is."""

    colonyname: ColonyName
    executorid: str


class Functions(Repository):
    """Queries about functions."""

    async def add(self, function: Function) -> Function | None:
        """Store a function at its executor's location; `None` when the executor is gone."""
        columns = msgspec.structs.asdict(function) | {
            "description": function.description or "",
            "args": msgspec.json.encode([_plain(arg) for arg in function.args or []]).decode(),
        }
        return await self.session.one("add_function", _function, **columns)

    async def find(self, colony: str, executorname: str) -> list[Function]:
        """What one executor offers, or the whole colony when no name is given."""
        return await self.session.all("find_functions", _function, colony=colony, executorname=executorname)

    async def owner(self, functionid: str) -> FunctionOwner | None:
        """Whose function it is, found by key alone."""
        return await self.session.one("function_owner", lambda row: FunctionOwner(**row), functionid=functionid)

    async def remove(self, colony: str, functionid: str) -> None:
        """Delete a function."""
        await self.session.run("remove_function", colony=colony, functionid=functionid)


def _plain(arg: FunctionArg) -> FunctionArg:
    return msgspec.structs.replace(
        arg, description=sparse(arg.description), required=sparse(arg.required), enum=sparse(arg.enum)
    )


def _function(row: Row) -> Function:
    columns = dict(row)
    del columns["added"]
    return Function(
        **columns
        | {
            "description": sparse(row["description"]),
            "args": sparse(_ARGS.decode(row["args"])),
            "locationname": sparse(row["locationname"]),
        }
    )
