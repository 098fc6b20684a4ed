"""Users in the database."""

from __future__ import annotations

import msgspec

from kolony.model.users import User
from kolony_apiserver.store.database import Row
from kolony_apiserver.store.repository import Repository


class Users(Repository):
    """Queries about users."""

    async def add(self, user: User) -> User | None:
        """Store a user; `None` when the name or the identity is taken in the colony."""
        return await self.session.one("add_user", _user, **msgspec.structs.asdict(user))

    async def get(self, colony: str, name: str) -> User | None:
        """One user by name."""
        return await self.session.one("get_user", _user, colony=colony, name=name)

    async def get_by_id(self, colony: str, userid: str) -> User | None:
        """One user by identity."""
        return await self.session.one("get_user_by_id", _user, colony=colony, userid=userid)

    async def find(self, colony: str) -> list[User]:
        """The users of a colony, the oldest first."""
        return await self.session.all("find_users", _user, colony=colony)

    async def remove(self, colony: str, name: str) -> str | None:
        """Delete a user; its identity, or `None` when there is none of that name."""
        found: str | None = await self.session.value("remove_user", colony=colony, name=name)
        return found

    async def change_id(self, colony: str, *, old: str, new: str) -> None:
        """Give a user a new key."""
        await self.session.run("change_user_id", colony=colony, old=old, new=new)


def _user(row: Row) -> User:
    return User(**row)
