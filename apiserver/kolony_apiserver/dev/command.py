"""``kolony dev``: a whole colony on this machine, with one command."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from kolony.errors import ConfigurationError


def dev(
    port: Annotated[int, typer.Option(min=1, max=65535, help="Port of the server on 127.0.0.1.")] = 50080,
    data: Annotated[Path, typer.Option(help="Folder of the database, the keys and the log.")] = Path(".kolony"),
    executor: Annotated[bool, typer.Option(help="Run an example executor.")] = True,
) -> None:
    """Run a colony on this machine until Ctrl-C; started again it continues with its data."""
    try:
        from kolony_apiserver.dev.colony import run
    except ModuleNotFoundError as error:
        raise ConfigurationError(f"`kolony dev` needs the package {error.name}: pip install 'kolony[dev]'") from error
    run(port=port, data=data, executor=executor)
