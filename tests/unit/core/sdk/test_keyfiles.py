"""Keys in files."""

from __future__ import annotations

import stat
from pathlib import Path

import pytest

from kolony.crypto import PrivateKey
from kolony.errors import ConfigurationError
from kolony.sdk.keyfiles import read_key, read_or_make_key, write_key


def test_a_key_is_kept(tmp_path: Path) -> None:
    first = read_or_make_key(tmp_path / "key")
    assert read_or_make_key(tmp_path / "key").hex == first.hex


def test_only_the_owner_may_read_it(tmp_path: Path) -> None:
    write_key(tmp_path / "key", PrivateKey.generate())
    assert stat.S_IMODE((tmp_path / "key").stat().st_mode) == 0o600


def test_no_key_is_overwritten(tmp_path: Path) -> None:
    (tmp_path / "key").write_text("precious")
    with pytest.raises(ConfigurationError, match="exists already"):
        write_key(tmp_path / "key", PrivateKey.generate())
    assert (tmp_path / "key").read_text() == "precious"


def test_what_is_no_key_file_is_named(tmp_path: Path) -> None:
    (tmp_path / "text").write_text("nothing")
    for path in (tmp_path / "text", tmp_path / "missing", tmp_path):
        with pytest.raises(ConfigurationError, match=str(path)):
            read_key(path)
    with pytest.raises(ConfigurationError, match="cannot write"):
        write_key(tmp_path / "no" / "folder", PrivateKey.generate())
