"""Measures the Colonies server beside raw PostgreSQL and, where it is there, beside the floor.

    python tests/benchmarks/bench.py                       all rows, about half an hour
    python tests/benchmarks/bench.py --quick               the same on a small scale, to see that all works
    python tests/benchmarks/bench.py --only submit,cycle   some rows
    python tests/benchmarks/bench.py --profile             where the server's time goes

Everything it needs it starts itself, on databases of its own, and removes it in the end. Every reply is checked;
a wrong one ends the run.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import platform
import resource
import signal
import statistics
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, replace
from pathlib import Path
from tempfile import TemporaryDirectory, TemporaryFile
from typing import Any

import psycopg
import uvloop
from profiler import profile
from report import LEGEND, Figure, json_line, table
from rows import ROWS
from servers import why_no_floor
from stage import QUICK, Bench, Sizes, open_stage, progress

from kolony_apiserver.dev.postgres import EmbeddedPostgres

_FILES = 16_384
"""Open files that the parked executors' connections need, here and in the server."""


def main() -> None:
    """Run what the command line asks for; the figures go to stdout, progress to stderr."""
    options = _options()
    _raise_file_limit()
    # an end asked for by a supervisor is as orderly as one by Ctrl-C: no server or database stays behind
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    with ExitStack() as stack, asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        dsn = options.dsn or stack.enter_context(_embedded_postgres())
        if options.profile:
            print(runner.run(profile(dsn)))
        else:
            runner.run(_measure(dsn, options))


async def _measure(dsn: str, options: argparse.Namespace) -> None:
    if reason := why_no_floor():
        progress(f"the floor is left out: {reason}")
    sizes = _sizes(options)
    machine = _machine(dsn)
    if options.output == "json":
        print(json.dumps({"machine": machine, "sizes": asdict(sizes), "quick": options.quick}), flush=True)
    figures: list[Figure] = []
    try:
        async with open_stage(dsn) as short:
            bench = Bench(dsn, sizes, short)
            for name in options.only:
                measured = await ROWS[name](bench)
                figures += measured
                if options.output == "json":
                    for figure in measured:
                        print(json_line(figure), flush=True)
                else:
                    progress(table(measured))
    finally:
        # a row that fails does not take the others with it
        if options.output == "table" and figures:
            _print_table(figures, machine, sizes, quick=options.quick)


def _print_table(figures: list[Figure], machine: dict[str, Any], sizes: Sizes, *, quick: bool) -> None:
    verdicts = [figure.met for figure in figures if figure.met is not None]
    print(", ".join(f"{name}: {value}" for name, value in machine.items()))
    print(f"\n{table(figures)}\n\n{LEGEND}")
    if quick:
        print("A quick run: few samples and small queues. The targets are meant for a full one.")
    print(f"{sizes.rounds} rounds; {sum(verdicts)} of {len(verdicts)} targets met.")


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="fewer samples, smaller queues")
    parser.add_argument("--only", type=_row_names, default=list(ROWS), metavar="ROW,ROW", help=", ".join(ROWS))
    parser.add_argument("--rounds", type=int, help=f"samples of each figure (default {Sizes.rounds})")
    parser.add_argument("--backlog", type=int, help=f"processes in a deep queue (default {Sizes.backlog:,})")
    parser.add_argument("--dsn", help="a PostgreSQL to use instead of an embedded one, as a superuser")
    parser.add_argument("-o", "--output", choices=["table", "json"], default="table", help="json is a line a figure")
    parser.add_argument("--profile", action="store_true", help="profile the server under load instead")
    return parser.parse_args()


def _row_names(text: str) -> list[str]:
    names = text.split(",")
    if unknown := set(names) - set(ROWS):
        raise argparse.ArgumentTypeError(f"no such row: {', '.join(sorted(unknown))}")
    return names


def _sizes(options: argparse.Namespace) -> Sizes:
    sizes = QUICK if options.quick else Sizes()
    given = {name: getattr(options, name) for name in ("rounds", "backlog")}
    return replace(sizes, **{name: value for name, value in given.items() if value is not None})


def _raise_file_limit() -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    limit = _FILES if hard == resource.RLIM_INFINITY else min(_FILES, hard)
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, limit), hard))


@contextmanager
def _embedded_postgres() -> Iterator[str]:
    """A PostgreSQL of this run's own; its connection string."""
    with TemporaryDirectory(prefix="kolony-bench-") as folder, EmbeddedPostgres(Path(folder) / "postgres") as postgres:
        yield postgres.dsn


def _machine(dsn: str) -> dict[str, Any]:
    """What the figures depend on."""
    with psycopg.connect(dsn) as connection:
        [version, fsync] = connection.execute(
            "select current_setting('server_version'), current_setting('fsync')"
        ).fetchone() or ("", "")
    models = [line for line in Path("/proc/cpuinfo").read_text().splitlines() if line.startswith("model name")]
    return {
        "time": time.strftime("%Y-%m-%d %H:%M UTC", time.gmtime()),
        "processor": models[0].partition(": ")[2] if models else platform.machine(),
        "cores": len(os.sched_getaffinity(0)),
        "python": platform.python_version(),
        "postgresql": version,
        "fsync": f"{fsync}, {_fdatasync() * 1e3:.2f} ms",
    }


def _fdatasync() -> float:
    """Median seconds of a small durable write where temporary files go."""
    seconds = []
    with TemporaryFile() as file:
        for _ in range(101):
            start = time.perf_counter()
            os.write(file.fileno(), bytes(8192))
            os.fdatasync(file.fileno())
            seconds.append(time.perf_counter() - start)
    return statistics.median(seconds)


if __name__ == "__main__":
    try:
        main()
    except KeyboardInterrupt:
        sys.exit(130)
