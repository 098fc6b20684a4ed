"""Following a process to its end before the eyes of the person who submitted it."""

from __future__ import annotations

import asyncio

from rich.console import Console
from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn
from rich.text import Text

from kolony.cli.output import STYLES, state_name
from kolony.cli.processes import took
from kolony.errors import KolonyError
from kolony.model.processes import Process, ProcessState
from kolony.sdk.client import AsyncClient
from kolony.sdk.settings import Settings
from kolony.sdk.watching import FINAL

_PATIENCE = 1.0
"""Seconds after which it is worth a line that a process still waits."""


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
            story = _Story(client, process.processid, console)
            line = clock.add_task("submitted")
            async for step in client.processes.watch(process.processid):
                process = step
                clock.update(line, description=state_name(step.state))
                await story.tell(step)
    console.print(_end(process))
    return process


class _Story:
    """What is printed of a process: that it waits, when that takes long; where it runs; then its log."""

    def __init__(self, client: AsyncClient, processid: str, console: Console) -> None:
        self._client = client
        self._console = console
        self._log = _Log(client, processid, console)
        self._patience: asyncio.TimerHandle | None = None
        self._reading: asyncio.Task[None] | None = None

    async def tell(self, process: Process) -> None:
        """Print what is new; after the end nothing is left untold."""
        if process.state == ProcessState.WAITING:
            self._await_patiently(process)
            return
        if self._patience:
            self._patience.cancel()
        if self._reading is None and process.isassigned:
            where = await _executor(self._client, process.assignedexecutorid)
            self._console.print(Text(f"running on {where}", "dim"))
            self._reading = asyncio.create_task(self._log.read())
        if process.state in FINAL and self._reading:
            self._reading.cancel()
            await asyncio.gather(self._reading, return_exceptions=True)
            await self._log.read()

    def _await_patiently(self, process: Process) -> None:
        waiting = Text(f"waiting for an executor of type {process.spec.conditions.executortype}", "dim")
        if self._patience is None:
            self._patience = asyncio.get_running_loop().call_later(_PATIENCE, self._console.print, waiting)


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


async def _executor(client: AsyncClient, identity: str) -> str:
    try:
        return (await client.executors.get_by_id(identity)).executorname
    except KolonyError:
        # removed meanwhile; its name is a courtesy
        return identity


def _end(process: Process) -> Text:
    ran = took(process)
    first = f"{state_name(process.state)} after {ran}" if ran else state_name(process.state)
    return Text("\n".join([first, *process.errors]), STYLES[ProcessState(process.state)])
