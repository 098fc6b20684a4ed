"""Messages about generators."""

from __future__ import annotations

from kolony.model.base import Int64
from kolony.model.generators import Generator
from kolony.wire.message import Message


class AddGenerator(Message[Generator], tag="addgeneratormsg"):
    """Add a generator (approved member)."""

    failure = "Failed to add generator"
    generator: Generator | None = None


class GetGenerator(Message[Generator], tag="getgeneratormsg"):
    """Look up a generator, with the number of arguments that wait (approved member)."""

    failure = "Failed to get generator"
    generatorid: str = ""


class ResolveGenerator(Message[Generator], tag="resolvegeneratormsg"):
    """Look up a generator by name (approved member)."""

    failure = "Failed to resolve generator"
    colonyname: str = ""
    generatorname: str = ""


class GetGenerators(Message[list[Generator]], tag="getgeneratorsmsg"):
    """List generators, the oldest first (approved member)."""

    failure = "Failed to get generators"
    colonyname: str = ""
    count: Int64 = 0


class PackGenerator(Message[None], tag="packgeneratormsg"):
    """Add an argument to a generator, once for each idempotency key (approved member)."""

    failure = "Failed to increment generator"
    malformed = "Failed to inc generator, invalid JSON"
    generatorid: str = ""
    arg: str = ""
    idempotencykey: str = ""


class RemoveGenerator(Message[None], tag="removegeneratormsg"):
    """Remove a generator and the arguments that wait; workflows that it started go on (approved member)."""

    failure = "Failed to remove generator"
    generatorid: str = ""
    all: bool = False
