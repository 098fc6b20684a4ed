"""Commands about crons."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from kolony.cli.context import connect
from kolony.cli.files import read
from kolony.cli.naming import named
from kolony.cli.output import Columns, Output, OutputOption, moment, show_list, show_one, written
from kolony.model.crons import BY_EXPRESSION, USUAL_MISSED, Cron, MissedPolicy

if TYPE_CHECKING:
    from kolony.sdk.client import Client

app = typer.Typer(help="Crons: workflows that start by time.", no_args_is_help=True)

CronArgument = Annotated[str, typer.Argument(metavar="CRON", help="Its name, its id, or the first digits of its id.")]

_COLUMNS: Columns[Cron] = (
    ("NAME", lambda cron: cron.name),
    ("WHEN", lambda cron: _when(cron)),
    ("NEXT RUN", lambda cron: "paused" if cron.paused else moment(cron.nextrun)),
    ("LAST RUN", lambda cron: moment(cron.lastrun)),
    ("INITIATOR", lambda cron: cron.initiatorname),
    ("ID", lambda cron: cron.cronid[:12]),
)


@app.command()
def add(
    ctx: typer.Context,
    spec: Annotated[Path, typer.Option(help="JSON or YAML file with a workflow: a list of function specifications.")],
    name: Annotated[str, typer.Option(help="A name that no other cron of the colony has.")],
    cron: Annotated[
        str, typer.Option(metavar="EXPRESSION", help="Six fields: second, minute, hour, day, month, weekday.")
    ] = "",
    interval: Annotated[int, typer.Option(help="Seconds from run to run, instead of an expression.")] = BY_EXPRESSION,
    random: Annotated[bool, typer.Option("--random", help="At a random time within the interval.")] = False,
    waitprevious: Annotated[
        bool, typer.Option("--waitprevious", help="Wait for the end of the previous workflow.")
    ] = False,
    timezone: Annotated[str, typer.Option(help="Zone of the expression, such as Europe/Stockholm.")] = "",
    missed: Annotated[
        MissedPolicy, typer.Option(help="What becomes of runs that were missed: one run, none, or all.")
    ] = MissedPolicy.ONCE,
    missedlimit: Annotated[int, typer.Option(help="Most runs that are made up for.")] = USUAL_MISSED,
    output: OutputOption = Output.TABLE,
) -> None:
    """Add a cron and show its id."""
    from kolony.sdk.specs import read_workflow

    workflow = read(spec, read_workflow)
    wanted = Cron(
        name=name,
        cronexpression=cron,
        interval=interval,
        random=random,
        waitforprevprocessgraph=waitprevious,
        timezone=timezone,
        missed=missed,
        missedlimit=missedlimit,
    )
    with connect(ctx) as client:
        added = client.crons.add(wanted, workflow)
    typer.echo(added.cronid if output is Output.TABLE else written(added, output))


@app.command()
def get(ctx: typer.Context, cron: CronArgument, output: OutputOption = Output.TABLE) -> None:
    """Show a cron."""
    with connect(ctx) as client:
        found = client.crons.get(_resolve(client, cron))
    show_one(found, _rows(found), output)


@app.command("list")
def list_crons(ctx: typer.Context, output: OutputOption = Output.TABLE) -> None:
    """List the crons, the oldest first."""
    with connect(ctx) as client:
        found = client.crons.find()
    show_list(found, _COLUMNS, output)


@app.command()
def run(ctx: typer.Context, cron: CronArgument, output: OutputOption = Output.TABLE) -> None:
    """Run a cron now, and show the id of the workflow.

    The exit code is 1 when nothing was started: it waits for its previous workflow, or that cannot be started.
    """
    with connect(ctx) as client:
        before = client.crons.get(_resolve(client, cron))
        after = client.crons.run(before.cronid)
    if after.lastrun == before.lastrun:
        typer.echo("nothing was started: it waits for its previous workflow, or the server's log says why", err=True)
        raise typer.Exit(1)
    typer.echo(after.prevprocessgraphid if output is Output.TABLE else written(after, output))


@app.command()
def pause(ctx: typer.Context, cron: CronArgument) -> None:
    """Let a cron rest; runs that it would have made meanwhile are not made up for."""
    with connect(ctx) as client:
        paused = client.crons.pause(_resolve(client, cron))
    typer.echo(f"paused {paused.cronid}")


@app.command()
def resume(ctx: typer.Context, cron: CronArgument) -> None:
    """Let a cron run again."""
    with connect(ctx) as client:
        resumed = client.crons.resume(_resolve(client, cron))
    typer.echo(f"resumed {resumed.cronid}")


@app.command()
def remove(ctx: typer.Context, cron: CronArgument) -> None:
    """Remove a cron; workflows that it started go on."""
    with connect(ctx) as client:
        found = _resolve(client, cron)
        client.crons.remove(found)
    typer.echo(f"removed {found}")


def _resolve(client: Client, text: str) -> str:
    return named(text, "cron", lambda: ((cron.cronid, cron.name) for cron in client.crons.find()))


def _when(cron: Cron) -> str:
    if cron.interval > 0:
        return f"{'within' if cron.random else 'every'} {cron.interval}s"
    return f"{cron.cronexpression} ({cron.timezone})" if cron.timezone else cron.cronexpression


def _rows(cron: Cron) -> Iterator[tuple[str, str]]:
    yield "id", cron.cronid
    yield "name", cron.name
    yield "when", _when(cron)
    yield "paused", "yes" if cron.paused else ""
    yield "next run", moment(cron.nextrun)
    yield "last run", moment(cron.lastrun)
    yield "last workflow", cron.prevprocessgraphid
    yield "waits for it", "yes" if cron.waitforprevprocessgraph else ""
    yield "missed runs", f"{cron.missed or MissedPolicy.ONCE}"
    yield "initiator", cron.initiatorname
    yield "workflow", cron.workflowspec
