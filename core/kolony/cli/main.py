"""The command ``kolony``."""

from __future__ import annotations

import sys
from typing import Annotated

import typer

from kolony.cli import colonies, crons, executors, generators, keys, processes, workflows
from kolony.cli.cluster import show_cluster
from kolony.cli.output import complain
from kolony.cli.plugins import PluginGroup
from kolony.cli.submit import submit
from kolony.errors import KolonyError

app = typer.Typer(
    name="kolony",
    cls=PluginGroup,
    help="Submit work to a colony, look at it, and manage who does it.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
app.command()(submit)
app.add_typer(processes.app, name="process")
app.add_typer(workflows.app, name="workflow")
app.add_typer(crons.app, name="cron")
app.add_typer(generators.app, name="generator")
app.add_typer(executors.app, name="executor")
app.add_typer(colonies.app, name="colony")
app.command("cluster")(show_cluster)
app.add_typer(keys.app, name="key")


def _version(wanted: bool) -> None:
    if wanted:
        from kolony import __version__

        typer.echo(f"kolony {__version__}")
        raise typer.Exit


@app.callback()
def root(
    ctx: typer.Context,
    host: Annotated[str | None, typer.Option(help="Server [COLONIES_SERVER_HOST].")] = None,
    port: Annotated[int | None, typer.Option(help="Port of the server [COLONIES_SERVER_PORT].")] = None,
    tls: Annotated[bool | None, typer.Option("--tls/--insecure", help="HTTPS or HTTP [COLONIES_TLS].")] = None,
    colony: Annotated[str | None, typer.Option(help="Colony [COLONIES_COLONY_NAME].")] = None,
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Show the version.")
    ] = False,
) -> None:
    """Keep the flags for the command that follows."""
    flags = {"host": host, "port": port, "tls": tls, "colony": colony}
    ctx.obj = {name: value for name, value in flags.items() if value is not None}


def main() -> None:
    """Run the command line; an error is one line on standard error and exit code 1."""
    try:
        app(prog_name="kolony")
    except KolonyError as error:
        complain(error)
        sys.exit(1)
