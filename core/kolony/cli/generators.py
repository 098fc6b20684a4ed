"""Commands about generators."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from kolony.cli.context import connect
from kolony.cli.files import read
from kolony.cli.naming import named
from kolony.cli.output import Columns, Output, OutputOption, moment, show_list, show_one, written
from kolony.model.generators import Generator

if TYPE_CHECKING:
    from kolony.sdk.client import Client

app = typer.Typer(help="Generators: workflows that start when enough was packed.", no_args_is_help=True)

GeneratorArgument = Annotated[
    str, typer.Argument(metavar="GENERATOR", help="Its name, its id, or the first digits of its id.")
]

_NO_TIMEOUT = -1

_COLUMNS: Columns[Generator] = (
    ("NAME", lambda generator: generator.name),
    ("TRIGGER", lambda generator: str(generator.trigger)),
    ("TIMEOUT", lambda generator: _timeout(generator)),
    ("LAST RUN", lambda generator: moment(generator.lastrun)),
    ("INITIATOR", lambda generator: generator.initiatorname),
    ("ID", lambda generator: generator.generatorid[:12]),
)


@app.command()
def add(
    ctx: typer.Context,
    spec: Annotated[Path, typer.Option(help="JSON or YAML file with a workflow: a list of function specifications.")],
    name: Annotated[str, typer.Option(help="A name that no other generator of the colony has.")],
    trigger: Annotated[int, typer.Option(min=1, help="How many arguments start a workflow.")],
    timeout: Annotated[int, typer.Option(help="Seconds after which fewer do.")] = _NO_TIMEOUT,
    output: OutputOption = Output.TABLE,
) -> None:
    """Add a generator and show its id."""
    from kolony.sdk.specs import read_workflow

    workflow = read(spec, read_workflow)
    with connect(ctx) as client:
        added = client.generators.add(Generator(name=name, trigger=trigger, timeout=timeout), workflow)
    typer.echo(added.generatorid if output is Output.TABLE else written(added, output))


@app.command()
def pack(
    ctx: typer.Context,
    generator: GeneratorArgument,
    args: Annotated[list[str], typer.Argument(help="The arguments, each a text.")],
) -> None:
    """Add arguments to a generator, in this order."""
    with connect(ctx) as client:
        found = _resolve(client, generator)
        for arg in args:
            client.generators.pack(found, arg)
    typer.echo(f"packed {len(args)}")


@app.command()
def get(ctx: typer.Context, generator: GeneratorArgument, output: OutputOption = Output.TABLE) -> None:
    """Show a generator, and how many arguments wait."""
    with connect(ctx) as client:
        found = client.generators.get(_resolve(client, generator))
    show_one(found, _rows(found), output)


@app.command("list")
def list_generators(ctx: typer.Context, output: OutputOption = Output.TABLE) -> None:
    """List the generators, the oldest first."""
    with connect(ctx) as client:
        found = client.generators.find()
    show_list(found, _COLUMNS, output)


@app.command()
def remove(ctx: typer.Context, generator: GeneratorArgument) -> None:
    """Remove a generator and what waits in it; workflows that it started go on."""
    with connect(ctx) as client:
        found = _resolve(client, generator)
        client.generators.remove(found)
    typer.echo(f"removed {found}")


def _resolve(client: Client, text: str) -> str:
    return named(text, "generator", lambda: ((each.generatorid, each.name) for each in client.generators.find()))


def _timeout(generator: Generator) -> str:
    return f"{generator.timeout}s" if generator.timeout > 0 else ""


def _rows(generator: Generator) -> Iterator[tuple[str, str]]:
    yield "id", generator.generatorid
    yield "name", generator.name
    yield "trigger", str(generator.trigger)
    yield "timeout", _timeout(generator)
    yield "waiting", str(generator.queuesize)
    yield "first pack", moment(generator.firstpack)
    yield "last run", moment(generator.lastrun)
    yield "initiator", generator.initiatorname
    yield "workflow", generator.workflowspec
