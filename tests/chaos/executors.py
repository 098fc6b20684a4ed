"""Executors: they claim, work and close, and are killed now and then at any step; some close when it is too late."""

from __future__ import annotations

import asyncio
import time
from typing import Any

from chaos.calls import Caller, GaveUp
from chaos.colony import FAIL, HANG, NAME, Colony
from chaos.record import Given, Invariant, Step

from kolony.crypto import PrivateKey
from kolony.errors import KolonyError, NotFound
from kolony.model.processes import Process
from kolony.wire.assignments import AssignProcess
from kolony.wire.processes import CloseFailed, CloseSuccessful, SetOutput
from kolony.wire.workflows import AddChild

_POLL = 2
_LATE = 12.0
"""Seconds for which an executor that is too late waits for another to be given its process."""

_CLOCKS = 0.1
"""Seconds by which the deadline of a process may seem to have passed too early."""


class Executor:
    """One slot of an executor; others may work under the same key."""

    def __init__(self, colony: Colony, key: PrivateKey, *, deadly: float = 0.007, late: float = 0.01) -> None:
        self._colony = colony
        self._record = colony.record
        self._chance = colony.chance
        self._caller: Caller = colony.caller(key)
        self._deadly = deadly
        self._late = late

    async def run(self) -> None:
        """Work until cancelled."""
        try:
            while True:
                try:
                    await self._turn(self._fate())
                except (KolonyError, GaveUp) as error:
                    self._record.fail("executor", error)
        finally:
            self._caller.hang_up()

    def _fate(self) -> Step | None:
        """At which step it is killed in this turn, if at all."""
        number = int(self._chance.random() / self._deadly)
        return list(Step)[number] if number < len(Step) else None

    async def _turn(self, fate: Step | None) -> None:
        ask: AssignProcess = AssignProcess(colonyname=NAME, timeout=_POLL)
        if fate is Step.BEFORE_ANSWER:
            call = asyncio.create_task(self._caller.post(self._caller.seal(ask), wait=_POLL))
            await self._die(fate, call, after=self._chance.choice((0.0, 0.01, 0.3)))
            return
        try:
            process = await self._caller.call(ask, wait=_POLL)
        except NotFound:
            return
        self._record.assign(
            process.processid,
            process.attempt,
            Given(self._caller.key.identity, time.monotonic(), process.starttime, process.execdeadline),
        )
        if process.parents and [str(each).split("#")[0] for each in process.input] != process.parents:
            self._record.breach(Invariant.ORDER, f"{process.processid} was given {process.input}")
        if process.spec.funcname == HANG or fate is Step.AFTER_CLAIM:
            await self._die(Step.AFTER_CLAIM)
        else:
            await self._work(process, fate)

    async def _die(self, step: Step, call: asyncio.Task[Any] | None = None, *, after: float = 0.0) -> None:
        """Drop all connections, perhaps in the middle of a call, and come back as somebody new."""
        if call is not None:
            await asyncio.wait([call], timeout=after)
            call.cancel()
        self._record.strike(step)
        self._caller.hang_up()
        if call is not None:
            await asyncio.gather(call, return_exceptions=True)
        self._caller.wander()
        await asyncio.sleep(self._chance.uniform(0, 0.2))

    async def _work(self, process: Process, fate: Step | None) -> None:
        chance = self._chance
        if chance.random() < 0.1:
            await asyncio.sleep(chance.uniform(0, 0.2))
        if process.processgraphid and chance.random() < 0.05:
            await self._add_child(process)
        if fate is Step.MID_RUN or chance.random() < 0.1:
            await self._try(process, SetOutput(processid=process.processid, out=["half"]))
        if fate is Step.MID_RUN:
            await self._die(fate)
            return
        close: CloseSuccessful | CloseFailed
        if process.spec.funcname == FAIL:
            close = CloseFailed(processid=process.processid, errors=["as told"], attempt=process.attempt)
        else:
            out = [f"{process.processid}#{process.attempt}"]
            close = CloseSuccessful(processid=process.processid, out=out, attempt=process.attempt)
        if fate is Step.CLOSING:
            call = asyncio.create_task(self._caller.post(self._caller.seal(close)))
            await self._die(fate, call, after=chance.choice((0.0, 0.002, 0.01)))
        elif chance.random() < self._late:
            await self._close_late(process, close)
        else:
            await self._close(process, close)

    async def _close(self, process: Process, close: CloseSuccessful | CloseFailed) -> None:
        if await self._try(process, close):
            success = isinstance(close, CloseSuccessful)
            self._record.closes(process.processid, process.attempt, sent=self._caller.sent, success=success)

    async def _close_late(self, process: Process, close: CloseSuccessful | CloseFailed) -> None:
        """Close when somebody else has been given the process, which must change nothing."""
        if not await self._record.given_again(process.processid, process.attempt, _LATE):
            return
        if await self._try(process, close):
            self._record.breach(
                Invariant.STALE_CLOSE, f"{process.processid}: attempt {process.attempt} closed after a later one began"
            )
        else:
            self._record.refused["close of an old attempt"] += 1

    async def _try(self, process: Process, message: CloseSuccessful | CloseFailed | SetOutput | AddChild) -> bool:
        """Say something about a process that this executor holds, unless it has lost it; whether that was accepted."""
        try:
            await self._caller.call(message)
        except KolonyError as error:
            lost = time.time() > process.execdeadline.timestamp() - _CLOCKS
            repeated = self._caller.doubtful and isinstance(message, CloseFailed)
            if error.status not in (400, 403) or not (lost or repeated or process.processgraphid):
                raise
            if not lost and not repeated:
                self._record.swept.add(process.processid)
            return False
        return True

    async def _add_child(self, process: Process) -> None:
        token = self._colony.token()
        message: AddChild = AddChild(
            processgraphid=process.processgraphid,
            parentprocessid=process.processid,
            spec=self._colony.spec(token),
            idempotencykey=token,
        )
        self._record.submitted[token] = ""
        if await self._try(process, message):
            self._record.grown.add(token)
            self._record.acknowledged["add child"] += 1
