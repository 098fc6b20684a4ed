"""The keys of a development colony, kept in a file that only this user can read."""

from __future__ import annotations

import os
from pathlib import Path

import msgspec

from kolony.crypto import PrivateKey
from kolony.errors import ConfigurationError

NAMES = ("server", "colony", "user")


class Keys(msgspec.Struct, frozen=True):
    """Private keys of the server owner, the colony owner, and a user of the colony, 64 hex digits each."""

    server: str
    colony: str
    user: str

    def identity(self, name: str) -> str:
        """The identity of one of the keys."""
        return PrivateKey(getattr(self, name)).identity


def load_or_make(file: Path) -> Keys:
    """The keys in a file, made when there is none."""
    try:
        return msgspec.json.decode(file.read_bytes(), type=Keys)
    except FileNotFoundError:
        keys = Keys(*(PrivateKey.generate().hex for _ in NAMES))
        write_private(file, msgspec.json.encode(keys).decode())
        return keys
    except msgspec.MsgspecError as error:
        raise ConfigurationError(f"{file} does not hold the keys of a colony: {error}") from error


def write_private(file: Path, text: str) -> None:
    """Write a file that only this user can read, whole or not at all."""
    new = file.with_name(f"{file.name}.new")
    new.unlink(missing_ok=True)
    with os.fdopen(os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as opened:
        opened.write(text)
    new.replace(file)
