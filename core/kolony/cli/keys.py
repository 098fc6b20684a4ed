"""Commands about keys; they need no server."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from kolony.cli.output import Output, OutputOption, show_one
from kolony.crypto import PrivateKey
from kolony.errors import BadRequest, ConfigurationError
from kolony.sdk.keyfiles import read_key, write_key
from kolony.sdk.settings import member_key

app = typer.Typer(help="Private keys and their identities.", no_args_is_help=True)


@app.command()
def new(
    file: Annotated[Path | None, typer.Option(help="Write the key to a new file that only you can read.")] = None,
    output: OutputOption = Output.TABLE,
) -> None:
    """Make a private key and show it with its identity; with --file show the identity alone."""
    key = PrivateKey.generate()
    if file is None:
        shown = {"prvkey": key.hex, "id": key.identity}
    else:
        write_key(file, key)
        shown = {"id": key.identity}
    show_one(shown, shown.items(), output)


@app.command("id")
def identity(
    file: Annotated[str, typer.Option(help="File with the key, - for standard input.")] = "",
    output: OutputOption = Output.TABLE,
) -> None:
    """Show the identity of a key: the one in COLONIES_PRVKEY, or in a file."""
    key = _read(file) if file else member_key()
    if output is Output.TABLE:
        typer.echo(key.identity)
    else:
        show_one({"id": key.identity}, (), output)


def _read(file: str) -> PrivateKey:
    if file != "-":
        return read_key(Path(file))
    try:
        return PrivateKey(sys.stdin.read().strip())
    except BadRequest as error:
        raise ConfigurationError(f"standard input holds no private key: {error.message}") from None
