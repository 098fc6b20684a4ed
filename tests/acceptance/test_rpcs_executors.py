"""Executors: adding, states, removal and re-registration, what they report of themselves, new keys, and silence."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta
from typing import Any

import pytest
from answers import refusal
from clocked import ClockedServer
from colonies import Colony, RunningServer, create_colony, create_database, envelope, start_server

from kolony.crypto import PrivateKey

PENDING, APPROVED, REJECTED, REMOVED = range(4)
CHANGES = {APPROVED: "approveexecutormsg", REJECTED: "rejectexecutormsg", REMOVED: "removeexecutormsg"}
UNSET = "0001-01-01T00:00:00Z"


def change(colony: Colony, state: int, name: str = "e1") -> Any:
    return colony.rpc.ok(CHANGES[state], colony.colony_key, colonyname=colony.name, executorname=name)


def executor(colony: Colony, name: str = "e1") -> dict[str, Any]:
    found: dict[str, Any] = colony.rpc.ok("getexecutormsg", colony.user_key, colonyname=colony.name, executorname=name)
    return found


def process(colony: Colony, processid: str) -> dict[str, Any]:
    found: dict[str, Any] = colony.rpc.ok("getprocessmsg", colony.user_key, processid=processid)
    return found


def functions(colony: Colony) -> list[str]:
    found = colony.rpc.ok("getfunctionsmsg", colony.user_key, colonyname=colony.name) or []
    return [function["funcname"] for function in found]


def add_function(colony: Colony, key: PrivateKey, name: str = "e1") -> None:
    colony.rpc.ok("addfunctionmsg", key, fun={"colonyname": colony.name, "executorname": name, "funcname": name})


def is_refused(colony: Colony, key: PrivateKey) -> bool:
    answer = colony.rpc.call("getcolonymsg", key, colonyname=colony.name)
    if answer.status == 200:
        return False
    assert refusal(answer) == (403, f"Access denied, not a member of Colony with name <{colony.name}>")
    return True


# Adding


def test_an_executor_is_pending_whatever_it_says(colony: Colony) -> None:
    sent = {
        "colonyname": colony.name,
        "executorname": "e1",
        "executorid": "e" * 64,
        "state": 1,
        "commissiontime": "2001-01-01T00:00:00Z",
        "lastheardfromtime": "2021-05-31T22:00:00.1Z",
    }
    added = colony.rpc.ok("addexecutormsg", colony.colony_key, executor=sent)
    assert added["state"] == PENDING
    assert datetime.fromisoformat(added["commissiontime"]).year > 2001
    assert datetime.fromisoformat(added["lastheardfromtime"]) == datetime.fromisoformat(sent["lastheardfromtime"])
    assert added == executor(colony)


def test_what_is_not_sent_is_left_out_or_null(colony: Colony) -> None:
    added = colony.rpc.ok("addexecutormsg", colony.colony_key, executor={"colonyname": colony.name})
    assert {**added, "commissiontime": None} == {
        "executorid": "",
        "executortype": "",
        "executorname": "",
        "colonyname": colony.name,
        "state": PENDING,
        "requirefuncreg": False,
        "commissiontime": None,
        "lastheardfromtime": UNSET,
        "capabilities": {"hardware": None, "software": None},
        "allocations": {"projects": None},
    }


@pytest.mark.parametrize("empty", [None, [], {}], ids=["null", "list", "object"])
def test_lists_of_an_executor_come_back_as_sent(colony: Colony, empty: Any) -> None:
    lists = {"hardware": empty, "software": empty} if empty != {} else {"hardware": None, "software": None}
    projects = {"projects": empty} if empty != [] else {"projects": None}
    key = colony.add_executor("e1", capabilities=lists, allocations=projects)
    found = colony.rpc.ok("getexecutorbyidmsg", key, executorid=key.identity)
    assert (found["capabilities"], found["allocations"]) == (lists, projects)


@pytest.mark.parametrize("state", [PENDING, *CHANGES])
def test_a_name_that_was_ever_used_is_taken(colony: Colony, state: int) -> None:
    colony.add_executor("e1", approve=False)
    if state != PENDING:
        change(colony, state)
    again = {"colonyname": colony.name, "executorname": "e1", "executorid": "f" * 64}
    answer = colony.rpc.call("addexecutormsg", colony.colony_key, executor=again)
    assert refusal(answer) == (400, f"Executor with name <e1> in Colony <{colony.name}> already exists")
    assert executor(colony)["state"] == state


def test_a_key_is_one_executor_in_a_colony(colony: Colony) -> None:
    key = colony.add_executor("e1")
    again = {"colonyname": colony.name, "executorname": "e2", "executorid": key.identity}
    answer = colony.rpc.call("addexecutormsg", colony.colony_key, executor=again)
    assert refusal(answer) == (
        400,
        "Executor not unique, both Name and ExecutorId must be unique within a Colony",
    )
    change(colony, REMOVED)
    assert colony.rpc.ok("addexecutormsg", colony.colony_key, executor=again)["executorname"] == "e2"
    change(colony, APPROVED, "e2")
    assert not is_refused(colony, key)


def test_a_key_may_be_an_executor_in_several_colonies(server: RunningServer, colony: Colony) -> None:
    other = create_colony(server)
    key = colony.add_executor("e1")
    again = {"colonyname": other.name, "executorname": "e1", "executorid": key.identity, "executortype": "cli"}
    added = other.rpc.ok("addexecutormsg", other.colony_key, executor=again)
    assert added["colonyname"] == other.name
    change(other, APPROVED)
    for each in (colony, other):
        submitted = each.submit()
        assert each.assign(key)["processid"] == submitted["processid"]
    change(other, REJECTED)
    assert is_refused(other, key)
    assert not is_refused(colony, key)


def test_a_user_and_an_executor_may_share_name_and_key(colony: Colony) -> None:
    key = colony.add_executor("alice")
    assert executor(colony, "alice")["executorid"] == key.identity
    user = {"colonyname": colony.name, "name": "both", "userid": key.identity}
    colony.rpc.ok("addusermsg", colony.colony_key, user=user)
    change(colony, REMOVED, "alice")
    assert not is_refused(colony, key)


# States


@pytest.mark.parametrize("to", CHANGES)
@pytest.mark.parametrize("before", [PENDING, *CHANGES])
def test_every_state_follows_every_other(colony: Colony, before: int, to: int) -> None:
    key = colony.add_executor("e1", approve=False)
    if before != PENDING:
        change(colony, before)
    assert change(colony, to) == {}
    assert executor(colony)["state"] == to
    assert is_refused(colony, key) is (to != APPROVED)


def test_a_rejected_executor_keeps_what_it_runs_but_cannot_close_it(colony: Colony) -> None:
    key = colony.add_executor("e1")
    colony.submit()
    running = colony.assign(key)
    change(colony, REJECTED)
    answer = colony.rpc.call("closesuccessfulmsg", key, processid=running["processid"])
    assert refusal(answer) == (403, f"Access denied, not a member of Colony with name <{colony.name}>")
    assert process(colony, running["processid"]) == running
    change(colony, APPROVED)
    assert colony.rpc.ok("closesuccessfulmsg", key, processid=running["processid"]) == {}


def test_a_removed_executor_loses_its_functions_and_its_work(colony: Colony) -> None:
    key, other = colony.add_executor("e1"), colony.add_executor("e2")
    for name, each in (("e1", key), ("e2", other)):
        add_function(colony, each, name)
        colony.submit(maxexectime=100, maxwaittime=100, conditions={"executornames": [name]}, env={"A": "1"})
    lost, kept = colony.assign(key), colony.assign(other)
    change(colony, REMOVED)
    assert functions(colony) == ["e2"]
    assert process(colony, kept["processid"]) == kept
    assert process(colony, lost["processid"]) == {
        **lost,
        "state": 0,
        "isassigned": False,
        "assignedexecutorid": "",
        "starttime": UNSET,
        "endtime": UNSET,
        "attributes": [{**lost["attributes"][0], "state": 0}],
    }
    assert executor(colony)["state"] == REMOVED


def test_what_a_removed_executor_leaves_behind_stays(colony: Colony) -> None:
    key = colony.add_executor("e1")
    of = {"colonyname": colony.name}
    submitted = colony.rpc.ok("submitfuncspecmsg", key, spec=colony.spec())
    colony.rpc.ok("addexecutorlogmsg", key, **of, executorname="e1", message="hello")
    done = colony.assign(key)
    colony.rpc.ok("closesuccessfulmsg", key, processid=done["processid"])
    change(colony, REMOVED)
    assert process(colony, submitted["processid"])["initiatorname"] == "e1"
    assert process(colony, done["processid"])["assignedexecutorid"] == key.identity
    logs = colony.rpc.ok("getlogsmsg", colony.user_key, **of, executorname="e1", count=9)
    assert [log["message"] for log in logs] == ["hello"]


def test_work_that_came_back_goes_to_one_who_waits(colony: Colony) -> None:
    key, other = colony.add_executor("e1"), colony.add_executor("e2")
    colony.submit()
    lost = colony.assign(key)
    with ThreadPoolExecutor() as threads:
        waiting = threads.submit(colony.assign, other, timeout=20)
        change(colony, REMOVED)
        assert waiting.result()["processid"] == lost["processid"]


def test_a_removed_executor_that_is_approved_is_back_without_its_functions(colony: Colony) -> None:
    key = colony.add_executor("e1")
    add_function(colony, key)
    change(colony, REMOVED)
    change(colony, APPROVED)
    assert functions(colony) == []
    submitted = colony.submit()
    assert colony.assign(key)["processid"] == submitted["processid"]


def test_executors_are_listed_in_all_states(colony: Colony) -> None:
    of = {"colonyname": colony.name}
    assert colony.rpc.ok("getexecutorsmsg", colony.user_key, **of) is None
    for state in (PENDING, *CHANGES):
        colony.add_executor(f"e{state}", approve=False)
        if state != PENDING:
            change(colony, state, f"e{state}")
    listed = colony.rpc.ok("getexecutorsmsg", colony.user_key, **of)
    assert [(each["executorname"], each["state"]) for each in listed] == [
        (f"e{state}", state) for state in (PENDING, *CHANGES)
    ]


# Re-registration


@pytest.fixture(scope="module")
def reregistering(postgres_dsn: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningServer]:
    """A server that lets executors be added again."""
    running = start_server(
        create_database(postgres_dsn),
        tmp_path_factory.mktemp("reregistering"),
        COLONIES_ALLOW_EXECUTOR_REREGISTER="true",
    )
    yield running
    running.stop()


@pytest.mark.parametrize("state", [APPROVED, REJECTED, REMOVED])
def test_an_executor_added_again_is_a_new_one_in_the_same_record(reregistering: RunningServer, state: int) -> None:
    colony = create_colony(reregistering)
    old = colony.add_executor(
        "e1",
        requirefuncreg=True,
        locationname="old",
        blueprintid="b",
        blueprintgen=1,
        capabilities={"software": [{"name": "s"}]},
        allocations={"projects": {"p": {"usedcpu": 1}}},
        lastheardfromtime="2026-01-01T00:00:00Z",
    )
    add_function(colony, old)
    colony.submit()
    running = colony.assign(old)
    if state != APPROVED:
        change(colony, state)
    before = executor(colony)

    new = colony.add_executor("e1", "other", approve=False, locationname="new", requirefuncreg=False)
    after = executor(colony)
    assert datetime.fromisoformat(after["commissiontime"]) > datetime.fromisoformat(before["commissiontime"])
    assert {**after, "commissiontime": None} == {
        "executorid": new.identity,
        "executortype": "other",
        "executorname": "e1",
        "colonyname": colony.name,
        "state": PENDING,
        "requirefuncreg": True,  # it stays as it was
        "commissiontime": None,
        "lastheardfromtime": UNSET,
        "locationname": "new",
        "capabilities": {"hardware": None, "software": None},
        "allocations": {"projects": None},
    }
    assert len(colony.rpc.ok("getexecutorsmsg", colony.user_key, colonyname=colony.name)) == 1
    assert functions(colony) == []
    assert process(colony, running["processid"])["state"] == 0
    assert is_refused(colony, old)
    assert is_refused(colony, new)
    change(colony, APPROVED)
    assert is_refused(colony, old)
    assert not is_refused(colony, new)


def test_an_executor_may_come_back_with_its_old_key(reregistering: RunningServer) -> None:
    colony = create_colony(reregistering)
    key = colony.add_executor("e1")
    again = {"colonyname": colony.name, "executorname": "e1", "executorid": key.identity, "executortype": "cli"}
    assert colony.rpc.ok("addexecutormsg", colony.colony_key, executor=again)["state"] == PENDING
    assert is_refused(colony, key)
    change(colony, APPROVED)
    submitted = colony.submit()
    assert colony.assign(key)["processid"] == submitted["processid"]


def test_logs_stay_with_the_name(reregistering: RunningServer) -> None:
    colony = create_colony(reregistering)
    of = {"colonyname": colony.name, "executorname": "e1"}
    colony.rpc.ok("addexecutorlogmsg", colony.add_executor("e1"), **of, message="old")
    new = colony.add_executor("e1")
    colony.rpc.ok("addexecutorlogmsg", new, **of, message="new")
    assert [log["message"] for log in colony.rpc.ok("getlogsmsg", new, **of, count=9)] == ["old", "new"]


# What executors report of themselves


PROJECT = {
    "allocatedcpu": 1,
    "usedcpu": 2,
    "allocatedgpu": 3,
    "usedgpu": 4,
    "allocatedstorage": 5,
    "usedstorage": 2**62,
}


def test_allocations_are_replaced_as_a_whole(colony: Colony) -> None:
    key = colony.add_executor("e1", allocations={"projects": {"old": PROJECT}})
    of = {"colonyname": colony.name, "executorname": "e1"}
    assert colony.rpc.ok("reportallocationmsg", key, **of, allocations={"projects": {"new": PROJECT}}) == {}
    assert executor(colony)["allocations"] == {"projects": {"new": PROJECT}}
    colony.rpc.ok("reportallocationmsg", key, **of)
    assert executor(colony)["allocations"] == {"projects": None}


def test_both_lists_of_capabilities_are_replaced(colony: Colony) -> None:
    software = [{"name": "a", "type": "b", "version": "c"}]
    key = colony.add_executor("e1", capabilities={"hardware": [{"model": "m"}], "software": []})
    of = {"colonyname": colony.name, "executorname": "e1"}
    before = executor(colony)
    assert colony.rpc.ok("updateexecutormsg", key, **of, capabilities={"software": software}) == {}
    after = executor(colony)
    assert after["capabilities"] == {"hardware": None, "software": software}
    ignored = {"capabilities": None, "lastheardfromtime": None}
    assert {**after, **ignored} == {**before, **ignored}


# New keys


def test_a_new_key_takes_effect_at_once(colony: Colony) -> None:
    old, new = colony.add_executor("e1"), PrivateKey.generate()
    text = f'{{"msgtype": "changeexecutoridmsg", "executorid": "{new.identity}", "colonyname":"{colony.name}", "x":1}}'
    request = envelope(text.encode(), old)
    status, reply = colony.rpc.post(json.dumps(request).encode())
    assert (status, base64.b64decode(json.loads(reply)["payload"])) == (200, text.encode())
    assert is_refused(colony, old)
    assert not is_refused(colony, new)
    assert executor(colony)["executorid"] == new.identity


def test_what_an_executor_did_before_stays_with_its_old_key(colony: Colony) -> None:
    old, new = colony.add_executor("e1"), PrivateKey.generate()
    submitted = colony.rpc.ok("submitfuncspecmsg", old, spec=colony.spec())
    colony.assign(old)
    colony.rpc.ok("changeexecutoridmsg", old, colonyname=colony.name, executorid=new.identity)
    running = process(colony, submitted["processid"])
    assert (running["assignedexecutorid"], running["initiatorid"]) == (old.identity, old.identity)
    closing = colony.rpc.call("closesuccessfulmsg", new, processid=submitted["processid"])
    assert refusal(closing) == (
        403,
        "Failed to close process as successful, not allowed to close process as successful",
    )
    logging = colony.rpc.call("addlogmsg", new, processid=submitted["processid"], message="hello")
    assert refusal(logging)[0] == 403


@pytest.mark.parametrize("executorid", ["e" * 63, "e" * 65], ids=["63", "65"])
def test_a_new_key_has_64_bytes(colony: Colony, executorid: str) -> None:
    key = colony.add_executor("e1")
    answer = colony.rpc.call("changeexecutoridmsg", key, colonyname=colony.name, executorid=executorid)
    assert refusal(answer) == (400, "Failed to change executor Id, new executor Id is not 64 characters")
    by_user = colony.rpc.call("changeexecutoridmsg", colony.user_key, colonyname=colony.name, executorid=executorid)
    assert refusal(by_user) == (400, "Failed to change executor Id, executor not found")


def test_a_key_in_use_is_no_new_key(colony: Colony) -> None:
    key, other = colony.add_executor("e1"), colony.add_executor("e2")
    answer = colony.rpc.call("changeexecutoridmsg", key, colonyname=colony.name, executorid=other.identity)
    assert refusal(answer)[0] == 400
    assert executor(colony)["executorid"] == key.identity


# Signs of life


@pytest.fixture(scope="module")
def clocked(postgres_dsn: str) -> Iterator[ClockedServer]:
    with ClockedServer(create_database(postgres_dsn)) as server:
        yield server


def remove_silent(server: ClockedServer, *, after: float = 0) -> None:
    """Let time pass, and let the server look for executors that have been silent."""
    server.run(lambda parts: parts.contacts.tick())
    server.remove_silent_executors(after=after)


def heard(colony: Colony, name: str = "e1") -> datetime:
    return datetime.fromisoformat(executor(colony, name)["lastheardfromtime"])


def test_every_signed_call_is_a_sign_of_life(clocked: ClockedServer) -> None:
    colony = clocked.colony()
    key = colony.add_executor("e1")
    assert executor(colony)["lastheardfromtime"] == UNSET
    colony.submit()
    for call in (
        lambda: colony.assign(key),
        lambda: colony.rpc.ok("getcolonymsg", key, colonyname=colony.name),
        lambda: colony.rpc.call("getcoloniesmsg", key),
    ):
        clocked.clock.advance(5)
        call()
        assert heard(colony) == clocked.clock.now()


def test_an_executor_silent_for_ten_minutes_is_removed(clocked: ClockedServer) -> None:
    colony = clocked.colony()
    silent, busy = colony.add_executor("silent"), colony.add_executor("busy")
    colony.add_executor("never-heard")
    colony.submit()
    lost = colony.assign(silent)
    colony.submit()
    kept = colony.assign(busy)
    clocked.clock.advance(400)
    colony.rpc.ok("addlogmsg", busy, processid=kept["processid"], message="still at it")
    remove_silent(clocked, after=199)
    assert executor(colony, "silent")["state"] == APPROVED
    remove_silent(clocked, after=2)
    states = {name: executor(colony, name)["state"] for name in ("silent", "busy", "never-heard")}
    assert states == {"silent": REMOVED, "busy": APPROVED, "never-heard": APPROVED}
    assert process(colony, lost["processid"])["state"] == 0
    assert process(colony, kept["processid"])["state"] == 1
    assert is_refused(colony, silent)


def test_an_executor_added_as_long_silent_is_removed(clocked: ClockedServer) -> None:
    colony = clocked.colony()
    past = clocked.clock.now() - timedelta(seconds=601)
    colony.add_executor("e1", lastheardfromtime=past.isoformat())
    remove_silent(clocked)
    assert executor(colony)["state"] == REMOVED


def test_a_setting_says_how_long_silence_may_be(database_dsn: str) -> None:
    with ClockedServer(database_dsn, stale_after=10) as server:
        colony = server.colony()
        colony.rpc.ok("getcolonymsg", colony.add_executor("e1"), colonyname=colony.name)
        remove_silent(server, after=11)
        assert executor(colony)["state"] == REMOVED
