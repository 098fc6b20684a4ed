"""The distribution as a user gets it: without extras it is the client library and the command line."""

from __future__ import annotations

import subprocess
import sys
import venv
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PIP = [sys.executable, "-m", "pip", "--disable-pip-version-check", "--quiet"]


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel, built from the checkout by the pinned build backend."""
    folder = tmp_path_factory.mktemp("wheel")
    subprocess.run([*PIP, "wheel", "--no-deps", "--no-build-isolation", "--wheel-dir", folder, ROOT], check=True)
    (wheel,) = folder.glob("kolony-*.whl")
    return wheel


@pytest.fixture(scope="module")
def programs(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The programs of an environment that holds the wheel and its dependencies, and nothing else."""
    environment = tmp_path_factory.mktemp("environment")
    venv.create(environment, symlinks=True)
    programs = environment / "bin"
    pip = [*PIP, "--python", programs / "python"]
    subprocess.run([*pip, "install", "--constraint", ROOT / "constraints.txt", wheel], check=True)
    return programs


def run(program: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([program, *arguments], cwd=program.parent, capture_output=True, text=True, check=False)


def test_the_wheel_holds_what_is_no_python(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        names = set(archive.namelist())
    sources = [*(ROOT / "core").rglob("*"), *(ROOT / "apiserver").rglob("*")]
    files = [path for path in sources if path.is_file() and path.suffix in {".sql", ".typed", ".html", ".css", ".js"}]
    expected = {path.relative_to(ROOT).as_posix().split("/", 1)[1] for path in files}
    assert expected
    assert expected - names == set()


def test_the_client_library_stands_alone(programs: Path) -> None:
    done = run(programs / "python", "-I", "-W", "error", "-c", "import kolony.sdk")
    assert (done.returncode, done.stderr) == (0, "")


def test_the_command_line_stands_alone(programs: Path) -> None:
    done = run(programs / "kolony", "--help")
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.parametrize(
    ("command", "extra"), [(["kolony-apiserver"], "kolony[server]"), (["kolony", "dev"], "kolony[dev]")]
)
def test_a_command_without_its_extra_says_which_to_install(programs: Path, command: list[str], extra: str) -> None:
    done = run(programs / command[0], *command[1:])
    assert done.returncode != 0
    assert len(done.stderr.splitlines()) == 1
    assert extra in done.stderr
