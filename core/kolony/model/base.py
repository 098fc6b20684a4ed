"""What all model objects share: the base class, identifiers, times, and values that may be absent."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated, Any, NewType, TypeAlias, TypeVar

import msgspec
import typing_extensions
from msgspec import UNSET, Meta, UnsetType

ColonyName = NewType("ColonyName", str)
ProcessId = NewType("ProcessId", str)
ExecutorName = NewType("ExecutorName", str)

T = TypeVar("T")
V = typing_extensions.TypeVar("V", default=Any)
"""Type of free-form values (arguments, outputs): Python values for users, `msgspec.Raw` where the text must survive."""

Int64: TypeAlias = Annotated[int, Meta(ge=-(2**63), le=2**63 - 1)]
"""Integers of the protocol have 64 bits; a larger one is refused like any value of the wrong type."""

Sparse: TypeAlias = T | UnsetType
"""A field whose key is left out of the JSON when it is `UNSET` (which is false)."""

NO_TIME = datetime(1, 1, 1, tzinfo=UTC)
"""How the protocol writes a time that is not set."""


# msgspec passes these options on to subclasses, which type checkers have to be told
@typing_extensions.dataclass_transform(frozen_default=True, kw_only_default=True, field_specifiers=(msgspec.field,))
@typing_extensions.dataclass_transform(frozen_default=True, kw_only_default=True, field_specifiers=(msgspec.field,))
class Model(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Base of all model objects: frozen, typed, compared by value, encoded in the order of their fields.

    Unknown fields are an error here so that `kolony.wire.decoding` notices names in an unusual case; it drops
    what is unknown then.
    """


def sparse(value: T | UnsetType | None) -> Sparse[T]:
    """The value, or `UNSET` when it is empty, so that its key is left out."""
    return value if value else UNSET
