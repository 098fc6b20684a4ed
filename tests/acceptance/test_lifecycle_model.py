"""The life cycle of processes against a model: random calls and time, compared with the server after each step.

Every run searches from a seed of its own, which it prints; `KOLONY_LIFECYCLE_SEED` repeats a run.
"""

from __future__ import annotations

import os
import secrets
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, ClassVar

import pytest
from clocked import ClockedServer
from colonies import create_database
from hypothesis import HealthCheck, seed, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from kolony.crypto import PrivateKey

SEED_VARIABLE = "KOLONY_LIFECYCLE_SEED"
EXAMPLES = 20
STEPS = 20
MOST_PROCESSES = 6

WAITING, RUNNING, SUCCESS, FAILED, CANCELLED = range(5)
STALE_AFTER = 600
EXEC_LIMIT = 10
WAIT_LIMIT = 30
NAMES = ("e1", "e2", "e3")
WAITED_TOO_LONG = "Maximum waiting time limit exceeded"
RAN_TOO_LONG = "Maximum execution time limit exceeded"

TRANSITIONS = {
    "submitted: waiting",
    "waiting -> running: assigned",
    "running -> successful: closed",
    "successful -> successful: closed again",
    "running -> failed: closed",
    "running -> failed: out of time, no retries left",
    "running -> waiting: out of time, retries left",
    "waiting -> failed: waited too long",
    "running -> waiting: executor removed",
    "running -> waiting: executor registered again",
    "running -> waiting: executor silent",
    "waiting -> cancelled: cancelled",
    "running -> cancelled: cancelled",
    "waiting -> nothing: removed",
    "successful -> nothing: removed",
    "failed -> nothing: removed",
    "cancelled -> nothing: removed",
}
"""Every transition that a process outside of a workflow can make."""

STATE_NAMES = ("waiting", "running", "successful", "failed", "cancelled")


@dataclass
class Expected:
    """A process as it should be."""

    processid: str
    prioritytime: int
    maxexectime: int
    maxwaittime: int
    maxretries: int
    waitdeadline: datetime | None
    state: int = WAITING
    executorid: str = ""
    attempt: int = 0
    retries: int = 0
    out: list[Any] = field(default_factory=list)
    errors: list[str] = field(default_factory=list)
    starttime: datetime | None = None
    endtime: datetime | None = None
    execdeadline: datetime | None = None

    def seen(self) -> dict[str, Any]:
        """What the server should answer."""
        return {
            "state": self.state,
            "isassigned": self.executorid != "",
            "assignedexecutorid": self.executorid,
            "attempt": self.attempt,
            "retries": self.retries,
            "out": self.out,
            "errors": self.errors,
            "starttime": self.starttime,
            "endtime": self.endtime,
            "execdeadline": self.execdeadline,
            "waitdeadline": self.waitdeadline,
        }


@dataclass
class Worker:
    """An executor as it should be."""

    key: PrivateKey
    member: bool = True
    heard: datetime | None = None


VALUES = ("state", "isassigned", "assignedexecutorid", "attempt", "retries", "out", "errors")
TIMES = ("starttime", "endtime", "execdeadline", "waitdeadline")


def answered(process: dict[str, Any]) -> dict[str, Any]:
    """What the server answered, of that which is compared; times that are not set are `None`."""
    times = {name: datetime.fromisoformat(process[name]) for name in TIMES}
    return {
        **{name: process[name] for name in VALUES},
        **{name: time if time.year > 1 else None for name, time in times.items()},
    }


class Life:
    """A colony, what should have become of it, and the transitions that its processes made."""

    def __init__(self, server: ClockedServer, transitions: Counter[str]) -> None:
        self.server = server
        self.colony = server.colony()
        self.transitions = transitions
        self.workers = {name: Worker(self.colony.add_executor(name)) for name in NAMES}
        self.processes: list[Expected] = []
        self.removed: list[str] = []

    # What happens: every step takes a second, so that no two things happen at one time.

    def submit(self, *, exec_limit: int = -1, wait_limit: int = -1, retries: int = 0, priority: int = 0) -> Expected:
        now = self._next()
        submitted = self.colony.submit(
            maxexectime=exec_limit, maxwaittime=wait_limit, maxretries=retries, priority=priority
        )
        process = Expected(
            processid=submitted["processid"],
            prioritytime=submitted["prioritytime"],
            maxexectime=exec_limit,
            maxwaittime=wait_limit,
            maxretries=retries,
            waitdeadline=_after(now, wait_limit),
        )
        assert answered(submitted) == process.seen()
        self.processes.append(process)
        self._made("submitted: waiting")
        return process

    def assign(self, name: str) -> None:
        """Ask for work: the one that comes first is handed out, in the state in which it then is."""
        now = self._next()
        answer = self._call("assignprocessmsg", name, colonyname=self.colony.name, timeout=-1)
        worker = self.workers[name]
        queue = sorted(self._in(WAITING), key=lambda each: each.prioritytime)
        if not worker.member or not queue:
            assert answer.status == (404 if worker.member else 403)
            return
        first = queue[0]
        first.state, first.executorid, first.attempt = RUNNING, worker.key.identity, first.attempt + 1
        first.starttime, first.execdeadline = now, _after(now, first.maxexectime)
        assert answer.status == 200, answer
        assert answer.payload["processid"] == first.processid
        assert answered(answer.payload) == first.seen()
        self._made("waiting -> running: assigned")

    def close(self, process: Expected, name: str, *, out: list[Any], attempt: int | None = None) -> None:
        now = self._next()
        fields = {} if attempt is None else {"attempt": attempt}
        answer = self._call("closesuccessfulmsg", name, processid=process.processid, out=out, **fields)
        if not self._holds(process, name, attempt):
            assert answer.status == 403, answer
        elif process.state == RUNNING:
            assert answer.status == 200, answer
            process.state, process.endtime, process.out = SUCCESS, now, out or process.out
            self._made("running -> successful: closed")
        elif process.state == SUCCESS:
            assert answer.status == 200, answer
            self._made("successful -> successful: closed again")
        else:
            assert answer.status == 400, answer

    def fail(self, process: Expected, name: str, *, errors: list[str], attempt: int | None = None) -> None:
        now = self._next()
        fields = {} if attempt is None else {"attempt": attempt}
        answer = self._call("closefailedmsg", name, processid=process.processid, errors=errors, **fields)
        if not self._holds(process, name, attempt):
            assert answer.status == 403, answer
        elif process.state == RUNNING:
            assert answer.status == 200, answer
            process.state, process.endtime, process.errors = FAILED, now, errors
            self._made("running -> failed: closed")
        else:
            assert answer.status == 400, answer

    def set_output(self, process: Expected, name: str, *, out: list[Any]) -> None:
        self._next()
        answer = self._call("setoutputmsg", name, processid=process.processid, out=out)
        if self._holds(process, name) and process.state == RUNNING:
            assert answer.status == 200, answer
            process.out = out or process.out
        else:
            assert answer.status == 403, answer

    def cancel(self, process: Expected) -> None:
        now = self._next()
        answer = self.colony.rpc.call("cancelprocessmsg", self.colony.user_key, processid=process.processid)
        if process.state in (WAITING, RUNNING):
            assert answer.status == 200, answer
            self._made(f"{STATE_NAMES[process.state]} -> cancelled: cancelled")
            process.state, process.endtime = CANCELLED, now
        else:
            assert answer.status == 400, answer

    def remove(self, process: Expected) -> None:
        self._next()
        answer = self.colony.rpc.call("removeprocessmsg", self.colony.user_key, processid=process.processid)
        if process.state == RUNNING:
            assert answer.status == 400, answer
            return
        assert answer.status == 200, answer
        self._made(f"{STATE_NAMES[process.state]} -> nothing: removed")
        self.processes.remove(process)
        self.removed.append(process.processid)

    def change_removed(self, processid: str, name: str) -> None:
        """No call changes a process that is gone."""
        self._next()
        refused = 500 if self.workers[name].member else 403
        for msgtype in ("closesuccessfulmsg", "closefailedmsg", "setoutputmsg", "cancelprocessmsg", "removeprocessmsg"):
            assert self._call(msgtype, name, processid=processid).status in (refused, 500)
        assert self.colony.rpc.call("getprocessmsg", self.colony.user_key, processid=processid).status == 404

    def remove_executor(self, name: str) -> None:
        self._next()
        self.colony.rpc.ok("removeexecutormsg", self.colony.colony_key, colonyname=self.colony.name, executorname=name)
        self._lose(name, "executor removed")

    def register_again(self, name: str) -> None:
        """Add an executor under a name that is in use, with a new key."""
        self._next()
        key = self.colony.add_executor(name)
        self._lose(name, "executor registered again")
        self.workers[name] = Worker(key)

    def fall_silent(self, silent: set[str]) -> None:
        """Some executors are not heard of for ten minutes; who calls meanwhile stays."""
        self._next(STALE_AFTER)
        for name in set(NAMES) - silent:
            self._call("getcolonymsg", name, colonyname=self.colony.name)
        self.server.run(lambda parts: parts.contacts.tick())
        self.server.remove_silent_executors()
        oldest = self.server.clock.now() - timedelta(seconds=STALE_AFTER)
        for name, worker in self.workers.items():
            if worker.member and worker.heard and worker.heard < oldest:
                self._lose(name, "executor silent")

    def pass_time(self, seconds: float) -> None:
        """Time passes, and the server looks for limits that have passed."""
        now = self._next(seconds)
        self.server.apply_limits()
        for each in self._in(WAITING):
            if each.waitdeadline and each.waitdeadline < now:
                each.state, each.endtime, each.errors = FAILED, now, [WAITED_TOO_LONG]
                self._made("waiting -> failed: waited too long")
        for each in self._in(RUNNING):
            if each.execdeadline and each.execdeadline < now:
                self._end_execution(each, now)

    def _end_execution(self, process: Expected, now: datetime) -> None:
        process.endtime = now
        if process.maxretries < 0 or process.retries < process.maxretries:
            process.state, process.executorid, process.retries = WAITING, "", process.retries + 1
            process.waitdeadline = _after(now, process.maxwaittime)
            self._made("running -> waiting: out of time, retries left")
        else:
            process.state, process.errors = FAILED, [RAN_TOO_LONG]
            self._made("running -> failed: out of time, no retries left")

    # What the server should say of it

    def check(self) -> None:
        """The server says of every process what the model says, and has counted them."""
        get = self.colony.rpc.ok
        for process in self.processes:
            found = get("getprocessmsg", self.colony.user_key, processid=process.processid)
            assert answered(found) == process.seen(), process.processid
        counted = get("getcolonystatsmsg", self.colony.user_key, colonyname=self.colony.name)
        expected = Counter(process.state for process in self.processes)
        assert {name: counted[f"{name}processes"] for name in STATE_NAMES} == {
            name: expected[state] for state, name in enumerate(STATE_NAMES)
        }

    def holder(self, process: Expected) -> str:
        """The executor that has a process; any if none has."""
        held = [name for name, worker in self.workers.items() if worker.key.identity == process.executorid]
        return held[0] if held else NAMES[0]

    @property
    def members(self) -> list[str]:
        """The executors that may work."""
        return [name for name, worker in self.workers.items() if worker.member]

    def _in(self, state: int) -> list[Expected]:
        return [process for process in self.processes if process.state == state]

    def _holds(self, process: Expected, name: str, attempt: int | None = None) -> bool:
        worker = self.workers[name]
        return worker.member and process.executorid == worker.key.identity and attempt in (None, process.attempt)

    def _lose(self, name: str, why: str) -> None:
        worker = self.workers[name]
        worker.member = False
        for process in self._in(RUNNING):
            if process.executorid == worker.key.identity:
                process.state, process.executorid = WAITING, ""
                process.starttime = process.endtime = None
                self._made(f"running -> waiting: {why}")

    def _call(self, msgtype: str, name: str, **fields: Any) -> Any:
        worker = self.workers[name]
        worker.heard = self.server.clock.now()
        return self.colony.rpc.call(msgtype, worker.key, **fields)

    def _next(self, seconds: float = 0) -> datetime:
        self.server.clock.advance(1 + seconds)
        return self.server.clock.now()

    def _made(self, transition: str) -> None:
        self.transitions[transition] += 1


def _after(now: datetime, seconds: int) -> datetime | None:
    return now + timedelta(seconds=seconds) if seconds > 0 else None


# Stories that together make every transition, whatever the search then finds


def _runs_and_is_closed_twice(life: Life) -> None:
    process = life.submit()
    life.assign("e1")
    life.set_output(process, "e1", out=["half"])
    life.remove(process)
    life.close(process, "e2", out=["stolen"])
    life.close(process, "e1", out=[])
    life.close(process, "e1", out=["once more"])
    life.fail(process, "e1", errors=["too late"])
    life.cancel(process)
    life.remove(process)
    life.change_removed(process.processid, "e1")


def _fails(life: Life) -> None:
    process = life.submit(retries=3)
    life.assign("e1")
    life.fail(process, "e1", errors=["boom"])
    life.close(process, "e1", out=["saved after all"])
    life.remove(process)


def _runs_out_of_time(life: Life) -> None:
    process = life.submit(exec_limit=EXEC_LIMIT, wait_limit=WAIT_LIMIT, retries=1)
    life.assign("e1")
    life.pass_time(EXEC_LIMIT)
    life.close(process, "e1", out=["late"])
    life.assign("e2")
    life.close(process, "e1", out=["later"])
    life.close(process, "e2", out=["of the first attempt"], attempt=1)
    life.pass_time(EXEC_LIMIT)
    life.fail(process, "e2", errors=["late"])


def _waits_too_long(life: Life) -> None:
    process = life.submit(wait_limit=WAIT_LIMIT)
    life.pass_time(WAIT_LIMIT)
    life.assign("e1")
    life.cancel(process)


def _is_cancelled(life: Life) -> None:
    waiting = life.submit()
    life.cancel(waiting)
    life.remove(waiting)
    running = life.submit()
    life.assign("e1")
    life.cancel(running)
    life.close(running, "e1", out=["done"])


def _is_removed_while_it_waits(life: Life) -> None:
    life.remove(life.submit())


def _loses_its_executor(life: Life) -> None:
    process = life.submit(exec_limit=EXEC_LIMIT, wait_limit=WAIT_LIMIT, retries=0)
    life.assign("e1")
    life.remove_executor("e1")
    life.close(process, "e1", out=["removed"])
    life.assign("e2")
    life.register_again("e2")
    life.assign("e3")
    life.fall_silent({"e2", "e3"})
    life.assign("e3")
    life.assign("e2")


STORIES: tuple[Callable[[Life], None], ...] = (
    _runs_and_is_closed_twice,
    _fails,
    _runs_out_of_time,
    _waits_too_long,
    _is_cancelled,
    _is_removed_while_it_waits,
    _loses_its_executor,
)


# The search

places = st.integers(0, MOST_PROCESSES - 1)
outputs = st.sampled_from([[], ["a"], ["b", 2]])
names = st.sampled_from(NAMES)
callers = st.one_of(st.none(), names)
specs = st.fixed_dictionaries(
    {
        "exec_limit": st.sampled_from([EXEC_LIMIT, EXEC_LIMIT, -1, 0]),
        "wait_limit": st.sampled_from([WAIT_LIMIT, WAIT_LIMIT, -1, 0]),
        "retries": st.sampled_from([0, 1, -1]),
        "priority": st.sampled_from([0, 0, 1]),
    }
)
attempts = st.sampled_from([None, None, 0, -1])
"""How far the attempt that a close names is from the current one; `None` names none."""


class LifeMachine(RuleBasedStateMachine):
    """Picks what happens next; a caller that is `None` is the executor that has the process."""

    server: ClassVar[ClockedServer]
    transitions: ClassVar[Counter[str]]

    @initialize(given=st.lists(specs, min_size=2, max_size=4), name=names)
    def begin(self, given: list[dict[str, int]], name: str) -> None:
        self.life = Life(self.server, self.transitions)
        for spec in given:
            self.life.submit(**spec)
        self.life.assign(name)

    @precondition(lambda self: len(self.life.processes) < MOST_PROCESSES)
    @rule(spec=specs)
    def submit(self, spec: dict[str, int]) -> None:
        self.life.submit(**spec)

    @rule(name=names)
    def assign(self, name: str) -> None:
        self.life.assign(name)

    @precondition(lambda self: self.life.members)
    @rule(place=places)
    def assign_to_a_member(self, place: int) -> None:
        self.life.assign(self.life.members[place % len(self.life.members)])

    @precondition(lambda self: self.life.processes)
    @rule(place=places, by=callers, out=outputs, off=attempts)
    def close(self, place: int, by: str | None, out: list[Any], off: int | None) -> None:
        process, name = self._picked(place, by)
        self.life.close(process, name, out=out, attempt=None if off is None else process.attempt + off)

    @precondition(lambda self: self.life.processes)
    @rule(place=places, by=callers, errors=st.sampled_from([[], ["boom"]]), off=attempts)
    def fail(self, place: int, by: str | None, errors: list[str], off: int | None) -> None:
        process, name = self._picked(place, by)
        self.life.fail(process, name, errors=errors, attempt=None if off is None else process.attempt + off)

    @precondition(lambda self: self.life.processes)
    @rule(place=places, by=callers, out=outputs)
    def set_output(self, place: int, by: str | None, out: list[Any]) -> None:
        process, name = self._picked(place, by)
        self.life.set_output(process, name, out=out)

    @precondition(lambda self: self.life.processes)
    @rule(place=places)
    def cancel(self, place: int) -> None:
        self.life.cancel(self._picked(place)[0])

    @precondition(lambda self: self.life.processes)
    @rule(place=places)
    def remove(self, place: int) -> None:
        self.life.remove(self._picked(place)[0])

    @precondition(lambda self: self.life.removed)
    @rule(name=names)
    def change_removed(self, name: str) -> None:
        self.life.change_removed(self.life.removed[-1], name)

    @rule(name=names)
    def remove_executor(self, name: str) -> None:
        self.life.remove_executor(name)

    @rule(name=names)
    def register_again(self, name: str) -> None:
        self.life.register_again(name)

    @rule(silent=st.sets(names))
    def fall_silent(self, silent: set[str]) -> None:
        self.life.fall_silent(silent)

    @rule(seconds=st.sampled_from([0, EXEC_LIMIT, WAIT_LIMIT]))
    def pass_time(self, seconds: int) -> None:
        self.life.pass_time(seconds)

    @invariant()
    def the_server_agrees(self) -> None:
        self.life.check()

    def _picked(self, place: int, by: str | None = None) -> tuple[Expected, str]:
        running_first = sorted(self.life.processes, key=lambda process: process.state != RUNNING)
        process = running_first[place % len(running_first)]
        return process, by or self.life.holder(process)


@pytest.fixture(scope="module")
def clocked(postgres_dsn: str) -> Iterator[ClockedServer]:
    with ClockedServer(create_database(postgres_dsn), stale_after=STALE_AFTER, allow_reregister=True) as server:
        yield server


@pytest.mark.parametrize("story", STORIES, ids=lambda story: story.__name__.strip("_"))
def test_a_story_goes_as_the_model_says(clocked: ClockedServer, story: Callable[[Life], None]) -> None:
    life = Life(clocked, Counter())
    story(life)
    life.check()


def test_whatever_happens_the_server_agrees_with_the_model(clocked: ClockedServer) -> None:
    chosen = int(os.environ.get(SEED_VARIABLE) or secrets.randbits(32))
    print(f"{SEED_VARIABLE}={chosen}")
    transitions: Counter[str] = Counter()
    for story in STORIES:
        life = Life(clocked, transitions)
        story(life)
        life.check()

    @seed(chosen)
    class Search(LifeMachine):
        pass

    Search.server, Search.transitions = clocked, transitions
    run_state_machine_as_test(
        Search,
        settings=settings(
            max_examples=EXAMPLES,
            stateful_step_count=STEPS,
            deadline=None,
            database=None,
            suppress_health_check=list(HealthCheck),
        ),
    )
    print("\n".join(f"{times:6} x {transition}" for transition, times in sorted(transitions.items())))
    assert set(transitions) == TRANSITIONS
