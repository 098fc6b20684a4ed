"""Users."""

from __future__ import annotations

from msgspec.structs import replace

from kolony.model.users import User
from kolony.sdk.api import Api, M, method
from kolony.sdk.settings import Key
from kolony.wire.users import AddUser, ChangeUserId, GetUser, GetUserById, GetUsers, RemoveUser


class Users(Api[M]):
    """Users of a colony."""

    @method
    async def add(self, user: User, *, key: Key | None = None) -> User:
        """Add a user, active at once (colony owner)."""
        user = replace(user, colonyname=self._colony(user.colonyname))
        return await self._call(AddUser(user=user), key or self._keys.colony, once=True)

    @method
    async def get(self, name: str, *, colony: str = "", key: Key | None = None) -> User:
        """Look up a user by name (member)."""
        return await self._call(GetUser(colonyname=self._colony(colony), name=name), key)

    @method
    async def get_by_id(self, identity: str, *, colony: str = "", key: Key | None = None) -> User:
        """Look up a user by identity (member)."""
        return await self._call(GetUserById(colonyname=self._colony(colony), userid=identity), key)

    @method
    async def find(self, *, colony: str = "", key: Key | None = None) -> list[User]:
        """All users of a colony (member)."""
        return await self._call(GetUsers(colonyname=self._colony(colony)), key)

    @method
    async def change_id(self, identity: str, *, colony: str = "", key: Key | None = None) -> None:
        """Give the calling user another key, at once."""
        await self._call(ChangeUserId(colonyname=self._colony(colony), userid=identity), key, once=True)

    @method
    async def remove(self, name: str, *, colony: str = "", key: Key | None = None) -> None:
        """Remove a user (colony owner)."""
        message = RemoveUser(colonyname=self._colony(colony), name=name)
        await self._call(message, key or self._keys.colony, once=True)
