"""Functions that executors offer."""

from __future__ import annotations

from msgspec.structs import replace

from kolony.model.functions import Function
from kolony.sdk.api import Api, M, method
from kolony.sdk.settings import Key
from kolony.wire.functions import AddFunction, GetFunctions, RemoveFunction


class Functions(Api[M]):
    """Functions of a colony's executors."""

    @method
    async def add(self, function: Function, *, key: Key | None = None) -> Function:
        """Offer a function (the executor named in it)."""
        function = replace(function, colonyname=self._colony(function.colonyname))
        return await self._call(AddFunction(fun=function), key, once=True)

    @method
    async def find(self, *, executorname: str = "", colony: str = "", key: Key | None = None) -> list[Function]:
        """The functions of one executor, or of all (member)."""
        return await self._call(GetFunctions(colonyname=self._colony(colony), executorname=executorname), key)

    @method
    async def remove(self, functionid: str, *, key: Key | None = None) -> None:
        """Stop offering a function (the executor that offers it)."""
        await self._call(RemoveFunction(functionid=functionid), key, once=True)
