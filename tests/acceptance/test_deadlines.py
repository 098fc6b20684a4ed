"""What time does: limits of waiting and running, retries, silent executors, retention. The clock is the test's."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from datetime import datetime, timedelta
from typing import Any

import pytest
from answers import refusal
from clocked import ClockedServer, eventually
from colonies import Answer, Colony, create_database

from kolony.crypto import PrivateKey

WAITING, RUNNING, SUCCESS, FAILED, CANCELLED = range(5)
DAY = 86_400
UNSET = "0001-01-01T00:00:00Z"
WAITED_TOO_LONG = ["Maximum waiting time limit exceeded"]
RAN_TOO_LONG = ["Maximum execution time limit exceeded"]
STATE_NAMES = ("waiting", "running", "successful", "failed", "cancelled")
MANY = 1_100
"""More than the thousand that one look of other servers is limited to."""


@pytest.fixture(scope="module")
def clocked(postgres_dsn: str) -> Iterator[ClockedServer]:
    with ClockedServer(create_database(postgres_dsn)) as server:
        yield server


@pytest.fixture(scope="module")
def retaining(postgres_dsn: str) -> Iterator[ClockedServer]:
    """A server that deletes what is older than a day."""
    with ClockedServer(create_database(postgres_dsn), retention=True, retention_age=DAY) as server:
        yield server


@pytest.fixture
def home(clocked: ClockedServer) -> Colony:
    return clocked.colony()


@pytest.fixture
def executor(home: Colony) -> PrivateKey:
    return home.add_executor("e1")


def read(colony: Colony, process: dict[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = colony.rpc.ok("getprocessmsg", colony.user_key, processid=process["processid"])
    return found


def exists(colony: Colony, process: dict[str, Any]) -> bool:
    return colony.rpc.call("getprocessmsg", colony.user_key, processid=process["processid"]).status == 200


def close(colony: Colony, key: PrivateKey, process: dict[str, Any], **fields: Any) -> Answer:
    return colony.rpc.call("closesuccessfulmsg", key, processid=process["processid"], **fields)


def cancel(colony: Colony, process: dict[str, Any]) -> None:
    colony.rpc.ok("cancelprocessmsg", colony.user_key, processid=process["processid"])


def remove_executor(colony: Colony, name: str = "e1") -> None:
    colony.rpc.ok("removeexecutormsg", colony.colony_key, colonyname=colony.name, executorname=name)


def nothing_waits(colony: Colony, key: PrivateKey) -> bool:
    return colony.rpc.call("assignprocessmsg", key, colonyname=colony.name, timeout=-1).status == 404


def counted(colony: Colony) -> dict[str, int]:
    """The counters of the colony that are not 0."""
    statistics = colony.rpc.ok("getcolonystatsmsg", colony.user_key, colonyname=colony.name)
    return {name: statistics[f"{name}processes"] for name in STATE_NAMES if statistics[f"{name}processes"]}


def changes(before: dict[str, Any], after: dict[str, Any]) -> dict[str, Any]:
    """The fields that differ, with what they are now."""
    assert before.keys() == after.keys()
    return {name: after[name] for name in after if after[name] != before[name]}


def moment(text: str) -> datetime:
    return datetime.fromisoformat(text)


def text_of(time: datetime) -> str:
    return time.isoformat(timespec="microseconds").replace("+00:00", "Z")


# Waiting


def test_a_process_fails_once_it_has_waited_too_long(
    clocked: ClockedServer, home: Colony, executor: PrivateKey
) -> None:
    submitted = home.submit(maxwaittime=10)
    assert moment(submitted["waitdeadline"]) - moment(submitted["submissiontime"]) == timedelta(seconds=10)
    clocked.apply_limits(after=9)
    assert read(home, submitted) == submitted
    clocked.apply_limits(after=2)
    ended = {"state": FAILED, "endtime": text_of(clocked.clock.now()), "errors": WAITED_TOO_LONG}
    assert changes(submitted, read(home, submitted)) == ended
    assert nothing_waits(home, executor)
    assert counted(home) == {"failed": 1}


@pytest.mark.parametrize("limit", [0, -1, -2])
def test_without_a_limit_a_process_waits_for_ever(clocked: ClockedServer, home: Colony, limit: int) -> None:
    submitted = home.submit(maxwaittime=limit)
    assert submitted["waitdeadline"] == UNSET
    clocked.apply_limits(after=1000 * DAY)
    assert read(home, submitted) == submitted


def test_the_wait_limit_does_not_end_an_execution(clocked: ClockedServer, home: Colony, executor: PrivateKey) -> None:
    home.submit(maxwaittime=10)
    running = home.assign(executor)
    clocked.apply_limits(after=11)
    assert read(home, running) == running


def test_the_wait_begins_anew_when_an_execution_ran_out_of_time(
    clocked: ClockedServer, home: Colony, executor: PrivateKey
) -> None:
    submitted = home.submit(maxwaittime=10, maxexectime=60, maxretries=1)
    home.assign(executor)
    clocked.apply_limits(after=61)
    queued = read(home, submitted)
    assert moment(queued["waitdeadline"]) == clocked.clock.now() + timedelta(seconds=10)
    clocked.apply_limits(after=9)
    assert read(home, submitted)["state"] == WAITING
    clocked.apply_limits(after=2)
    assert read(home, submitted)["state"] == FAILED


def test_the_wait_goes_on_when_an_executor_is_lost(clocked: ClockedServer, home: Colony, executor: PrivateKey) -> None:
    submitted = home.submit(maxwaittime=10)
    home.assign(executor)
    clocked.clock.advance(6)
    remove_executor(home)
    assert read(home, submitted)["waitdeadline"] == submitted["waitdeadline"]
    clocked.apply_limits(after=5)
    assert read(home, submitted)["errors"] == WAITED_TOO_LONG


# Running


@pytest.mark.parametrize("retries", [0, 1, 3])
def test_a_process_runs_once_and_then_as_often_as_it_may_be_retried(
    clocked: ClockedServer, home: Colony, executor: PrivateKey, retries: int
) -> None:
    submitted = home.submit(maxexectime=10, maxretries=retries)
    for attempt in range(1, retries + 2):
        running = home.assign(executor)
        assert (running["attempt"], running["retries"]) == (attempt, attempt - 1)
        assert moment(running["execdeadline"]) - moment(running["starttime"]) == timedelta(seconds=10)
        clocked.apply_limits(after=9)
        assert read(home, submitted) == running
        clocked.apply_limits(after=2)
    failed = read(home, submitted)
    assert (failed["state"], failed["errors"], failed["retries"]) == (FAILED, RAN_TOO_LONG, retries)
    assert nothing_waits(home, executor)
    assert counted(home) == {"failed": 1}


def test_retries_without_a_limit_never_end(clocked: ClockedServer, home: Colony, executor: PrivateKey) -> None:
    submitted = home.submit(maxexectime=1, maxretries=-1)
    for executions in range(1, 8):
        home.assign(executor)
        clocked.apply_limits(after=2)
        queued = read(home, submitted)
        assert (queued["state"], queued["retries"], queued["errors"]) == (WAITING, executions, [])
    assert counted(home) == {"waiting": 1}


@pytest.mark.parametrize("limit", [0, -1, -2])
def test_without_a_limit_a_process_runs_for_ever(
    clocked: ClockedServer, home: Colony, executor: PrivateKey, limit: int
) -> None:
    home.submit(maxexectime=limit)
    running = home.assign(executor)
    assert running["execdeadline"] == UNSET
    clocked.apply_limits(after=1000 * DAY)
    assert read(home, running) == running


def test_a_failure_is_final_whatever_retries_are_left(
    clocked: ClockedServer, home: Colony, executor: PrivateKey
) -> None:
    home.submit(maxexectime=10, maxretries=-1)
    running = home.assign(executor)
    home.rpc.ok("closefailedmsg", executor, processid=running["processid"], errors=["boom"])
    clocked.apply_limits(after=11)
    failed = read(home, running)
    assert (failed["state"], failed["errors"], failed["retries"]) == (FAILED, ["boom"], 0)


def test_a_lost_executor_costs_no_retry(clocked: ClockedServer, home: Colony) -> None:
    submitted = home.submit(maxexectime=10, maxretries=0)
    for name in ("e1", "e2", "e3"):
        home.assign(home.add_executor(name))
        remove_executor(home, name)
    queued = read(home, submitted)
    assert (queued["state"], queued["retries"]) == (WAITING, 0)
    clocked.apply_limits(after=11)
    assert read(home, submitted) == queued, "the limit of an execution that was lost is none of the next"
    assert home.assign(home.add_executor("e4"))["attempt"] == 4


def test_a_process_queued_again_returns_to_its_place(
    clocked: ClockedServer, home: Colony, executor: PrivateKey
) -> None:
    first = home.submit(maxexectime=10, maxretries=1)
    clocked.clock.advance(1)
    home.submit()
    home.assign(executor)
    clocked.apply_limits(after=11)
    assert home.assign(executor)["processid"] == first["processid"]


# Fields after each transition


def test_an_assignment_sets_holder_and_times(clocked: ClockedServer, home: Colony, executor: PrivateKey) -> None:
    waiting = home.submit(maxexectime=10, maxwaittime=60)
    clocked.clock.advance(1)
    now = clocked.clock.now()
    running = home.assign(executor)
    assert read(home, running) == running
    assert changes(waiting, running) == {
        "state": RUNNING,
        "isassigned": True,
        "assignedexecutorid": executor.identity,
        "attempt": 1,
        "starttime": text_of(now),
        "execdeadline": text_of(now + timedelta(seconds=10)),
    }


@pytest.mark.parametrize(
    ("msgtype", "fields", "state"),
    [
        ("closesuccessfulmsg", {"out": ["done"]}, SUCCESS),
        ("closefailedmsg", {"errors": ["boom"]}, FAILED),
        ("cancelprocessmsg", {}, CANCELLED),
    ],
)
def test_an_end_keeps_the_holder(
    clocked: ClockedServer, home: Colony, executor: PrivateKey, msgtype: str, fields: dict[str, Any], state: int
) -> None:
    home.submit(maxexectime=10)
    running = home.assign(executor)
    clocked.clock.advance(1)
    home.rpc.ok(msgtype, executor, processid=running["processid"], **fields)
    ended = {"state": state, "endtime": text_of(clocked.clock.now()), **fields}
    assert changes(running, read(home, running)) == ended
    clocked.apply_limits(after=11)
    assert changes(running, read(home, running)) == ended, "no limit holds after the end"


def test_cancelling_what_waits_only_ends_it(clocked: ClockedServer, home: Colony) -> None:
    waiting = home.submit(maxwaittime=10)
    clocked.clock.advance(1)
    cancel(home, waiting)
    ended = {"state": CANCELLED, "endtime": text_of(clocked.clock.now())}
    clocked.apply_limits(after=11)
    assert changes(waiting, read(home, waiting)) == ended


def test_an_execution_out_of_time_leaves_its_times(clocked: ClockedServer, home: Colony, executor: PrivateKey) -> None:
    home.submit(maxexectime=10, maxretries=1)
    running = home.assign(executor)
    clocked.apply_limits(after=11)
    assert changes(running, read(home, running)) == {
        "state": WAITING,
        "isassigned": False,
        "assignedexecutorid": "",
        "retries": 1,
        "endtime": text_of(clocked.clock.now()),
    }


def test_the_last_execution_out_of_time_keeps_its_holder(
    clocked: ClockedServer, home: Colony, executor: PrivateKey
) -> None:
    home.submit(maxexectime=10)
    running = home.assign(executor)
    clocked.apply_limits(after=11)
    assert changes(running, read(home, running)) == {
        "state": FAILED,
        "endtime": text_of(clocked.clock.now()),
        "errors": RAN_TOO_LONG,
    }


def test_a_lost_executor_leaves_only_the_limits(home: Colony, executor: PrivateKey) -> None:
    home.submit(maxexectime=10, maxwaittime=60, maxretries=1)
    running = home.assign(executor)
    remove_executor(home)
    assert changes(running, read(home, running)) == {
        "state": WAITING,
        "isassigned": False,
        "assignedexecutorid": "",
        "starttime": UNSET,
    }


# Those who wait for work, and those who lost it


def parked(clocked: ClockedServer, threads: ThreadPoolExecutor, colony: Colony, key: PrivateKey) -> Future[Answer]:
    """An assign call that waits."""
    before = clocked.parked()
    call = threads.submit(colony.rpc.call, "assignprocessmsg", key, colonyname=colony.name, timeout=50)
    eventually(lambda: clocked.parked() > before)
    return call


def test_a_waiting_executor_gets_what_ran_out_of_time(
    clocked: ClockedServer, home: Colony, executor: PrivateKey
) -> None:
    second = home.add_executor("e2")
    submitted = home.submit(maxexectime=10, maxretries=1)
    home.assign(executor)
    with ThreadPoolExecutor() as threads:
        call = parked(clocked, threads, home, second)
        clocked.apply_limits(after=11)
        running = call.result(20).payload
    assert (running["processid"], running["attempt"]) == (submitted["processid"], 2)
    assert running["assignedexecutorid"] == second.identity


def test_a_waiting_executor_gets_what_a_silent_one_ran(
    clocked: ClockedServer, home: Colony, executor: PrivateKey
) -> None:
    second = home.add_executor("e2")
    submitted = home.submit()
    home.assign(executor)
    clocked.clock.advance(601)
    with ThreadPoolExecutor() as threads:
        call = parked(clocked, threads, home, second)
        look_for_silent(clocked)
        running = call.result(20).payload
    assert running["processid"] == submitted["processid"]
    assert running["assignedexecutorid"] == second.identity


@pytest.mark.parametrize(("msgtype", "as_what"), [("closesuccessfulmsg", "successful"), ("closefailedmsg", "failed")])
def test_who_ran_out_of_time_cannot_close(
    clocked: ClockedServer, home: Colony, executor: PrivateKey, msgtype: str, as_what: str
) -> None:
    second = home.add_executor("e2")
    home.submit(maxexectime=10, maxretries=1)
    lost = home.assign(executor)
    clocked.apply_limits(after=11)
    failure = f"Failed to close process as {as_what}"
    answer = home.rpc.call(msgtype, executor, processid=lost["processid"])
    assert refusal(answer) == (403, f"{failure}, process is not assigned")
    running = home.assign(second)
    answer = home.rpc.call(msgtype, executor, processid=lost["processid"])
    assert refusal(answer) == (403, f"{failure}, not allowed to close process as {as_what}")
    assert read(home, lost) == running
    assert close(home, second, lost, out=["done"]).status == 200


def test_an_executor_that_got_its_process_again_cannot_close_the_attempt_it_lost(
    clocked: ClockedServer, home: Colony, executor: PrivateKey
) -> None:
    home.submit(maxexectime=10, maxretries=1)
    lost = home.assign(executor)
    clocked.apply_limits(after=11)
    running = home.assign(executor)
    assert close(home, executor, lost, attempt=lost["attempt"]).status == 403
    assert read(home, lost) == running
    assert close(home, executor, lost, attempt=running["attempt"]).status == 200


def test_who_failed_by_its_last_limit_cannot_close(clocked: ClockedServer, home: Colony, executor: PrivateKey) -> None:
    home.submit(maxexectime=10)
    lost = home.assign(executor)
    clocked.apply_limits(after=11)
    answer = close(home, executor, lost, out=["late"])
    assert refusal(answer) == (400, "Tried to set failed process as successful")
    assert read(home, lost)["out"] == []


# Silent executors


def look_for_silent(clocked: ClockedServer) -> None:
    clocked.run(lambda parts: parts.contacts.tick())
    clocked.remove_silent_executors()


def test_all_that_a_silent_executor_ran_is_queued_again(
    clocked: ClockedServer, home: Colony, executor: PrivateKey
) -> None:
    submitted = [home.submit() for _ in range(3)]
    running = [home.assign(executor) for _ in submitted]
    assert close(home, executor, running[0]).status == 200
    clocked.clock.advance(601)
    look_for_silent(clocked)
    assert [read(home, each)["state"] for each in running] == [SUCCESS, WAITING, WAITING]
    assert counted(home) == {"waiting": 2, "successful": 1}
    answer = close(home, executor, running[1])
    assert refusal(answer) == (403, f"Access denied, not a member of Colony with name <{home.name}>")


def test_an_executor_never_heard_from_is_spared(clocked: ClockedServer, home: Colony, executor: PrivateKey) -> None:
    clocked.clock.advance(100 * DAY)
    look_for_silent(clocked)
    home.submit()
    assert home.assign(executor)["state"] == RUNNING


@pytest.mark.parametrize("call", ["addlogmsg", "setoutputmsg", "getprocessmsg", "closefailedmsg of another's"])
def test_a_busy_executor_that_calls_keeps_its_process(
    clocked: ClockedServer, home: Colony, executor: PrivateKey, call: str
) -> None:
    home.submit()
    running = home.assign(executor)
    others = home.submit(conditions={"executortype": "nobody"})
    for _ in range(3):
        clocked.clock.advance(400)
        asked = others if call.endswith("another's") else running
        home.rpc.call(call.split()[0], executor, processid=asked["processid"])
        look_for_silent(clocked)
    assert close(home, executor, running).status == 200


def test_what_was_heard_of_a_name_before_it_was_added_anew_does_not_count(database_dsn: str) -> None:
    with ClockedServer(database_dsn, allow_reregister=True) as server:
        colony = server.colony()
        colony.rpc.ok("getcolonymsg", colony.add_executor("e1"), colonyname=colony.name)
        server.clock.advance(1)
        again = colony.add_executor("e1")
        server.run(lambda parts: parts.contacts.tick())
        server.clock.advance(601)
        look_for_silent(server)
        colony.submit()
        assert colony.assign(again)["state"] == RUNNING


# Retention


def test_only_successful_processes_that_are_old_are_deleted(retaining: ClockedServer) -> None:
    colony = retaining.colony()
    executor = colony.add_executor("e1")
    old = {name: colony.submit() for name in ("successful", "failed", "running")}
    old_runs = [colony.assign(executor) for _ in old]
    assert [run["processid"] for run in old_runs] == [process["processid"] for process in old.values()]
    assert close(colony, executor, old["successful"]).status == 200
    colony.rpc.ok("closefailedmsg", executor, processid=old["failed"]["processid"], errors=[])
    old["waiting"], old["cancelled"] = colony.submit(), colony.submit()
    cancel(colony, old["cancelled"])

    retaining.clock.advance(DAY - 1)
    young = colony.submit(priority=1)
    assert colony.assign(executor)["processid"] == young["processid"]
    assert close(colony, executor, young).status == 200
    retaining.apply_retention()
    assert exists(colony, old["successful"])

    retaining.apply_retention(after=2)
    assert {name for name, process in old.items() if not exists(colony, process)} == {"successful"}
    assert exists(colony, young)
    everything_else = {"waiting": 1, "running": 1, "successful": 1, "failed": 1, "cancelled": 1}
    assert counted(colony) == everything_else
    retaining.fold_counts()
    assert counted(colony) == everything_else


def test_logs_go_with_their_own_age(retaining: ClockedServer) -> None:
    colony = retaining.colony()
    executor = colony.add_executor("e1")
    colony.submit()
    running = colony.assign(executor)
    colony.rpc.ok("addlogmsg", executor, processid=running["processid"], message="old")
    retaining.clock.advance(DAY - 1)
    colony.rpc.ok("addlogmsg", executor, processid=running["processid"], message="young")
    retaining.apply_retention(after=2)
    of = {"colonyname": colony.name, "processid": running["processid"], "count": 10, "since": 0}
    logs = colony.rpc.ok("getlogsmsg", colony.user_key, **of)
    assert [entry["message"] for entry in logs] == ["young"]
    assert read(colony, running) == running


def test_without_retention_everything_stays(clocked: ClockedServer, home: Colony, executor: PrivateKey) -> None:
    home.submit()
    running = home.assign(executor)
    assert close(home, executor, running).status == 200
    clocked.apply_retention(after=1000 * DAY)
    assert exists(home, running)
    assert counted(home) == {"successful": 1}


# Many at once


def submit_many(colony: Colony, **fields: Any) -> None:
    specs = [colony.spec(**fields)] * MANY
    colony.rpc.ok("kolonysubmitfuncspecsmsg", colony.user_key, colonyname=colony.name, specs=specs)


def assign_many(clocked: ClockedServer, colony: Colony, key: PrivateKey) -> None:
    clocked.ask_all([{"msgtype": "assignprocessmsg", "colonyname": colony.name, "timeout": -1}] * MANY, key)


def test_one_look_fails_all_that_waited_too_long(clocked: ClockedServer, home: Colony) -> None:
    submit_many(home, maxwaittime=10)
    assert counted(home) == {"waiting": MANY}
    clocked.apply_limits(after=11)
    assert counted(home) == {"failed": MANY}


@pytest.mark.parametrize(("retries", "becomes"), [(0, "failed"), (1, "waiting")])
def test_one_look_ends_all_executions_that_ran_too_long(
    clocked: ClockedServer, home: Colony, executor: PrivateKey, retries: int, becomes: str
) -> None:
    submit_many(home, maxexectime=10, maxretries=retries)
    assign_many(clocked, home, executor)
    assert counted(home) == {"running": MANY}
    clocked.apply_limits(after=11)
    assert counted(home) == {becomes: MANY}


def test_one_look_deletes_all_that_is_old(retaining: ClockedServer) -> None:
    colony = retaining.colony()
    executor = colony.add_executor("e1")
    submit_many(colony)
    assign_many(retaining, colony, executor)
    running = colony.rpc.ok(
        "getprocesshistmsg", colony.user_key, colonyname=colony.name, seconds=60, state=RUNNING, executorid=""
    )
    closes = [{"msgtype": "closesuccessfulmsg", "processid": each["processid"]} for each in running]
    retaining.ask_all(closes, executor)
    assert counted(colony) == {"successful": MANY}
    retaining.apply_retention(after=DAY + 1)
    assert counted(colony) == {}
