"""The command ``kolony-apiserver``: settings, schema, connections, loops, and the web server, in this order."""

from __future__ import annotations

import sys


def main() -> None:
    """Run a server until it is told to stop."""
    try:
        from kolony_apiserver.server import run
    except ModuleNotFoundError as error:
        sys.exit(f"kolony-apiserver needs the package {error.name}: pip install 'kolony[server]'")
    run()


if __name__ == "__main__":
    main()
