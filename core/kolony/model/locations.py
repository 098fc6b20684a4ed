"""Locations: the places where executors are, a directory for people."""

from __future__ import annotations

from msgspec import field

from kolony.model.base import Model


class Location(Model):
    """A place of a colony; ``name`` is unique in the colony, longitude and latitude are degrees."""

    locationid: str = ""
    name: str = ""
    colonyname: str = ""
    description: str = ""
    longitude: float = field(default=0.0, name="long")
    latitude: float = field(default=0.0, name="lat")
