"""Clients that submit: single processes, many at once, workflows, and arguments of generators."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence

from chaos.calls import GaveUp, Unknown
from chaos.colony import FAIL, HANG, NAME, NOBODY, WORK, Colony

from kolony.errors import KolonyError
from kolony.model.functionspecs import FunctionSpec
from kolony.model.processes import Process
from kolony.model.workflows import WorkflowSpec
from kolony.wire.generators import PackGenerator
from kolony.wire.processes import SubmitFunctionSpec, SubmitFunctionSpecs
from kolony.wire.workflows import SubmitWorkflow

_ENOUGH = 150
"""Processes that wait from which nothing more is submitted."""

_GRAPHS: Sequence[Sequence[Sequence[int]]] = (
    ((), (0,), (1,)),
    ((), (0,), (0,), (1, 2)),
    ((), (), (0, 1), (2,), (2,)),
    ((), (0,), (0,), (0,), (1, 2, 3), (4,)),
)
"""Workflows: for each node the numbers of its parents."""


class Submitter:
    """Submits this and that at a steady rate, whenever little waits."""

    def __init__(self, colony: Colony, *, pause: float, only: str = "") -> None:
        self._colony = colony
        self._caller = colony.caller(colony.user_key)
        self._pause = pause
        kinds: dict[str, tuple[float, Callable[[], Awaitable[None]]]] = {
            "single": (0.50, self._single),
            "without a key": (0.10, self._without_key),
            "many": (0.05, self._many),
            "workflow": (0.10, self._workflow),
            "hanging": (0.01, self._hanging),
            "unserved": (0.02, self._unserved),
            "pack": (0.22, self._pack),
        }
        chosen = {name: kind for name, kind in kinds.items() if only in ("", name)}
        self._weights = [weight for weight, _ in chosen.values()]
        self._kinds = [kind for _, kind in chosen.values()]

    async def run(self) -> None:
        """Submit until it is enough."""
        colony, chance = self._colony, self._colony.chance
        try:
            while not colony.quiet.is_set():
                if colony.backlog > _ENOUGH:
                    await asyncio.sleep(self._pause)
                    continue
                [submit] = chance.choices(self._kinds, self._weights)
                try:
                    await submit()
                except Unknown:
                    colony.record.unknown += 1
                except (KolonyError, GaveUp) as error:
                    colony.record.fail(submit.__name__, error)
                if chance.random() < 0.1:
                    self._caller.wander()
                await asyncio.sleep(self._pause * chance.uniform(0.5, 1.5))
        finally:
            self._caller.hang_up()

    async def _single(self, funcname: str = "", **fields: object) -> None:
        token = self._colony.token()
        if not funcname:
            funcname = FAIL if self._colony.chance.random() < 0.03 else WORK
        spec = self._colony.spec(token, funcname, **fields)
        process = await self._caller.call(SubmitFunctionSpec(spec=spec, idempotencykey=token))
        self._acknowledged("submit", [token], [process.processid])

    async def _hanging(self) -> None:
        await self._single(HANG, maxexectime=1, maxretries=1)

    async def _unserved(self) -> None:
        await self._single(WORK, executortype=NOBODY, maxwaittime=2)

    async def _without_key(self) -> None:
        """A submit that counts each time it is accepted, so it is sent once, and may be replayed by somebody."""
        token = self._colony.token()
        message: SubmitFunctionSpec = SubmitFunctionSpec(spec=self._colony.spec(token))
        self._colony.record.submitted[token] = ""
        process = await self._caller.call(message, once=True)
        self._colony.captured.append((self._caller.last, message))
        self._acknowledged("submit without a key", [token], [process.processid])

    async def _many(self) -> None:
        tokens = [self._colony.token() for _ in range(self._colony.chance.randrange(2, 12))]
        specs: list[FunctionSpec] = [self._colony.spec(token) for token in tokens]
        processes: list[Process] = await self._caller.call(
            SubmitFunctionSpecs(colonyname=NAME, specs=specs, idempotencykey=tokens[0])
        )
        self._acknowledged("submit many", tokens, [process.processid for process in processes])

    async def _workflow(self) -> None:
        colony = self._colony
        graph = colony.chance.choice(_GRAPHS)
        tokens = [colony.token() for _ in graph]
        failing = colony.chance.randrange(len(graph)) if colony.chance.random() < 0.1 else None
        specs = [
            colony.spec(token, FAIL if number == failing else WORK, dependencies=[tokens[above] for above in parents])
            for number, (token, parents) in enumerate(zip(tokens, graph, strict=True))
        ]
        workflow = await self._caller.call(
            SubmitWorkflow(spec=WorkflowSpec(colonyname=NAME, functionspecs=specs), idempotencykey=tokens[0])
        )
        # An answer that repeats an earlier one lists the processes in another order.
        colony.record.workflows[workflow.processgraphid] = tokens
        colony.record.acknowledged["submit workflow"] += 1

    async def _pack(self) -> None:
        colony = self._colony
        arg = colony.token()
        message = PackGenerator(generatorid=colony.chance.choice(colony.generators), arg=arg, idempotencykey=arg)
        colony.record.packed[arg] = False
        await self._caller.call(message)
        colony.captured.append((self._caller.last, message))
        colony.record.packed[arg] = True
        colony.record.acknowledged["pack"] += 1

    def _acknowledged(self, what: str, tokens: Sequence[str], processids: Sequence[str]) -> None:
        self._colony.record.submitted |= dict(zip(tokens, processids, strict=True))
        self._colony.record.acknowledged[what] += 1
