"""Commands about colonies."""

from __future__ import annotations

import typer

from kolony.cli.context import connect_as_server_owner
from kolony.cli.output import Columns, Output, OutputOption, show_list
from kolony.model.colonies import Colony

app = typer.Typer(help="Colonies of the server.", no_args_is_help=True)

_COLUMNS: Columns[Colony] = (("NAME", lambda colony: colony.name), ("OWNER", lambda colony: colony.colonyid))


@app.command("list")
def list_colonies(ctx: typer.Context, output: OutputOption = Output.TABLE) -> None:
    """List the colonies (needs the server owner's key)."""
    with connect_as_server_owner(ctx) as client:
        show_list(client.colonies.find(), _COLUMNS, output)
