"""Commands about processes."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
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
from kolony.errors import NotFound
from kolony.model.processes import Process, ProcessState

if TYPE_CHECKING:
    from kolony.sdk.client import Client

app = typer.Typer(help="Processes of the colony.", no_args_is_help=True)

_ID_DIGITS = 64
_SHOWN_DIGITS = 12
_LEAST_DIGITS = 8
_MOST_SHOWN = 100
_FIRST_LOGS = 500

ProcessId = Annotated[str, typer.Argument(metavar="ID", help=f"Its id, or at least the first {_LEAST_DIGITS} digits.")]

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
    state: Annotated[list[str] | None, typer.Option(help="Only in this state; may be repeated.")] = None,
    count: Annotated[int, typer.Option(min=1, max=_MOST_SHOWN, help="Most processes of each state.")] = 20,
    executortype: Annotated[str, typer.Option("--executortype", "--type", help="Only for this executor type.")] = "",
    label: Annotated[str, typer.Option(help="Only with this label.")] = "",
    initiator: Annotated[str, typer.Option(help="Only of this user.")] = "",
    output: OutputOption = Output.TABLE,
) -> None:
    """List processes: those in the queue in its order, then the running, then the ended ones, newest end first."""
    if sum(map(bool, (executortype, label, initiator))) > 1:
        raise typer.BadParameter("only one of --executortype, --label and --initiator counts")
    states = _states(state)
    with connect(ctx) as client:
        found = [
            process
            for wanted in states
            for process in client.processes.find(
                wanted, count=count, executortype=executortype, label=label, initiator=initiator
            )
        ]
    digits = distinct_digits([process.processid for process in found])
    show_list(found, (("ID", lambda process: process.processid[:digits]), *_COLUMNS), output)


@app.command()
def get(ctx: typer.Context, processid: ProcessId, output: OutputOption = Output.TABLE) -> None:
    """Show a process."""
    with connect(ctx) as client:
        process = client.processes.get(resolve(client, processid))
    show_one(process, rows(process), output)


@app.command()
def cancel(ctx: typer.Context, processid: ProcessId) -> None:
    """Cancel a waiting or running process."""
    with connect(ctx) as client:
        found = resolve(client, processid)
        client.processes.cancel(found)
    typer.echo(f"cancelled {found}")


@app.command()
def remove(ctx: typer.Context, processid: ProcessId) -> None:
    """Delete a process that does not run."""
    with connect(ctx) as client:
        found = resolve(client, processid)
        client.processes.remove(found)
    typer.echo(f"removed {found}")


@app.command()
def logs(
    ctx: typer.Context,
    processid: ProcessId,
    follow: Annotated[bool, typer.Option("--follow", "-f", help="Go on until the process has ended.")] = False,
    count: Annotated[int, typer.Option(min=1, max=_FIRST_LOGS, help="Most entries, the newest ones.")] = _FIRST_LOGS,
    output: OutputOption = Output.TABLE,
) -> None:
    """Show the log of a process."""
    with connect(ctx) as client:
        found = resolve(client, processid)
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


def distinct_digits(ids: Sequence[str]) -> int:
    """How many first digits tell the ids apart; ids made at the same time begin alike."""
    different = len(set(ids))
    return next(
        digits
        for digits in range(_SHOWN_DIGITS, _ID_DIGITS + 1)
        if digits == _ID_DIGITS or len({each[:digits] for each in ids}) == different
    )


def resolve(client: Client, text: str) -> str:
    """The id that begins with the given digits, among the processes that the lists show."""
    if len(text) >= _ID_DIGITS:
        return text
    if len(text) < _LEAST_DIGITS:
        raise typer.BadParameter(f"give at least {_LEAST_DIGITS} digits of the id")
    found = {
        process.processid
        for state in ProcessState
        for process in client.processes.find(state, count=_MOST_SHOWN)
        if process.processid.startswith(text)
    }
    if len(found) != 1:
        many = "several processes begin" if found else "no process of the newest ones begins"
        raise NotFound(f"{many} with {text}: give all {_ID_DIGITS} digits of the id")
    return found.pop()


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


def took(process: Process) -> str:
    """How long an ended process ran."""
    if process.state < ProcessState.SUCCESS or not (is_set(process.starttime) and is_set(process.endtime)):
        return ""
    return duration((process.endtime - process.starttime).total_seconds())


def _states(names: list[str] | None) -> list[ProcessState]:
    try:
        return [ProcessState[name.upper()] for name in names or ()] or list(ProcessState)
    except KeyError as error:
        known = ", ".join(map(state_name, ProcessState))
        raise typer.BadParameter(f"{error.args[0].lower()} is no state: {known}") from None


def _cut(text: str, most: int = 40) -> str:
    return text if len(text) <= most else text[: most - 3] + "..."
