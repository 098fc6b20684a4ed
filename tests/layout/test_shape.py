"""Where files may be, and what they may not hold."""

from __future__ import annotations

import ast
from pathlib import Path

ROOT = Path(__file__).parents[2]
SOURCE_ROOTS = [ROOT / name for name in ("core", "apiserver", "operator", "executors")]
PACKAGES = [package for folder in SOURCE_ROOTS for package in folder.glob("kolony*")]
TESTS = ROOT / "tests"


def test_source_roots_are_no_packages() -> None:
    """A package named operator would hide the standard module that Python itself needs to start."""
    assert [path for folder in SOURCE_ROOTS for path in folder.glob("*.py")] == []


def test_tests_are_no_packages() -> None:
    assert list(TESTS.rglob("__init__.py")) == []


def test_every_folder_of_a_package_is_a_package() -> None:
    assert PACKAGES
    folders = {module.parent for package in PACKAGES for module in package.rglob("*.py")}
    assert [folder for folder in sorted(folders) if not (folder / "__init__.py").exists()] == []


def test_packages_are_typed() -> None:
    assert [package for package in PACKAGES if not (package / "py.typed").exists()] == []


def test_no_test_is_skipped() -> None:
    ways = {"skip", "skipif", "skipIf", "SkipTest", "importorskip", "xfail"}
    found = [
        f"{path.relative_to(ROOT)}:{node.lineno}"
        for path in TESTS.rglob("*.py")
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Attribute) and node.attr in ways
    ]
    assert found == []
