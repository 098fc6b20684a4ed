"""Files that people hand to commands."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import msgspec

from kolony.errors import ConfigurationError

T = TypeVar("T")


def read(file: Path, build: Callable[[Any], T]) -> T:
    """What is built from the plain data in a JSON or YAML file.

    Raises:
        ConfigurationError: it cannot be read, or ``build`` raised a `ValueError`; the text names the file.
    """
    try:
        return build(_data(file))
    except (OSError, ValueError) as error:
        raise ConfigurationError(f"{file} cannot be used: {error}") from error


def _data(file: Path) -> Any:
    text = file.read_text()
    if file.suffix not in (".yaml", ".yml"):
        return msgspec.json.decode(text)
    import yaml

    try:
        return yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise ValueError(error) from error
