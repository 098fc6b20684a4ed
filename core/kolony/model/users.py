"""Users: the members that submit work and look at it."""

from __future__ import annotations

from kolony.model.base import Model


class User(Model):
    """A user of a colony; ``name`` is unique in the colony, ``userid`` is the identity."""

    colonyname: str = ""
    userid: str = ""
    name: str = ""
    email: str = ""
    phone: str = ""
