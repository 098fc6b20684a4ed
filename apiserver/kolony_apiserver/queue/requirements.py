"""What matching reads of a process, and of an executor that asks for work."""

from __future__ import annotations

import msgspec

from kolony.model.functionspecs import Conditions
from kolony.model.resources import parse_cpu, parse_memory

ANYONE = ["*"]


class Requirements(msgspec.Struct, frozen=True):
    """The demands of a process; processes with equal demands share a requirement class.

    ``executornames`` is sorted, empty for anyone; ``location`` is in lower case, empty for anywhere; ``cpu`` is
    thousandths of a core, ``mem`` bytes.
    """

    executortype: str
    executornames: tuple[str, ...]
    location: str
    cpu: int
    mem: int


class Offer(msgspec.Struct, frozen=True):
    """What an executor that asks for work offers; without a bound on an amount it takes any."""

    colonyname: str
    executortype: str
    executorname: str
    location: str
    cpu: int | None
    mem: int | None


_ENCODER = msgspec.json.Encoder()
_DECODER = msgspec.json.Decoder(Requirements)


def requirements_of(conditions: Conditions) -> Requirements:
    """The demands in a function specification; raise `BadRequest` when an amount cannot be read."""
    names = conditions.executornames
    return Requirements(
        conditions.executortype,
        () if not names or names == ANYONE else tuple(sorted(set(names))),
        conditions.locationname.lower() if conditions.locationname else "",
        parse_cpu(conditions.cpu),
        parse_memory(conditions.mem),
    )


def offer_of(*, colonyname: str, executortype: str, executorname: str, location: str, cpu: str, mem: str) -> Offer:
    """The offer in an assign request; empty text sets no bound. Raise `BadRequest` for an unreadable amount."""
    return Offer(
        colonyname,
        executortype,
        executorname,
        location.lower(),
        parse_cpu(cpu) if cpu else None,
        parse_memory(mem) if mem else None,
    )


def encode(requirements: Requirements) -> str:
    """The demands as text, equal for equal demands."""
    return _ENCODER.encode(requirements).decode()


def decode(text: str) -> Requirements:
    """The demands back from their text."""
    return _DECODER.decode(text)
