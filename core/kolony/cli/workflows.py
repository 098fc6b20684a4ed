"""Commands about workflows."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from kolony.cli.context import connect
from kolony.cli.files import read
from kolony.cli.output import Columns, Output, OutputOption, age, compact, console, show_list, state_name, written
from kolony.cli.picking import MOST_LISTED, CountOption, IdArgument, StateOption, distinct_digits, resolve, states
from kolony.cli.processes import took
from kolony.model.processes import ProcessState
from kolony.model.workflows import Workflow, WorkflowSpec

if TYPE_CHECKING:
    from kolony.sdk.client import Client

app = typer.Typer(help="Workflows: graphs of functions.", no_args_is_help=True)

_COLUMNS: Columns[Workflow] = (
    ("STATE", lambda workflow: state_name(workflow.state)),
    ("NODES", lambda workflow: str(len(workflow.processids))),
    ("INITIATOR", lambda workflow: workflow.initiatorname),
    ("AGE", lambda workflow: age(workflow.submissiontime)),
    ("TOOK", took),
)


@app.command()
def submit(
    ctx: typer.Context,
    spec: Annotated[Path, typer.Option(help="JSON or YAML file with a list of function specifications.")],
    wait: Annotated[bool, typer.Option("--wait", "-w", help="Follow it to its end.")] = False,
    output: OutputOption = Output.TABLE,
) -> None:
    """Submit a workflow and show its id.

    With --wait it is drawn on standard error as it runs, and the outputs of its last nodes go to standard output; the
    exit code is 1 when it failed or was cancelled.
    """
    wanted = read(spec, _specification)
    with connect(ctx) as client:
        workflow = client.workflows.submit(wanted)
        if wait:
            # loads the drawing
            from kolony.cli.trees import follow

            workflow = follow(client, workflow.processgraphid)
        if output is not Output.TABLE:
            typer.echo(written(workflow, output))
        elif not wait:
            typer.echo(workflow.processgraphid)
        else:
            for value in _outputs(client, workflow):
                typer.echo(compact(value))
    if wait and workflow.state != ProcessState.SUCCESS:
        raise typer.Exit(1)


@app.command("list")
def list_workflows(
    ctx: typer.Context, state: StateOption = None, count: CountOption = 20, output: OutputOption = Output.TABLE
) -> None:
    """List workflows: those that wait, then the running, then the ended ones, newest first."""
    wanted = states(state)
    with connect(ctx) as client:
        found = [workflow for each in wanted for workflow in client.workflows.find(each, count=count)]
    digits = distinct_digits([workflow.processgraphid for workflow in found])
    show_list(found, (("ID", lambda workflow: workflow.processgraphid[:digits]), *_COLUMNS), output)


@app.command()
def get(ctx: typer.Context, processgraphid: IdArgument, output: OutputOption = Output.TABLE) -> None:
    """Show a workflow: its nodes and their states, and why some failed."""
    with connect(ctx) as client:
        workflow = client.workflows.get(_resolve(client, processgraphid))
        if output is not Output.TABLE:
            typer.echo(written(workflow, output))
        else:
            from kolony.cli.trees import show

            show(client, workflow, console())


@app.command()
def cancel(ctx: typer.Context, processgraphid: IdArgument) -> None:
    """Cancel what waits and what runs of a workflow."""
    with connect(ctx) as client:
        found = _resolve(client, processgraphid)
        client.workflows.cancel(found)
    typer.echo(f"cancelled {found}")


@app.command()
def remove(ctx: typer.Context, processgraphid: IdArgument) -> None:
    """Delete a workflow that does not run, with its processes."""
    with connect(ctx) as client:
        found = _resolve(client, processgraphid)
        client.workflows.remove(found)
    typer.echo(f"removed {found}")


def _resolve(client: Client, text: str) -> str:
    def listed(state: ProcessState) -> list[str]:
        return [each.processgraphid for each in client.workflows.find(state, count=MOST_LISTED)]

    return resolve(text, listed)


def _specification(data: Any) -> WorkflowSpec:
    from kolony.sdk.specs import read_workflow

    if isinstance(data, dict) and "functionspecs" not in data:
        raise ValueError("it holds one function specification and no list; submit it with `kolony submit --spec`")
    return read_workflow(data)


def _outputs(client: Client, workflow: Workflow) -> Iterator[Any]:
    """What came out of the nodes that have no children."""
    inner = {edge.source for edge in workflow.edges}
    for processid in workflow.processids:
        if processid not in inner:
            yield from client.processes.get(processid).output
