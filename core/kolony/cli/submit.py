"""The command that submits work, and follows it when asked to."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, cast

import msgspec
import typer

from kolony.cli.context import connect, settings
from kolony.cli.files import read
from kolony.cli.output import Output, OutputOption, compact, written
from kolony.model.functionspecs import FunctionSpec
from kolony.model.processes import Process, ProcessState

if TYPE_CHECKING:
    from kolony.sdk.specs import SpecOptions


def submit(
    ctx: typer.Context,
    function: Annotated[str | None, typer.Argument(help="Name of the function.")] = None,
    args: Annotated[list[str] | None, typer.Argument(help="Its arguments, as JSON or else as text.")] = None,
    spec: Annotated[Path | None, typer.Option(help="JSON or YAML file with a function specification.")] = None,
    executortype: Annotated[str | None, typer.Option("--type", help="Type of executor that runs it.")] = None,
    executor: Annotated[list[str] | None, typer.Option(help="Name of an executor; may be repeated.")] = None,
    location: Annotated[str | None, typer.Option(help="Where it runs.")] = None,
    kwarg: Annotated[list[str] | None, typer.Option(metavar="NAME=VALUE", help="Argument by name.")] = None,
    env: Annotated[list[str] | None, typer.Option(metavar="NAME=TEXT", help="Environment variable.")] = None,
    priority: Annotated[int | None, typer.Option(help="A step is worth a day in the queue.")] = None,
    maxwaittime: Annotated[int | None, typer.Option(help="Most seconds in the queue.")] = None,
    maxexectime: Annotated[int | None, typer.Option(help="Most seconds of a run.")] = None,
    maxretries: Annotated[int | None, typer.Option(help="How often a run that took too long is repeated.")] = None,
    cpu: Annotated[str | None, typer.Option(help="CPU that it needs, such as 1000m.")] = None,
    mem: Annotated[str | None, typer.Option(help="Memory that it needs, such as 2Gi.")] = None,
    label: Annotated[str | None, typer.Option(help="A label to find it by.")] = None,
    wait: Annotated[bool, typer.Option("--wait", "-w", help="Follow it to its end.")] = False,
    output: OutputOption = Output.TABLE,
) -> None:
    """Submit a function and show the id of its process.

    With --wait its states and its log go to standard error as they come, and its output to standard output; the exit
    code is 1 when it failed or was cancelled.
    """
    given = {
        "executortype": executortype,
        "executornames": executor,
        "locationname": location,
        "kwargs": {name: value_of(text) for name, text in pairs("--kwarg", kwarg)} or None,
        "env": dict(pairs("--env", env)) or None,
        "priority": priority,
        "maxwaittime": maxwaittime,
        "maxexectime": maxexectime,
        "maxretries": maxretries,
        "cpu": cpu,
        "mem": mem,
        "label": label,
    }
    options = cast("SpecOptions", {name: value for name, value in given.items() if value is not None})
    wanted = specification(function, args or [], spec, options)
    with connect(ctx) as client:
        process = client.processes.submit(wanted)
    if wait:
        # loads the event loop and the progress display
        from kolony.cli.following import follow

        process = follow(settings(ctx), process)
        _show_result(process, output)
        raise typer.Exit(0 if process.state == ProcessState.SUCCESS else 1)
    if output is Output.TABLE:
        typer.echo(process.processid)
    else:
        typer.echo(written(process, output))


def specification(function: str | None, args: list[str], file: Path | None, options: SpecOptions) -> FunctionSpec:
    """What is to be submitted: a function by name, or what a file says, with the options in either case."""
    from kolony.sdk.specs import make_spec, with_options

    if (function is None) == (file is None):
        raise typer.BadParameter("give the name of a function, or a file with --spec")
    spec = read_file(file) if file else make_spec(function or "", *map(value_of, args))
    spec = with_options(spec, **options)
    if not spec.conditions.executortype:
        raise typer.BadParameter("which type of executor runs it? name one with --type")
    return spec


def read_file(file: Path) -> FunctionSpec:
    """The function specification in a JSON or YAML file."""
    return read(file, _one)


def _one(data: Any) -> FunctionSpec:
    from kolony.sdk.specs import read_spec

    if isinstance(data, list):
        raise ValueError("it holds a list, as a workflow is; submit one with `kolony workflow submit --spec`")
    return read_spec(data)


def value_of(text: str) -> Any:
    """An argument from the command line: JSON if it is that, else the text itself."""
    try:
        return msgspec.json.decode(text)
    except msgspec.DecodeError:
        return text


def pairs(option: str, texts: list[str] | None) -> Iterator[tuple[str, str]]:
    """The names and values of a repeated option."""
    for text in texts or ():
        name, equals, value = text.partition("=")
        if not name or not equals:
            raise typer.BadParameter(f"{option} wants NAME=VALUE, not {text!r}")
        yield name, value


def _show_result(process: Process, output: Output) -> None:
    if output is not Output.TABLE:
        typer.echo(written(process, output))
    else:
        for value in process.output:
            typer.echo(compact(value))
