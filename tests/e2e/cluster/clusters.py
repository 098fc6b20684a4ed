"""The cluster that the tests use: the one KUBECONFIG names, else kind, else one of our own.

`python clusters.py prepare` does now what takes minutes on a machine's first run; `up` and `down` are for developers.
"""

from __future__ import annotations

import json
import os
import secrets
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from binaries import CACHE, Missing, installed
from native import NativeCluster


@dataclass(frozen=True)
class Cluster:
    """A cluster, as an administrator reaches it."""

    kubeconfig: Path
    program: str = "kubectl"

    def kubectl(self, *arguments: str, given: str = "") -> str:
        """What a command prints when its input is ``given``."""
        command = [self.program, "--kubeconfig", str(self.kubeconfig), *arguments]
        done = subprocess.run(command, input=given, capture_output=True, text=True, check=False)
        if done.returncode != 0:
            raise RuntimeError(f"kubectl {' '.join(arguments)}: {done.stderr}")
        return done.stdout

    def address(self) -> dict[str, str]:
        """How a client finds the API and knows that it is this one."""
        view = json.loads(self.kubectl("config", "view", "--raw", "--minify", "--flatten", "--output=json"))
        address: dict[str, str] = view["clusters"][0]["cluster"]
        return address


@contextmanager
def open_cluster(folder: Path) -> Iterator[Cluster]:
    """The cluster of a run of the tests, which ends with it unless it was there before."""
    if given := os.environ.get("KUBECONFIG"):
        yield Cluster(Path(given))
    elif _has_kind():
        with _kind(folder) as kubeconfig:
            yield Cluster(kubeconfig)
    else:
        native = NativeCluster(folder, tied=True)
        native.start()
        try:
            yield Cluster(native.kubeconfig, str(installed() / "kubectl"))
        finally:
            native.stop()


def _has_kind() -> bool:
    if shutil.which("kind") is None or shutil.which("docker") is None:
        return False
    return subprocess.run(["docker", "info"], capture_output=True, check=False).returncode == 0


@contextmanager
def _kind(folder: Path) -> Iterator[Path]:
    folder.mkdir(parents=True, exist_ok=True)
    kubeconfig = folder / "kubeconfig"
    here = ["--name", f"kolony-{secrets.token_hex(3)}", "--kubeconfig", str(kubeconfig)]
    try:
        subprocess.run(["kind", "create", "cluster", "--wait", "120s", *here], check=True)
        yield kubeconfig
    finally:
        subprocess.run(["kind", "delete", "cluster", *here], check=True)


def _prepare() -> None:
    if not os.environ.get("KUBECONFIG") and not _has_kind():
        installed()


def _up() -> None:
    cluster = NativeCluster(CACHE / "cluster", tied=False)
    if not cluster.running:
        shutil.rmtree(CACHE / "cluster", ignore_errors=True)
        cluster.start()
    print(f"export KUBECONFIG={cluster.kubeconfig}")


def _down() -> None:
    NativeCluster(CACHE / "cluster", tied=False).stop()
    shutil.rmtree(CACHE / "cluster", ignore_errors=True)


if __name__ == "__main__":
    try:
        {"prepare": _prepare, "up": _up, "down": _down}[sys.argv[1]]()
    except Missing as error:
        sys.exit(str(error))
