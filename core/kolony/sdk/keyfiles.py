"""Private keys in files that only their owner can read."""

from __future__ import annotations

import os
from pathlib import Path

from kolony.crypto import PrivateKey
from kolony.errors import BadRequest, ConfigurationError


def read_key(path: Path) -> PrivateKey:
    """The key in a file.

    Raises:
        ConfigurationError: the file cannot be read, or holds no key.
    """
    try:
        return PrivateKey(path.read_text().strip())
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigurationError(f"cannot read the key file {path}: {error}") from error
    except BadRequest as error:
        raise ConfigurationError(f"{path} holds no private key: {error.message}") from None


def write_key(path: Path, key: PrivateKey) -> None:
    """Write a key to a new file, readable by its owner alone from the first moment.

    Raises:
        ConfigurationError: the file exists already, or cannot be written.
    """
    try:
        handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(handle, "w") as file:
            file.write(f"{key.hex}\n")
    except FileExistsError:
        raise ConfigurationError(f"the key file {path} exists already; no key is overwritten") from None
    except OSError as error:
        raise ConfigurationError(f"cannot write the key file {path}: {error}") from error


def read_or_make_key(path: Path) -> PrivateKey:
    """The key in a file, which is made with a new key if it does not exist."""
    if not path.exists():
        write_key(path, PrivateKey.generate())
    return read_key(path)
