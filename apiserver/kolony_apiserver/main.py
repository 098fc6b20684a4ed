"""The command ``kolony-apiserver``: settings, schema, connections, loops, and the web server, in this order."""

from __future__ import annotations

import argparse
import sys

from kolony.errors import KolonyError


def main() -> None:
    """Run a server, or several, until told to stop."""
    workers = _options().workers
    try:
        from kolony_apiserver.logs import configure_logging
        from kolony_apiserver.server import run_until_stopped
        from kolony_apiserver.settings import from_environment
        from kolony_apiserver.workers import supervise
    except ModuleNotFoundError as error:
        sys.exit(f"kolony-apiserver needs the package {error.name}: pip install 'kolony[server]'")
    try:
        settings = from_environment()
        configure_logging(verbose=settings.verbose)
        workers = workers or settings.workers
        if workers == 1:
            run_until_stopped(settings)
        else:
            sys.exit(supervise(settings, workers, lambda own, socket: run_until_stopped(own, listening=socket)))
    except KolonyError as error:
        sys.exit(f"kolony-apiserver: {error.message}")


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="kolony-apiserver",
        description="Serves colonies. Its settings are variables of the environment, described in docs/operations.md.",
    )
    parser.add_argument(
        "--workers",
        type=_count,
        metavar="N",
        help="run so many servers on one port, to use more processors [COLONIES_WORKERS]",
    )
    return parser.parse_args()


def _count(text: str) -> int:
    if (number := int(text)) < 1:
        raise argparse.ArgumentTypeError("at least one")
    return number


if __name__ == "__main__":
    main()
