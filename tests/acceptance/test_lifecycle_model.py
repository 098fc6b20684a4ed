"""The life of processes, at random, against a model of it in memory.

A state machine of hypothesis submits, assigns, closes, cancels, removes, lets time pass and executors come and go,
over HTTP on a running server whose clock it sets. After each step all that the server says about the colony has to be
what the model says. The machine takes every transition of a process at least once per run: a fixed story does, before
the random ones begin.
"""

from __future__ import annotations

import os
import secrets
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, TypeVar

import psycopg
import pytest
from clocked import ClockedServer
from colonies import Answer, Colony, KeptRpc, create_database
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

T = TypeVar("T")

WAITING, RUNNING, SUCCESS, FAILED, CANCELLED = STATES = range(5)
STATE_NAMES = ("waiting", "running", "successful", "failed", "cancelled")
PENDING, APPROVED, REJECTED, UNREGISTERED = range(4)
NAMES = ("e0", "e1", "e2")
STALE_AFTER = 10
MOST = 60
"""Processes of one colony at one time; a list shows a hundred."""

INDEX = st.integers(0, MOST)
"""Chooses among what there is at that moment."""

SPECS = st.fixed_dictionaries(
    {
        "maxwaittime": st.sampled_from([15, 4, 0, -1]),
        "maxexectime": st.sampled_from([8, 3, 0, -1]),
        "maxretries": st.sampled_from([0, 1, 2, -1]),
        "priority": st.sampled_from([0, 0, -1, 1, 50_000]),
        "only": st.sampled_from([None, None, "e0"]),
        "env": st.sampled_from([{}, {"A": "1"}]),
    }
)
"""Limits of all kinds, and sometimes only one executor that may run it."""

TRANSITIONS = {
    "submit",
    "assign",
    "close as successful",
    "close as successful again",
    "close as failed",
    "out of time, no retries left",
    "waited too long",
    "out of time, retries left",
    "executor removed",
    "executor registered again",
    "executor silent",
    "cancel what waits",
    "cancel what runs",
}
"""What changes the state of a process outside of workflows, and the close that changes nothing."""


def pick(index: int, preferred: list[T], others: list[T]) -> T:
    """One of those that are preferred, if there are any."""
    choice = preferred or others
    return choice[index % len(choice)]


@dataclass
class Expected:
    """A process as the model has it; a time that is not set is `None`."""

    processid: str
    prioritytime: int
    submissiontime: datetime
    waitdeadline: datetime | None
    maxwaittime: int
    maxexectime: int
    maxretries: int
    only: str | None
    env: dict[str, str]
    state: int = WAITING
    executorid: str = ""
    starttime: datetime | None = None
    endtime: datetime | None = None
    execdeadline: datetime | None = None
    retries: int = 0
    attempt: int = 0
    out: list[Any] = field(default_factory=list)
    errors: list[str] = field(default_factory=list)
    attributes: dict[tuple[int, str], str] = field(default_factory=dict)

    def shown(self) -> dict[str, Any]:
        """What a reader of the process is to see."""
        return {
            "processid": self.processid,
            "prioritytime": self.prioritytime,
            "submissiontime": self.submissiontime,
            "waitdeadline": self.waitdeadline,
            "state": self.state,
            "isassigned": self.executorid != "",
            "assignedexecutorid": self.executorid,
            "starttime": self.starttime,
            "endtime": self.endtime,
            "execdeadline": self.execdeadline,
            "retries": self.retries,
            "attempt": self.attempt,
            "out": self.out,
            "errors": self.errors,
            "attributes": self.attributes,
            "env": self.env | {key: value for (kind, key), value in self.attributes.items() if kind == 3},
        }


def as_shown(process: dict[str, Any]) -> dict[str, Any]:
    """A process of a reply, in the terms of the model."""
    times = ("submissiontime", "waitdeadline", "starttime", "endtime", "execdeadline")
    alike = (
        "processid",
        "prioritytime",
        "state",
        "isassigned",
        "assignedexecutorid",
        "retries",
        "attempt",
        "out",
        "errors",
    )
    return (
        {name: process[name] for name in alike}
        | {name: moment(process[name]) for name in times}
        | {
            "attributes": {(each["attributetype"], each["key"]): each["value"] for each in process["attributes"]},
            "env": process["spec"]["env"],
        }
    )


def moment(text: str) -> datetime | None:
    found = datetime.fromisoformat(text)
    return None if found.year == 1 else found


@dataclass
class ExpectedExecutor:
    """An executor as the model has it."""

    key: PrivateKey
    state: int
    commissioned: datetime
    heard: datetime | None = None
    called: datetime | None = None
    """A call that was not written down yet."""


class LifeCycle(RuleBasedStateMachine):
    """One colony, its executors, and what becomes of its processes."""

    server: ClockedServer
    taken: Counter[str]

    def __init__(self) -> None:
        super().__init__()
        self.colony: Colony = self.server.colony()
        self.rpc = KeptRpc(self.server.host, self.server.port)
        self.processes: list[Expected] = []
        self.removed: list[str] = []
        self.executors = {name: ExpectedExecutor(self.colony.add_executor(name), APPROVED, self.now) for name in NAMES}

    @property
    def now(self) -> datetime:
        return self.server.clock.now()

    def in_state(self, *states: int) -> list[Expected]:
        return [each for each in self.processes if each.state in states]

    def by_executor(self, name: str, msgtype: str, **fields: Any) -> Answer:
        """A call of an executor, which is a sign of life."""
        executor = self.executors[name]
        executor.called = self.now
        return self.rpc.call(msgtype, executor.key, **fields)

    def may(self, name: str) -> bool:
        return self.executors[name].state == APPROVED

    def holds(self, name: str, process: Expected) -> bool:
        return process.executorid == self.executors[name].key.identity

    # What users do

    @initialize(specs=st.lists(SPECS, min_size=2, max_size=5))
    def begin(self, specs: list[dict[str, Any]]) -> None:
        for spec in specs:
            self.submit(count=1, **spec)

    @precondition(lambda self: len(self.processes) < MOST)
    @rule(count=st.sampled_from([1, 1, 3]), spec=SPECS)
    def submit_some(self, count: int, spec: dict[str, Any]) -> None:
        self.submit(count=count, **spec)

    def submit(self, count: int, only: str | None, env: dict[str, str], **fields: int) -> None:
        conditions = {"executornames": [only]} if only else {}
        specs = [self.colony.spec(conditions=dict(conditions), env=env, **fields) for _ in range(count)]
        if count == 1:
            stored = [self.rpc.ok("submitfuncspecmsg", self.colony.user_key, spec=specs[0])]
        else:
            names = {"colonyname": self.colony.name, "specs": specs}
            stored = self.rpc.ok("kolonysubmitfuncspecsmsg", self.colony.user_key, **names)
        limits = {name: fields[name] for name in ("maxwaittime", "maxexectime", "maxretries")}
        for process in stored:
            submitted = moment(process["submissiontime"])
            assert submitted is not None
            # Stamps of one instant are told apart by nanoseconds.
            assert timedelta(0) <= submitted - self.now < timedelta(milliseconds=1)
            assert process["prioritytime"] // 1000 == to_us(submitted) - fields["priority"] * 86_400 * 10**6
            expected = Expected(
                processid=process["processid"],
                prioritytime=process["prioritytime"],
                submissiontime=submitted,
                waitdeadline=after(submitted, fields["maxwaittime"]),
                only=only,
                env=env,
                attributes={(3, key): value for key, value in env.items()},
                **limits,
            )
            assert as_shown(process) == expected.shown()
            self.processes.append(expected)
            self.taken["submit"] += 1

    @precondition(lambda self: self.processes)
    @rule(index=INDEX, what=st.sampled_from(["cancel", "cancel what runs", "remove", "remove all"]))
    def interfere(self, index: int, what: str) -> None:
        process = pick(index, self.in_state(RUNNING) if what == "cancel what runs" else [], self.processes)
        match what:
            case "remove":
                self.remove(process)
            case "remove all":
                self.remove_all((RUNNING, CANCELLED, FAILED, SUCCESS, WAITING, -1)[index % 6])
            case _:
                self.cancel(process)

    def cancel(self, process: Expected) -> None:
        answer = self.rpc.call("cancelprocessmsg", self.colony.user_key, processid=process.processid)
        if process.state > RUNNING:
            assert answer.status == 400
            return
        assert answer.status == 200
        self.taken["cancel what waits" if process.state == WAITING else "cancel what runs"] += 1
        process.state, process.endtime = CANCELLED, self.now

    def remove(self, process: Expected) -> None:
        answer = self.rpc.call("removeprocessmsg", self.colony.user_key, processid=process.processid)
        if process.state == RUNNING:
            assert answer.status == 400
            return
        assert answer.status == 200
        self.forget([process])

    def remove_all(self, state: int) -> None:
        names = {"colonyname": self.colony.name, "state": state}
        answer = self.rpc.call("removeallprocessesmsg", self.colony.colony_key, **names)
        if state == RUNNING:
            assert answer.status == 400
            return
        assert answer.status == 200
        self.forget([each for each in self.processes if state in (-1, each.state)])

    def forget(self, processes: list[Expected]) -> None:
        self.removed += [each.processid for each in processes]
        self.processes = [each for each in self.processes if each not in processes]

    # What executors do

    @rule(
        index=INDEX,
        what=st.sampled_from(["take", "take", "take", "succeed", "fail", "write", "describe", "meddle", "look back"]),
        fenced=st.sampled_from([None, 0, 0, -1]),
        out=st.sampled_from([["x", 1], [], ["é", 1.0]]),
    )
    def work(self, index: int, what: str, fenced: int | None, out: list[Any]) -> None:
        if what == "take":
            self.assign(pick(index, [name for name in NAMES if self.may(name)], list(NAMES)))
            return
        if what == "look back":
            self.ask_for_what_was_removed(index)
            return
        if not self.processes:
            return
        process = pick(index, self.in_state(RUNNING) if what != "meddle" else [], self.processes)
        holder = next((name for name in NAMES if self.holds(name, process)), "e0")
        match what:
            case "write":
                self.set_output(process, holder, out)
            case "describe":
                self.add_attribute(process, holder, 1 + 2 * (index % 2))
            case _:
                name = NAMES[index % len(NAMES)] if what == "meddle" else holder
                attempt = None if fenced is None else process.attempt + fenced
                self.close(process, name, what != "fail", attempt, out)

    def assign(self, name: str) -> None:
        answer = self.by_executor(name, "assignprocessmsg", colonyname=self.colony.name, timeout=-1)
        fitting = [each for each in self.in_state(WAITING) if each.only in (None, name)]
        if not self.may(name):
            assert answer.status == 403
        elif not fitting:
            assert answer.status == 404
        else:
            assert answer.status == 200
            process = min(fitting, key=lambda each: each.prioritytime)
            self.taken["assign"] += 1
            process.state, process.executorid = RUNNING, self.executors[name].key.identity
            process.attempt += 1
            process.starttime = self.now
            process.execdeadline = after(self.now, process.maxexectime)
            assert as_shown(answer.payload) == process.shown()

    def close(self, process: Expected, name: str, success: bool, attempt: int | None, out: list[Any]) -> None:
        fields = {"attempt": attempt} if attempt is not None else {}
        if success:
            answer = self.by_executor(name, "closesuccessfulmsg", processid=process.processid, out=out, **fields)
        else:
            answer = self.by_executor(name, "closefailedmsg", processid=process.processid, errors=["no"], **fields)
        if not self.may(name) or not self.holds(name, process) or attempt not in (None, process.attempt):
            assert answer.status == 403
        elif process.state == RUNNING:
            assert answer.status == 200
            process.endtime = self.now
            if success:
                process.state, process.out = SUCCESS, out or process.out
            else:
                process.state, process.errors = FAILED, ["no"]
            self.taken["close as successful" if success else "close as failed"] += 1
        elif process.state == SUCCESS and success:
            assert answer.status == 200
            self.taken["close as successful again"] += 1
        else:
            assert answer.status == 400

    def set_output(self, process: Expected, name: str, out: list[Any]) -> None:
        answer = self.by_executor(name, "setoutputmsg", processid=process.processid, out=out)
        if not self.may(name) or not self.holds(name, process) or process.state != RUNNING:
            assert answer.status == 403
            return
        assert answer.status == 200
        process.out = out or process.out

    def add_attribute(self, process: Expected, name: str, kind: int) -> None:
        attribute = {"targetid": process.processid, "attributetype": kind, "key": "A", "value": name}
        answer = self.by_executor(name, "addattributemsg", attribute=attribute)
        if not self.may(name) or not self.holds(name, process) or process.state != RUNNING:
            assert answer.status == 403
        elif (kind, "A") in process.attributes:
            assert answer.status == 400
        else:
            assert answer.status == 200
            process.attributes[kind, "A"] = name

    def ask_for_what_was_removed(self, index: int) -> None:
        able = [name for name in NAMES if self.may(name)]
        if not self.removed or not able:
            return
        processid = self.removed[index % len(self.removed)]
        for msgtype, status in (("closesuccessfulmsg", 500), ("setoutputmsg", 500), ("getprocessmsg", 404)):
            assert self.by_executor(able[0], msgtype, processid=processid, out=[1]).status == status

    # What owners do with executors

    def lose(self, name: str, why: str) -> None:
        """What an executor runs returns to the queue."""
        for process in self.in_state(RUNNING):
            if self.holds(name, process):
                process.state, process.executorid, process.starttime, process.endtime = WAITING, "", None, None
                self.taken[why] += 1

    def by_owner(self, msgtype: str, name: str) -> None:
        self.rpc.ok(msgtype, self.colony.colony_key, colonyname=self.colony.name, executorname=name)

    @rule(
        name=st.sampled_from(NAMES),
        what=st.sampled_from(["approve", "register again", "register again", "remove", "reject", "register pending"]),
    )
    def change_executor(self, name: str, what: str) -> None:
        match what:
            case "approve":
                self.by_owner("approveexecutormsg", name)
                self.executors[name].state = APPROVED
            case "reject":
                self.by_owner("rejectexecutormsg", name)
                self.executors[name].state = REJECTED
            case "remove":
                self.by_owner("removeexecutormsg", name)
                self.executors[name].state = UNREGISTERED
                self.lose(name, "executor removed")
            case _:
                approve = what == "register again"
                self.lose(name, "executor registered again")
                key = self.colony.add_executor(name, approve=approve)
                called = self.executors[name].called
                self.executors[name] = ExpectedExecutor(key, APPROVED if approve else PENDING, self.now, called=called)

    # What time does

    @rule(what=st.sampled_from(["next limit", "next limit", "a moment", "a while", "silence", "counts"]))
    def let_time_pass(self, what: str) -> None:
        match what:
            case "next limit":
                limits = self.limits() or [self.now]
                self.let_limits_pass(max((min(limits) - self.now).total_seconds(), 0) + 0.001)
            case "a moment":
                self.let_limits_pass(1)
            case "a while":
                self.let_limits_pass(20)
            case "silence":
                self.look_for_silent_executors(STALE_AFTER - 1)
            case "counts":
                self.server.fold_counts()

    def limits(self) -> list[datetime]:
        """The limits that something waits or runs against."""
        waits = [each.waitdeadline for each in self.in_state(WAITING)]
        runs = [each.execdeadline for each in self.in_state(RUNNING)]
        return [limit for limit in waits + runs if limit is not None]

    def let_limits_pass(self, seconds: float) -> None:
        self.server.apply_limits(after=seconds)
        waiting, running = self.in_state(WAITING), self.in_state(RUNNING)
        for process in waiting:
            if process.waitdeadline is not None and process.waitdeadline < self.now:
                process.state, process.endtime = FAILED, self.now
                process.errors = ["Maximum waiting time limit exceeded"]
                self.taken["waited too long"] += 1
        for process in running:
            if process.execdeadline is None or process.execdeadline >= self.now:
                continue
            process.endtime = self.now
            if process.maxretries < 0 or process.retries < process.maxretries:
                process.state, process.executorid = WAITING, ""
                process.retries += 1
                if process.maxwaittime > 0:
                    process.waitdeadline = self.now + timedelta(seconds=process.maxwaittime)
                self.taken["out of time, retries left"] += 1
            else:
                process.state, process.errors = FAILED, ["Maximum execution time limit exceeded"]
                self.taken["out of time, no retries left"] += 1

    def look_for_silent_executors(self, seconds: float) -> None:
        self.server.remove_silent_executors(after=seconds)
        for name, executor in self.executors.items():
            if executor.called and executor.state != UNREGISTERED and executor.called >= executor.commissioned:
                executor.heard = executor.called
            executor.called = None
            silent = executor.heard is not None and executor.heard < self.now - timedelta(seconds=STALE_AFTER)
            if silent and executor.state != UNREGISTERED:
                executor.state = UNREGISTERED
                self.lose(name, "executor silent")

    # What has to hold after each step

    @invariant()
    def the_server_agrees(self) -> None:
        for state in STATES:
            listed = self.rpc.ok(
                "getprocessesmsg", self.colony.user_key, colonyname=self.colony.name, count=100, state=state
            )
            shown = [as_shown(process) for process in listed or []]
            expected = {process.processid: process.shown() for process in self.in_state(state)}
            assert {process["processid"]: process for process in shown} == expected
            keys = [process[("prioritytime", "starttime", "endtime", "endtime", "endtime")[state]] for process in shown]
            assert keys == sorted(keys, reverse=state > RUNNING)
        counts = self.rpc.ok("getcolonystatsmsg", self.colony.user_key, colonyname=self.colony.name)
        for state, name in enumerate(STATE_NAMES):
            assert counts[f"{name}processes"] == len(self.in_state(state))
        states = Counter(executor.state for executor in self.executors.values())
        assert counts["activeexecutors"] == states[APPROVED]
        assert counts["unregisteredexecutors"] == states[UNREGISTERED]

    def teardown(self) -> None:
        self.rpc.ok("removecolonymsg", self.server.server_key, colonyname=self.colony.name)
        self.rpc.close()
        with psycopg.connect(self.server.dsn) as connection:
            query = "select count(*) from processes where colonyname = %s"
            assert connection.execute(query, [self.colony.name]).fetchone() == (0,)


def after(when: datetime, limit: int) -> datetime | None:
    """A deadline; `None` where there is no limit."""
    return when + timedelta(seconds=limit) if limit > 0 else None


def to_us(when: datetime) -> int:
    return (when - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(microseconds=1)


def tell_the_story(machine: LifeCycle) -> None:
    """Take every transition once, with a look at the server after each step."""
    limits = {"maxwaittime": 15, "maxexectime": 8, "maxretries": 1, "priority": 0, "only": None, "env": {"A": "1"}}

    def step(action: Any, *arguments: Any, **fields: Any) -> None:
        action(*arguments, **fields)
        machine.the_server_agrees()

    step(machine.submit, count=3, **limits)
    for name in NAMES:
        step(machine.assign, name)
    first, second, third = machine.processes
    step(machine.set_output, first, "e0", ["half"])
    step(machine.add_attribute, first, "e0", 1)
    step(machine.close, first, "e0", success=True, attempt=1, out=["done"])
    step(machine.close, first, "e0", success=True, attempt=1, out=["again"])
    step(machine.close, second, "e1", success=False, attempt=None, out=[])
    step(machine.let_limits_pass, 9)
    step(machine.assign, "e2")
    step(machine.let_limits_pass, 9)
    assert (third.state, third.retries) == (FAILED, 1)

    step(machine.submit, count=3, **limits)
    step(machine.assign, "e0")
    step(machine.change_executor, "e0", "remove")
    step(machine.assign, "e1")
    step(machine.change_executor, "e1", "register again")
    step(machine.assign, "e2")
    step(machine.look_for_silent_executors, 11)
    step(machine.change_executor, "e1", "approve")
    step(machine.assign, "e1")
    step(machine.cancel, machine.in_state(RUNNING)[0])
    step(machine.cancel, machine.in_state(WAITING)[0])
    step(machine.let_limits_pass, 20)
    assert machine.in_state(WAITING, RUNNING) == []


@pytest.fixture(scope="module")
def server(postgres_dsn: str) -> Iterator[ClockedServer]:
    dsn = create_database(postgres_dsn)
    with ClockedServer(dsn, stale_after=STALE_AFTER, allow_reregister=True) as server:
        yield server


def test_the_life_of_processes(server: ClockedServer, capsys: pytest.CaptureFixture[str]) -> None:
    number = int(os.environ.get("KOLONY_TEST_SEED", "") or secrets.randbelow(2**32))
    with capsys.disabled():
        print(f"\nlife cycle model: KOLONY_TEST_SEED={number} takes the same steps again")
    LifeCycle.server, LifeCycle.taken = server, Counter()

    machine = LifeCycle()
    tell_the_story(machine)
    machine.teardown()
    assert TRANSITIONS - LifeCycle.taken.keys() == set()

    LifeCycle.taken.clear()
    run_state_machine_as_test(
        seed(number)(LifeCycle),
        settings=settings(
            max_examples=20,
            stateful_step_count=40,
            deadline=None,
            database=None,
            print_blob=True,
            suppress_health_check=list(HealthCheck),
        ),
    )
    with capsys.disabled():
        print(f"transitions taken at random: {dict(LifeCycle.taken.most_common())}")
