"""The package's own names: there, and loaded only when they are used."""

from __future__ import annotations

import importlib.metadata
import subprocess
import sys

import pytest

import kolony


@pytest.mark.parametrize("name", kolony.__all__)
def test_public_names_are_there(name: str) -> None:
    assert getattr(kolony, name) is not None
    assert name in dir(kolony)


def test_the_version_is_that_of_the_distribution() -> None:
    assert kolony.__version__ == importlib.metadata.version("kolony")


def test_other_names_are_not() -> None:
    with pytest.raises(AttributeError, match="nothing_like_it"):
        kolony.nothing_like_it  # noqa: B018


def test_the_protocol_does_not_load_the_client() -> None:
    code = "import sys, kolony.wire.processes; print('httpx' in sys.modules, 'typer' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["False", "False"]
