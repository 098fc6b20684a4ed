"""The example executor of a development colony, and the functions it offers."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

from kolony.sdk.settings import Options
from kolony.sdk.worker import Worker, current_process

NAME, TYPE = "example", "example"


def example_worker(key_file: Path, options: Options) -> Worker:
    """An executor that runs four functions at once; with the colony owner's key it enrols itself."""
    worker = Worker(name=NAME, type=TYPE, concurrency=4, key_file=key_file, drain_seconds=5, **options)

    @worker.function
    def echo(*values: Any) -> list[Any]:
        return list(values)

    @worker.function
    def add(*numbers: float) -> float:
        return sum(numbers)

    @worker.function
    async def sleep(seconds: float = 1) -> str:
        current_process().log(f"sleeping for {seconds:g} s")
        await asyncio.sleep(seconds)
        return f"slept {seconds:g} s"

    @worker.function
    def fail(reason: str = "asked to fail") -> None:
        raise RuntimeError(reason)

    return worker
