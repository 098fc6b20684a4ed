"""Following a process to its end before the eyes of the person who submitted it."""

from __future__ import annotations

import asyncio

from rich.console import Console
from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn
from rich.text import Text

from kolony.cli.output import state_name
from kolony.cli.processes import took
from kolony.errors import KolonyError
from kolony.model.processes import Process, ProcessState
from kolony.sdk.client import AsyncClient
from kolony.sdk.settings import Settings
from kolony.sdk.watching import FINAL

_STYLES = {ProcessState.SUCCESS: "green", ProcessState.FAILED: "red", ProcessState.CANCELLED: "yellow"}


def follow(settings: Settings, process: Process) -> Process:
    """Show states and log of a process on standard error until it has ended, and return it."""
    return asyncio.run(_follow(settings, process))


async def _follow(settings: Settings, process: Process) -> Process:
    console = Console(stderr=True, highlight=False, soft_wrap=True)
    clock = Progress(
        SpinnerColumn(),
        TextColumn("{task.description}"),
        TimeElapsedColumn(),
        console=console,
        transient=True,
        disable=not console.is_terminal,
    )
    # on a terminal the clock stays below what is printed
    with clock:
        async with AsyncClient(settings) as client:
            log = _Log(client, process.processid, console)
            reading = asyncio.create_task(log.read())
            line = clock.add_task("submitted")
            async for step in client.processes.watch(process.processid):
                process = step
                clock.update(line, description=state_name(step.state))
                if step.state not in FINAL:
                    console.print(await _news(client, step))
            reading.cancel()
            await asyncio.gather(reading, return_exceptions=True)
            await log.read()
    console.print(_end(process))
    return process


class _Log:
    """Prints the log of a process, from where it was left; reading ends with the process."""

    def __init__(self, client: AsyncClient, processid: str, console: Console) -> None:
        self._client = client
        self._processid = processid
        self._console = console
        self._since = 0

    async def read(self) -> None:
        async for entry in self._client.logs.follow(self._processid, since=self._since):
            self._console.print(Text(entry.message))
            self._since = entry.timestamp


async def _news(client: AsyncClient, process: Process) -> Text:
    if process.state == ProcessState.WAITING:
        detail = f"for an executor of type {process.spec.conditions.executortype}"
    else:
        detail = f"on {await _executor(client, process.assignedexecutorid)}"
    return Text(f"{state_name(process.state)} {detail}", "dim")


async def _executor(client: AsyncClient, identity: str) -> str:
    try:
        return (await client.executors.get_by_id(identity)).executorname
    except KolonyError:
        # removed meanwhile; its name is a courtesy
        return identity


def _end(process: Process) -> Text:
    ran = took(process)
    first = f"{state_name(process.state)} after {ran}" if ran else state_name(process.state)
    return Text("\n".join([first, *process.errors]), _STYLES[ProcessState(process.state)])
