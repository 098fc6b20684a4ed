"""The programs of the native cluster: Kubernetes built from the modules that `go/` pins, and etcd as Debian builds it.

They are kept in a folder per version outside the checkout, so that only the first run on a machine builds.
"""

from __future__ import annotations

import fcntl
import os
import platform
import re
import shutil
import subprocess
import tempfile
import time
from collections import deque
from pathlib import Path

CACHE = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "kolony"

_SOURCE = Path(__file__).parent / "go"
_PINNED = (_SOURCE / "go.mod").read_text()
_VERSION = re.findall(r"k8s\.io/kubernetes (v\S+)", _PINNED)[0]
_BUILT = re.findall(r"^\tk8s\.io/kubernetes/cmd/(\S+)$", _PINNED, re.MULTILINE)

_NEEDED = {"openssl": "openssl", "setpriv": "util-linux"}
"""Programs of the machine, and the packages that have them."""

_PROGRESS_INTERVAL = 15.0
"""Seconds between two lines that say how far a build is."""


class Missing(Exception):
    """The machine lacks something; the text says what to install."""


def installed() -> Path:
    """The folder of the programs; what is missing in it is built or unpacked first."""
    for program, package in _NEEDED.items():
        if shutil.which(program) is None:
            raise Missing(f"the native cluster needs {program}: install the package {package}, or set KUBECONFIG")
    folder = CACHE / f"kubernetes-{_VERSION}-{platform.machine()}"
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not (folder / "etcd").exists():
            _unpack_etcd(folder)
        if not all((folder / name).exists() for name in _BUILT):
            _build(folder)
    return folder


def _build(folder: Path) -> None:
    if shutil.which("go") is None:
        raise Missing("the native cluster is built from source: install Go 1.24 or later, or set KUBECONFIG")
    print(f"Building {', '.join(_BUILT)} {_VERSION} into {folder}: minutes, and only once ...", flush=True)
    minor = _VERSION.split(".")[1]
    names = {"gitVersion": _VERSION, "gitMajor": "1", "gitMinor": minor}
    flags = " ".join(f"-X k8s.io/component-base/version.{name}={value}" for name, value in names.items())
    with tempfile.TemporaryDirectory(dir=folder) as unfinished:
        process = subprocess.Popen(
            ["go", "build", "-v", "-buildvcs=false", "-ldflags", f"-s -w {flags}", "-o", f"{unfinished}/", "tool"],
            cwd=_SOURCE,
            env={**os.environ, "CGO_ENABLED": "0"},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        last = _follow(process)
        if process.wait() != 0:
            raise Missing(f"the build failed; it needs Go 1.24 or later and a way to its modules:\n{last}")
        for program in Path(unfinished).iterdir():
            program.replace(folder / program.name)


def _follow(process: subprocess.Popen[str]) -> str:
    """Say now and then how far a build is, until it ends; its last words."""
    begun = said = time.monotonic()
    last: deque[str] = deque(maxlen=15)
    assert process.stdout is not None
    for steps, line in enumerate(process.stdout, start=1):
        last.append(line)
        if (now := time.monotonic()) - said > _PROGRESS_INTERVAL:
            print(f"  {now - begun:4.0f} s, {steps} modules and packages", flush=True)
            said = now
    return "".join(last)


def _unpack_etcd(folder: Path) -> None:
    """Take etcd out of its Debian package: an installed one would run as a service of the machine."""
    if found := shutil.which("etcd"):
        shutil.copy2(found, folder / "etcd")
        return
    with tempfile.TemporaryDirectory() as place:
        download = ["apt-get", "download", "etcd-server"]
        if not _done(download, place):
            _done(["apt-get", "update"], place)  # a fresh machine has no lists yet; only root can get them
            _done(download, place)
        packages = list(Path(place).glob("*.deb"))
        if not packages or not _done(["dpkg-deb", "--extract", str(packages[0]), place], place):
            raise Missing("the native cluster needs etcd: install the package etcd-server, or set KUBECONFIG")
        shutil.copy2(Path(place) / "usr/bin/etcd", folder / "etcd")


def _done(command: list[str], folder: str) -> bool:
    """Whether a command could be run and went well."""
    if shutil.which(command[0]) is None:
        return False
    return subprocess.run(command, cwd=folder, capture_output=True, check=False).returncode == 0
