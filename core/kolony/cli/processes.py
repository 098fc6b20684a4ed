"""Commands about processes."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Annotated

import typer

from kolony.cli.context import connect
from kolony.cli.output import (
    Columns,
    Output,
    OutputOption,
    age,
    compact,
    duration,
    is_set,
    moment,
    show_list,
    show_one,
    state_name,
    written,
)
from kolony.cli.picking import MOST_LISTED, CountOption, IdArgument, StateOption, distinct_digits, resolve, states
from kolony.model.processes import Process, ProcessState
from kolony.model.workflows import Workflow

if TYPE_CHECKING:
    from kolony.sdk.client import Client

app = typer.Typer(help="Processes of the colony.", no_args_is_help=True)

_FIRST_LOGS = 500

_COLUMNS: Columns[Process] = (
    ("STATE", lambda process: state_name(process.state)),
    ("FUNCTION", lambda process: process.spec.funcname),
    ("ARGS", lambda process: _cut(" ".join(map(compact, process.spec.args)))),
    ("TYPE", lambda process: process.spec.conditions.executortype),
    ("INITIATOR", lambda process: process.initiatorname),
    ("LABEL", lambda process: process.spec.label),
    ("AGE", lambda process: age(process.submissiontime)),
)


@app.command("list")
def list_processes(
    ctx: typer.Context,
    state: StateOption = None,
    count: CountOption = 20,
    executortype: Annotated[str, typer.Option("--executortype", "--type", help="Only for this executor type.")] = "",
    label: Annotated[str, typer.Option(help="Only with this label.")] = "",
    initiator: Annotated[str, typer.Option(help="Only of this user.")] = "",
    output: OutputOption = Output.TABLE,
) -> None:
    """List processes: those in the queue in its order, then the running, then the ended ones, newest end first."""
    if sum(map(bool, (executortype, label, initiator))) > 1:
        raise typer.BadParameter("only one of --executortype, --label and --initiator counts")
    wanted = states(state)
    with connect(ctx) as client:
        found = [
            process
            for each in wanted
            for process in client.processes.find(
                each, count=count, executortype=executortype, label=label, initiator=initiator
            )
        ]
    digits = distinct_digits([process.processid for process in found])
    show_list(found, (("ID", lambda process: process.processid[:digits]), *_COLUMNS), output)


@app.command()
def get(ctx: typer.Context, processid: IdArgument, output: OutputOption = Output.TABLE) -> None:
    """Show a process."""
    with connect(ctx) as client:
        process = client.processes.get(_resolve(client, processid))
    show_one(process, rows(process), output)


@app.command()
def cancel(ctx: typer.Context, processid: IdArgument) -> None:
    """Cancel a waiting or running process."""
    with connect(ctx) as client:
        found = _resolve(client, processid)
        client.processes.cancel(found)
    typer.echo(f"cancelled {found}")


@app.command()
def remove(ctx: typer.Context, processid: IdArgument) -> None:
    """Delete a process that does not run."""
    with connect(ctx) as client:
        found = _resolve(client, processid)
        client.processes.remove(found)
    typer.echo(f"removed {found}")


@app.command()
def logs(
    ctx: typer.Context,
    processid: IdArgument,
    follow: Annotated[bool, typer.Option("--follow", "-f", help="Go on until the process has ended.")] = False,
    count: Annotated[int, typer.Option(min=1, max=_FIRST_LOGS, help="Most entries, the newest ones.")] = _FIRST_LOGS,
    output: OutputOption = Output.TABLE,
) -> None:
    """Show the log of a process."""
    with connect(ctx) as client:
        found = _resolve(client, processid)
        if not follow:
            entries = client.logs.find(found, count=count, latest=True)
            if output is not Output.TABLE:
                typer.echo(written(entries, output))
            else:
                for entry in entries:
                    typer.echo(entry.message)
            return
        for entry in client.logs.follow(found):
            typer.echo(entry.message if output is Output.TABLE else compact(entry))


def rows(process: Process) -> Iterator[tuple[str, str]]:
    """What people want to know about a process."""
    spec, conditions = process.spec, process.spec.conditions
    yield "id", process.processid
    yield "state", state_name(process.state)
    yield "function", spec.funcname
    yield "args", compact(spec.args) if spec.args else ""
    yield "kwargs", compact(spec.kwargs) if spec.kwargs else ""
    yield "executor type", conditions.executortype
    yield "executor names", ", ".join(conditions.executornames or ())
    yield "location", conditions.locationname or ""
    yield "priority", str(spec.priority or "")
    yield "label", spec.label
    yield "env", " ".join(f"{name}={value}" for name, value in spec.env.items())
    yield "initiator", process.initiatorname
    yield "executor", process.assignedexecutorid
    yield "submitted", moment(process.submissiontime)
    yield "started", moment(process.starttime)
    yield "ended", moment(process.endtime) if process.state >= ProcessState.SUCCESS else ""
    yield "took", took(process)
    yield "retries", str(process.retries) if process.retries else ""
    yield "output", compact(process.output) if process.output else ""
    yield "errors", "\n".join(process.errors)


def took(ended: Process | Workflow) -> str:
    """How long something that has ended ran."""
    if ended.state < ProcessState.SUCCESS or not (is_set(ended.starttime) and is_set(ended.endtime)):
        return ""
    return duration((ended.endtime - ended.starttime).total_seconds())


def _resolve(client: Client, text: str) -> str:
    return resolve(text, lambda state: [each.processid for each in client.processes.find(state, count=MOST_LISTED)])


def _cut(text: str, most: int = 40) -> str:
    return text if len(text) <= most else text[: most - 3] + "..."
