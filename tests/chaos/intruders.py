"""Clients whose calls must be refused: replayed, of another time, unsigned, or of somebody who may not."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

from benchmarks.connections import WrongReply
from chaos.calls import Caller, GaveUp, refusal
from chaos.colony import NAME, WORKER, Colony
from chaos.record import Invariant

from kolony.crypto import PrivateKey
from kolony.errors import KolonyError
from kolony.wire.assignments import AssignProcess, PauseAssignments
from kolony.wire.envelope import seal_request
from kolony.wire.executors import RemoveExecutor
from kolony.wire.message import Message
from kolony.wire.processes import RemoveAllProcesses, SubmitFunctionSpec

CLOCKS = "clock of an executor off by minutes"


class Intruder:
    """Tries whatever must not work, and by clocks that are a little wrong what must."""

    def __init__(self, colony: Colony, *, pause: float) -> None:
        self._colony = colony
        self._record = colony.record
        self._chance = colony.chance
        self._pause = pause
        self._stranger = PrivateKey.generate()
        self._line = colony.caller(colony.user_key)
        self._other_line = colony.caller(colony.user_key)

    async def run(self) -> None:
        """Try until nothing more is to be submitted."""
        ways: list[Callable[[], Awaitable[None]]] = [
            self._replay, self._twins, self._wrong_clock, self._wrong_clock, self._slightly_wrong_clock, self._unsigned,
            self._unauthorised,
        ]  # fmt: skip
        try:
            while not self._colony.quiet.is_set():
                await asyncio.sleep(self._pause * self._chance.uniform(0.5, 1.5))
                way = self._chance.choice(ways)
                try:
                    await way()
                except (KolonyError, GaveUp, WrongReply) as error:
                    self._record.fail(way.__name__, error)
        finally:
            self._line.hang_up()
            self._other_line.hang_up()

    def _submit(self) -> tuple[str, Message[Any]]:
        """A submit that must be refused."""
        token = self._colony.token()
        self._record.forbidden.add(token)
        return token, SubmitFunctionSpec(spec=self._colony.spec(token))

    async def _refused(self, why: str, body: bytes, message: Message[Any], *, says: str = "") -> None:
        """Send a request that must be refused as forbidden, in words that help."""
        self._line.wander()
        error = await refusal(self._line, body, message)
        if error is None:
            self._record.breach(Invariant.INTRUSION, f"{why}: {type(message).__name__} was accepted")
        elif not 400 <= error.status < 500 or says not in error.message:
            self._record.failed.append(f"{why} was refused with {error.status} {error.message!r}")
        else:
            self._record.refused[why] += 1

    async def _replay(self) -> None:
        """Send what somebody sent before, and what counts each time it is accepted."""
        if self._colony.captured:
            await self._refused("replayed", *self._chance.choice(self._colony.captured))

    async def _twins(self) -> None:
        """Send one request to two servers at once: at most one may accept it."""
        token = self._colony.token()
        message: SubmitFunctionSpec = SubmitFunctionSpec(spec=self._colony.spec(token))
        body = self._line.seal(message)
        self._record.submitted[token] = ""
        self._line.wander()
        self._other_line.wander()
        accepted = await asyncio.gather(*(_accepts(line, body, message) for line in (self._line, self._other_line)))
        if all(accepted):
            self._record.breach(Invariant.INTRUSION, "one request was accepted by two servers")
        elif any(accepted):
            self._record.acknowledged["submit without a key"] += 1
            self._record.refused["sent twice at once"] += 1

    async def _wrong_clock(self) -> None:
        """Claim, or submit, as an executor whose clock is minutes off: refused, and told why."""
        self._record.strike(CLOCKS)
        ahead = self._chance.choice((-1, 1)) * self._chance.uniform(90, 600)
        key = self._chance.choice(self._colony.executor_keys[WORKER])
        message: Message[Any] = AssignProcess(colonyname=NAME, timeout=-1)
        if self._chance.random() < 0.5:
            _, message = self._submit()
        caller = self._colony.caller(key)
        try:
            await self._refused("of another time", caller.seal(message, ahead=ahead), message, says="clock")
        finally:
            caller.hang_up()

    async def _slightly_wrong_clock(self) -> None:
        """Submit by a clock that is wrong by less than counts."""
        token = self._colony.token()
        message: SubmitFunctionSpec = SubmitFunctionSpec(spec=self._colony.spec(token), idempotencykey=token)
        process = await self._line.call(message, ahead=self._chance.uniform(-20, 20))
        self._record.submitted[token] = process.processid
        self._record.acknowledged["submit"] += 1

    async def _unsigned(self) -> None:
        _, message = self._submit()
        await self._refused("unsigned", seal_request(message, None), message)

    async def _unauthorised(self) -> None:
        """Call as a stranger, or as an executor what only the owner may."""
        executor = self._chance.choice(self._colony.executor_keys[WORKER])
        messages: list[tuple[PrivateKey, Message[Any]]] = [
            (self._stranger, self._submit()[1]),
            (self._stranger, AssignProcess(colonyname=NAME, timeout=-1)),
            (executor, RemoveAllProcesses(colonyname=NAME, state=-1)),
            (executor, RemoveExecutor(colonyname=NAME, executorname=f"{WORKER}-0")),
            (executor, PauseAssignments(colonyname=NAME)),
        ]
        key, message = self._chance.choice(messages)
        caller = Caller(key, self._colony.endpoints, self._chance)
        try:
            await self._refused("unauthorised", caller.seal(message), message)
        finally:
            caller.hang_up()


async def _accepts(caller: Caller, body: bytes, message: Message[Any]) -> bool:
    """Whether a server accepts a request that is sent to it once."""
    try:
        await caller.send(body, message)
    except (OSError, TimeoutError, KolonyError):
        return False
    return True
