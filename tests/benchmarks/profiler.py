"""Where the time of the Colonies server goes under load: shares of the processor, and of its Python code.

The processor is measured without a profiler. The code is then sampled from outside by py-spy, which has to be
installed and allowed to look into a process of the same user (root is).
"""

from __future__ import annotations

import asyncio
import os
import re
import resource
import shutil
import signal
import sys
from collections import Counter
from collections.abc import Awaitable, Callable
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory

from load import Timing
from queues import Queue
from report import PRODUCT
from servers import Server
from stage import open_stage, progress
from targets import ProductTarget

PROCESSES = 15_000
"""Processes in one load: long enough for some thousand samples."""

_RATE = 250
_SMALLEST_SHARE = 0.01
_IDLE = "_worker (concurrent/futures/thread.py"
"""Innermost frame of a thread that waits for work, which py-spy takes for work."""

_FRAME = re.compile(r"(?P<function>.+) \((?P<file>[^()]+?)(?::\d+)?\)")


async def profile(dsn: str) -> str:
    """Profile submits and cycles; Markdown tables."""
    py_spy = _py_spy()
    report = []
    async with open_stage(dsn, only=(PRODUCT,)) as stage:
        target = stage.targets[PRODUCT]
        assert isinstance(target, ProductTarget)

        async def submit(queue: Queue) -> Timing:
            return await queue.submit(PROCESSES)

        async def cycle(queue: Queue) -> Timing:
            return await queue.cycle(PROCESSES)

        for name, load in {"submit": submit, "cycle": cycle}.items():
            progress(f"profile: {name}")
            queue = await target.queue()
            await queue.fill(2 * PROCESSES)
            report.append(f"## {name}\n\n{await _processor(target.server, partial(load, queue))}")
            stacks = await _sampled(py_spy, target.server.pid, partial(load, queue))
            report += [_shares(_by_area(stacks), "self time in"), _shares(_by_function(stacks), "time in and below")]
    return "\n\n".join(report)


async def _processor(server: Server, load: Callable[[], Awaitable[Timing]]) -> str:
    """Processor time of each process for one unit of work, in words."""

    def clocks() -> tuple[float, float, float]:
        own = resource.getrusage(resource.RUSAGE_SELF)
        return _machine_seconds(), _process_seconds(server.pid), own.ru_utime + own.ru_stime

    before = clocks()
    timing = await load()
    machine, product, generator = (after - start for after, start in zip(clocks(), before, strict=True))
    each = 1e6 / len(timing.processids)
    return (
        f"{timing.rate:,.0f}/s. Processor time for each: server {product * each:.0f} µs, "
        f"generator {generator * each:.0f} µs, PostgreSQL and the rest of the machine "
        f"{(machine - product - generator) * each:.0f} µs. The server kept a core {product / timing.seconds:.0%} busy."
    )


async def _sampled(py_spy: str, pid: int, load: Callable[[], Awaitable[Timing]]) -> Counter[str]:
    """How often each stack of the process was seen on the processor during the load."""
    with TemporaryDirectory() as folder:
        output = Path(folder) / "stacks"
        options = [f"--pid={pid}", f"--rate={_RATE}", "--format=raw", f"--output={output}"]
        sampler = await asyncio.create_subprocess_exec(
            py_spy, "record", *options, stdout=asyncio.subprocess.DEVNULL, stderr=asyncio.subprocess.DEVNULL
        )
        await asyncio.sleep(1)
        await load()
        sampler.send_signal(signal.SIGINT)
        await sampler.wait()
        lines = output.read_text().splitlines()
    seen = (line.rpartition(" ") for line in lines)
    return Counter({stack: int(count) for stack, _, count in seen if not _innermost(stack).startswith(_IDLE)})


def _by_area(stacks: Counter[str]) -> Counter[str]:
    """Samples by the package that the innermost frame belongs to, our own a level deeper."""
    areas: Counter[str] = Counter()
    for stack, count in stacks.items():
        found = _FRAME.fullmatch(_innermost(stack))
        parts = Path(found["file"] if found else stack).parts
        areas["/".join(parts[:2]) if parts[0].startswith("kolony") else parts[0]] += count
    return areas


def _by_function(stacks: Counter[str]) -> Counter[str]:
    """Samples by function of ours that was running, or waiting for what it called."""
    functions: Counter[str] = Counter()
    for stack, count in stacks.items():
        frames = {
            f"{found['function']} ({found['file']})" for frame in stack.split(";") if (found := _FRAME.fullmatch(frame))
        }
        functions.update({frame: count for frame in frames if "(kolony" in frame})
    functions["all"] = stacks.total()
    return functions


def _innermost(stack: str) -> str:
    return stack.rpartition(";")[2]


def _shares(samples: Counter[str], heading: str) -> str:
    total = samples["all"] or samples.total()
    rows = [
        f"| {name} | {count / total:.1%} |"
        for name, count in samples.most_common()
        if name != "all" and count >= _SMALLEST_SHARE * total
    ]
    return "\n".join([f"| {heading} | share of {total:,} samples |", "| --- | ---: |", *rows])


def _machine_seconds() -> float:
    """Seconds that the machine's processors have been busy."""
    user, nice, system, _idle, _wait, interrupt, soft = Path("/proc/stat").read_text().split()[1:8]
    return sum(map(int, (user, nice, system, interrupt, soft))) / os.sysconf("SC_CLK_TCK")


def _process_seconds(pid: int) -> float:
    """Processor seconds of a process."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def _py_spy() -> str:
    found = shutil.which("py-spy", path=f"{Path(sys.executable).parent}{os.pathsep}{os.environ.get('PATH', '')}")
    if found is None:
        raise SystemExit("the profile needs py-spy; try: pip install py-spy")
    return found
