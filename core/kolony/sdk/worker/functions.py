"""What a worker offers: Python functions, as the colony is told about them and as they are called."""

from __future__ import annotations

import asyncio
import contextvars
import inspect
import threading
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from kolony.model.base import sparse
from kolony.model.executors import Executor
from kolony.model.functions import Function, FunctionArg


@dataclass(frozen=True, slots=True)
class Offer:
    """A Python function under the name that processes call it by."""

    name: str
    function: Callable[..., Any]

    async def call(self, args: list[Any], kwargs: dict[str, Any]) -> list[Any]:
        """Run the function and return its output; one that is not a coroutine runs in a thread of its own."""
        if inspect.iscoroutinefunction(self.function):
            result = await self.function(*args, **kwargs)
        else:
            result = await in_thread(self.function, *args, **kwargs)
        return spread(result)

    def describe(self, executor: Executor) -> Function:
        """What the colony is told about the function."""
        parameters = inspect.signature(self.function).parameters.values()
        return Function(
            executorname=executor.executorname,
            executortype=executor.executortype,
            colonyname=executor.colonyname,
            funcname=self.name,
            description=sparse((inspect.getdoc(self.function) or "").partition("\n")[0]),
            args=sparse([_describe(parameter) for parameter in parameters]),
        )


def spread(result: Any) -> list[Any]:
    """What a function returned as the output of its process: a list or tuple value by value, ``None`` as nothing."""
    if result is None:
        return []
    return list(result) if isinstance(result, list | tuple) else [result]


async def in_thread(function: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
    """Call a blocking function in a new thread, with the caller's context variables.

    The thread is a daemon: one that is abandoned does not keep the program from ending, as those of a pool would.
    """
    loop = asyncio.get_running_loop()
    done: asyncio.Future[Any] = loop.create_future()
    context = contextvars.copy_context()

    def settle(result: Any, error: BaseException | None) -> None:
        if done.cancelled():
            return
        if error is None:
            done.set_result(result)
        else:
            done.set_exception(error)

    def run() -> None:
        result, failure = None, None
        try:
            result = context.run(function, *args, **kwargs)
        except BaseException as error:
            failure = _without_stop_iteration(error)
        if not loop.is_closed():
            loop.call_soon_threadsafe(settle, result, failure)

    threading.Thread(target=run, name=getattr(function, "__name__", "function"), daemon=True).start()
    return await done


def _without_stop_iteration(error: BaseException) -> BaseException:
    # a future cannot carry it, because it would end the coroutine that awaits
    return RuntimeError("the function raised StopIteration") if isinstance(error, StopIteration) else error


def _describe(parameter: inspect.Parameter) -> FunctionArg:
    annotation = parameter.annotation
    if annotation is inspect.Parameter.empty:
        annotation = ""
    variadic = parameter.kind in (inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD)
    return FunctionArg(
        name=parameter.name,
        type=annotation if isinstance(annotation, str) else inspect.formatannotation(annotation),
        required=sparse(parameter.default is inspect.Parameter.empty and not variadic),
    )
