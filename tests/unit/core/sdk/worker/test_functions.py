"""What a worker offers, and how it is called."""

from __future__ import annotations

import asyncio
import contextvars
import threading
from typing import Any

import pytest
from msgspec import UNSET

from kolony.model.executors import Executor
from kolony.model.functions import FunctionArg
from kolony.sdk.worker.functions import Offer, in_thread, spread


@pytest.mark.parametrize(
    "result, out",
    [
        (None, []),
        (5, [5]),
        ("text", ["text"]),
        ([1, 2], [1, 2]),
        ((1, [2]), [1, [2]]),
        ([], []),
        ({"a": 1}, [{"a": 1}]),
    ],
)
def test_what_a_function_returns_is_its_output(result: Any, out: list[Any]) -> None:
    assert spread(result) == out


async def test_functions_run_in_threads_and_coroutines_on_the_loop() -> None:
    async def coroutine() -> int:
        return threading.get_ident()

    def function() -> int:
        return threading.get_ident()

    assert await Offer("c", coroutine).call([], {}) == [threading.get_ident()]
    assert await Offer("f", function).call([], {}) != [threading.get_ident()]


async def test_arguments_and_context_reach_the_thread() -> None:
    variable: contextvars.ContextVar[str] = contextvars.ContextVar("variable")
    variable.set("here")
    assert await in_thread(lambda a, *, b: (a, b, variable.get()), 1, b=2) == (1, 2, "here")


@pytest.mark.parametrize("error", [ValueError("v"), SystemExit(3), StopIteration(1)])
async def test_an_error_of_the_thread_is_raised(error: BaseException) -> None:
    def function() -> None:
        raise error

    expected = RuntimeError if isinstance(error, StopIteration) else type(error)
    with pytest.raises(expected):
        await in_thread(function)


async def test_a_thread_that_nobody_waits_for_harms_nobody() -> None:
    release, done = threading.Event(), threading.Event()

    def function() -> None:
        release.wait(10)
        done.set()

    task = asyncio.create_task(in_thread(function))
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    release.set()
    assert await in_thread(done.wait, 10)


def test_a_function_is_described() -> None:
    def add(a: int, b: int = 0, *rest: str, key, **more: Any) -> int:
        """Add numbers.

        More than anybody wants to know.
        """
        return a + b

    function = Offer("sum", add).describe(Executor(executorname="e", executortype="t", colonyname="c"))
    assert (function.executorname, function.executortype, function.colonyname) == ("e", "t", "c")
    assert (function.funcname, function.description) == ("sum", "Add numbers.")
    assert function.args == [
        FunctionArg(name="a", type="int", required=True),
        FunctionArg(name="b", type="int"),
        FunctionArg(name="rest", type="str"),
        FunctionArg(name="key", required=True),
        FunctionArg(name="more", type="Any"),
    ]


def test_a_function_that_says_nothing_is_described_by_nothing() -> None:
    function = Offer("f", lambda: None).describe(Executor())
    assert (function.description, function.args) == (UNSET, UNSET)
