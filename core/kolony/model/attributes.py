"""Attributes: keys and values that an executor attaches to a process."""

from __future__ import annotations

import hashlib
from enum import IntEnum

from kolony.model.base import Int64, Model


class AttributeType(IntEnum):
    """What an attribute is about; ``ENV`` attributes are the environment of the process."""

    IN = 0
    OUT = 1
    ERR = 2
    ENV = 3


class Attribute(Model):
    """An attribute of a process; ``state`` follows the state of the process."""

    attributeid: str = ""
    targetid: str = ""
    targetcolonyname: str = ""
    targetprocessgraphid: str = ""
    state: Int64 = 0
    attributetype: Int64 = AttributeType.IN
    key: str = ""
    value: str = ""


def attribute_id(target: str, key: str, attributetype: int) -> str:
    """The id of an attribute, derived from what makes it unique."""
    return hashlib.sha3_256(f"{target}{key}{attributetype}".encode()).hexdigest()
