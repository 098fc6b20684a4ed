"""Messages about users."""

from __future__ import annotations

from kolony.model.users import User
from kolony.wire.message import Message


class AddUser(Message[User], tag="addusermsg"):
    """Add a user, active at once (colony owner)."""

    failure = "Failed to add user"
    user: User | None = None


class GetUsers(Message[list[User]], tag="getusersmsg"):
    """List the users of a colony (member)."""

    failure = "Failed to get users"
    colonyname: str = ""


class GetUser(Message[User], tag="getusermsg"):
    """Look up a user by name (member)."""

    failure = "Failed to get user"
    colonyname: str = ""
    name: str = ""


class GetUserById(Message[User], tag="getuserbyidmsg"):
    """Look up a user by identity (member)."""

    failure = "Failed to get user by ID"
    colonyname: str = ""
    userid: str = ""


class RemoveUser(Message[None], tag="removeusermsg"):
    """Remove a user (colony owner)."""

    failure = "Failed to remove user"
    colonyname: str = ""
    name: str = ""


class ChangeUserId(Message["ChangeUserId"], tag="changeuseridmsg"):
    """Give a user a new key (the user itself); takes effect with the next request."""

    failure = "Failed to change user Id"
    malformed = "Failed to add log, invalid JSON"
    colonyname: str = ""
    userid: str = ""
