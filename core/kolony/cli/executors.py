"""Commands about executors."""

from __future__ import annotations

from typing import Annotated

import typer

from kolony.cli.context import connect, connect_as_colony_owner
from kolony.cli.output import Columns, Output, OutputOption, age, show_list
from kolony.model.executors import Executor, ExecutorState

app = typer.Typer(help="Executors of the colony.", no_args_is_help=True)

_COLUMNS: Columns[Executor] = (
    ("NAME", lambda executor: executor.executorname),
    ("TYPE", lambda executor: executor.executortype),
    ("STATE", lambda executor: ExecutorState(executor.state).name.lower()),
    ("LOCATION", lambda executor: executor.locationname or ""),
    ("LAST HEARD", lambda executor: age(executor.lastheardfromtime)),
)


@app.command("list")
def list_executors(
    ctx: typer.Context,
    executortype: Annotated[str, typer.Option("--type", help="Only executors of this type.")] = "",
    everyone: Annotated[bool, typer.Option("--all", help="Also those that were removed.")] = False,
    output: OutputOption = Output.TABLE,
) -> None:
    """List the executors."""
    with connect(ctx) as client:
        found = client.executors.find()
    wanted = [
        executor
        for executor in found
        if (everyone or executor.state != ExecutorState.UNREGISTERED)
        and (not executortype or executor.executortype == executortype)
    ]
    show_list(sorted(wanted, key=lambda executor: executor.executorname), _COLUMNS, output)


@app.command()
def approve(ctx: typer.Context, name: str) -> None:
    """Let an executor take work (needs the colony owner's key)."""
    with connect_as_colony_owner(ctx) as client:
        client.executors.approve(name)
    typer.echo(f"approved {name}")


@app.command()
def reject(ctx: typer.Context, name: str) -> None:
    """Refuse an executor (needs the colony owner's key)."""
    with connect_as_colony_owner(ctx) as client:
        client.executors.reject(name)
    typer.echo(f"rejected {name}")
