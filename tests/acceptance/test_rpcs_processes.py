"""Processes: submitting, looking up, closing, cancelling and removing, in every state."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Any, NamedTuple

import pytest
from answers import refusal
from clocked import ClockedServer
from colonies import Answer, Colony, create_database

from kolony.crypto import PrivateKey

UNSET = "0001-01-01T00:00:00Z"
DAY_NS = 86_400 * 10**9
WAITING, RUNNING, SUCCESSFUL, FAILED, CANCELLED = range(5)


@pytest.fixture(scope="module")
def clocked(postgres_dsn: str) -> Iterator[ClockedServer]:
    with ClockedServer(create_database(postgres_dsn)) as server:
        yield server


def get(colony: Colony, processid: str) -> dict[str, Any]:
    process: dict[str, Any] = colony.rpc.ok("getprocessmsg", colony.user_key, processid=processid)
    return process


def submit(colony: Colony, **fields: Any) -> Answer:
    return colony.rpc.call("submitfuncspecmsg", colony.user_key, spec=colony.spec(**fields))


# Submitting


def test_a_new_process(clocked: ClockedServer) -> None:
    colony = clocked.colony()
    process = colony.submit(maxwaittime=100, maxexectime=50)
    now = clocked.clock.now()
    assert get(colony, process["processid"]) == process
    assert (process["initiatorid"], process["initiatorname"]) == (colony.user_key.identity, "alice")
    assert datetime.fromisoformat(process["submissiontime"]) == now
    assert datetime.fromisoformat(process["waitdeadline"]) == now + timedelta(seconds=100)
    assert process["execdeadline"] == UNSET


@pytest.mark.parametrize("maxwaittime", [0, -1, -5])
def test_no_limit_of_waiting_is_no_deadline(colony: Colony, maxwaittime: int) -> None:
    assert colony.submit(maxwaittime=maxwaittime)["waitdeadline"] == UNSET


def test_an_executor_is_the_initiator_before_a_user(colony: Colony) -> None:
    key = colony.add_executor("e1")
    user = {"colonyname": colony.name, "name": "both", "userid": key.identity}
    colony.rpc.ok("addusermsg", colony.colony_key, user=user)
    process = colony.rpc.ok("submitfuncspecmsg", key, spec=colony.spec())
    assert (process["initiatorid"], process["initiatorname"]) == (key.identity, "e1")


@pytest.mark.parametrize("priority", [-50_000, -1, 0, 1, 50_000])
def test_a_step_of_priority_is_worth_a_day(clocked: ClockedServer, priority: int) -> None:
    process = clocked.colony().submit(priority=priority)
    submitted = clocked.clock.now_ns() - process["prioritytime"]
    assert abs(submitted - priority * DAY_NS) < 1000


@pytest.mark.parametrize("priority", [-50_001, 50_001, 2**40])
def test_priority_has_bounds(colony: Colony, priority: int) -> None:
    answer = submit(colony, priority=priority, conditions={"cpu": "nonsense m"})
    assert refusal(answer) == (400, "Failed to submit function spec, priority outside range [-50000, 50000]")


@pytest.mark.parametrize(
    "sent, returned", [("1000m", "1000m"), ("+5m", "5m"), ("2", "0m"), ("2.5", "0m"), ("", "0m"), ("1000M", "0m")]
)
def test_cpu(colony: Colony, sent: str, returned: str) -> None:
    assert colony.submit(conditions={"cpu": sent})["spec"]["conditions"]["cpu"] == returned


@pytest.mark.parametrize("sent", ["m", "1.5m", "one m", "9223372036854775808m"])
def test_cpu_that_is_no_number(colony: Colony, sent: str) -> None:
    assert refusal(submit(colony, conditions={"cpu": sent})) == (400, "Error converting CPU to int")


@pytest.mark.parametrize("field", ["mem", "storage", "gpu"])
@pytest.mark.parametrize(
    "sent, returned",
    [
        ("", "0Mi"),
        ("10Gi", "10240Mi"),
        ("10M", "9Mi"),
        ("500Ki", "0Mi"),
        ("1TiB", "1048576Mi"),
        ("3MiB", "3Mi"),
        ("2GB", "1907Mi"),
        ("2Gb", "1907Mi"),
        ("1Ti", "1048576Mi"),
        ("10MB", "9Mi"),
    ],
)
def test_memory(colony: Colony, field: str, sent: str, returned: str) -> None:
    amount = {"gpu": {"mem": sent}} if field == "gpu" else {field: sent}
    conditions = colony.submit(conditions=amount)["spec"]["conditions"]
    assert (conditions["gpu"]["mem"] if field == "gpu" else conditions[field]) == returned


@pytest.mark.parametrize("sent", ["1024", "1.5Gi", "10gi", "10 Gi", "10B", "Gi", "k", "10XiB"])
def test_memory_that_is_none(colony: Colony, sent: str) -> None:
    status, text = refusal(submit(colony, conditions={"mem": sent}))
    assert status == 400
    assert text.startswith("error converting memory to int: ")


@pytest.mark.parametrize(
    "sent, stored", [(None, None), ([], []), (["*"], []), (["e1"], ["e1"]), (["b", "a", "b"], ["b", "a", "b"])]
)
def test_names_of_executors(colony: Colony, sent: Any, stored: Any) -> None:
    process = colony.submit(conditions={"executornames": sent})
    assert process["spec"]["conditions"]["executornames"] == stored
    assert get(colony, process["processid"]) == process


@pytest.mark.parametrize("sent", [{}, {"snapshots": None, "dirs": None}, {"snapshots": [], "dirs": []}])
def test_mounts_come_back_as_sent(colony: Colony, sent: dict[str, Any]) -> None:
    stored = {"mount": "", "snapshots": None, "dirs": None, **sent}
    process = colony.submit(fs=sent)
    assert process["spec"]["fs"] == stored
    assert get(colony, process["processid"])["spec"]["fs"] == stored


def test_mounts_are_filled_up_and_unknown_keys_dropped(colony: Colony) -> None:
    sent = {"dirs": [{"label": "/a", "unknown": 1, "onconflicts": {"onclose": {"keeplocal": True}}}], "snapshots": [{}]}
    assert colony.submit(fs=sent)["spec"]["fs"] == {
        "mount": "",
        "snapshots": [{"snapshotid": "", "label": "", "dir": "", "keepfiles": False, "keepsnapshot": False}],
        "dirs": [
            {
                "label": "/a",
                "dir": "",
                "keepfiles": False,
                "onconflicts": {"onstart": {"keeplocal": False}, "onclose": {"keeplocal": True}},
            }
        ],
    }


@pytest.mark.parametrize("field, value", [("channels", []), ("locationname", "")])
def test_empty_fields_that_are_left_out(colony: Colony, field: str, value: Any) -> None:
    spec = colony.spec()
    place = spec["conditions"] if field == "locationname" else spec
    place[field] = value
    process = colony.rpc.ok("submitfuncspecmsg", colony.user_key, spec=spec)
    for each in (process, get(colony, process["processid"])):
        found = each["spec"]["conditions"] if field == "locationname" else each["spec"]
        assert field not in found


@pytest.mark.parametrize(
    "fields",
    [
        {"funcname": ""},
        {"maxwaittime": -7, "maxexectime": -7, "maxretries": -7},
        {"conditions": {"executortype": "unheard of", "executornames": ["nobody"], "locationname": "nowhere"}},
        {"conditions": {"nodes": -1, "cpu": "-5m", "mem": "-1Mi", "walltime": -1}},
        {"channels": ["a", "a"]},
    ],
    ids=str,
)
def test_what_is_not_checked(colony: Colony, fields: dict[str, Any]) -> None:
    assert submit(colony, **fields).status == 200


def test_values_come_back_as_sent(colony: Colony) -> None:
    args = [12345678901234567890, 2**53 + 1, 1.0, -0.0, 1e300, True, None, "\N{SNOWMAN}<>&", [[], {}], {"b": 1, "a": 2}]
    executor = colony.add_executor("e1")
    process = colony.submit(args=args, kwargs={"z": args, "a": {"": None}})
    assigned = colony.assign(executor)
    colony.rpc.ok("closesuccessfulmsg", executor, processid=process["processid"], out=args)
    for each in (process, assigned, get(colony, process["processid"])):
        assert repr(each["spec"]["args"]) == repr(args)
        assert repr(each["spec"]["kwargs"]) == repr({"z": args, "a": {"": None}})
    assert repr(get(colony, process["processid"])["out"]) == repr(args)


# Lists


class Listed(NamedTuple):
    """A colony with processes in every state."""

    colony: Colony
    executor: PrivateKey
    ids: dict[str, str]

    def names(self, **query: Any) -> list[str] | None:
        """The names of the processes in a list, in its order."""
        fields = {"colonyname": self.colony.name, "count": 100, **query}
        found = self.colony.rpc.ok("getprocessesmsg", self.colony.user_key, **fields)
        known = {processid: name for name, processid in self.ids.items()}
        return found and [known[each["processid"]] for each in found]


ENDINGS = {
    SUCCESSFUL: ("closesuccessfulmsg", ["s1", "s2"]),
    FAILED: ("closefailedmsg", ["f1", "f2"]),
    CANCELLED: ("cancelprocessmsg", ["c1", "c2"]),
}


@pytest.fixture(scope="module")
def listed(clocked: ClockedServer) -> Listed:
    colony = clocked.colony()
    executor = colony.add_executor("e1")
    other = colony.add_executor("e2", "other")
    user = PrivateKey.generate()
    bob = {"colonyname": colony.name, "name": "bob", "userid": user.identity}
    colony.rpc.ok("addusermsg", colony.colony_key, user=bob)
    ids: dict[str, str] = {}

    def start(name: str) -> None:
        clocked.clock.advance(1)
        ids[name] = colony.submit(label=name)["processid"]
        clocked.clock.advance(1)
        assert colony.assign(executor)["processid"] == ids[name]

    for msgtype, names in ENDINGS.values():
        for name in names:
            start(name)
        for name in names:
            clocked.clock.advance(1)
            colony.rpc.ok(msgtype, executor, processid=ids[name])
    for name in ("r1", "r2"):
        start(name)
    for name, key, fields in (
        ("w-late", colony.user_key, {"priority": -1}),
        ("w-bob", user, {}),
        ("w-other", other, {"conditions": {"executortype": "other"}, "label": "lab"}),
        ("w-label", colony.user_key, {"label": "lab"}),
        ("w-first", colony.user_key, {"priority": 1}),
    ):
        clocked.clock.advance(1)
        ids[name] = colony.rpc.ok("submitfuncspecmsg", key, spec=colony.spec(**fields))["processid"]
    return Listed(colony, executor, ids)


@pytest.mark.parametrize(
    "query, expected",
    [
        ({}, ["w-first", "w-bob", "w-other", "w-label", "w-late"]),
        ({"state": WAITING, "count": 2}, ["w-first", "w-bob"]),
        ({"state": RUNNING}, ["r1", "r2"]),
        ({"state": RUNNING, "count": 1}, ["r1"]),
        ({"state": SUCCESSFUL}, ["s2", "s1"]),
        ({"state": FAILED}, ["f2", "f1"]),
        ({"state": CANCELLED}, ["c2", "c1"]),
        ({"state": CANCELLED, "count": 1}, ["c2"]),
        ({"executortype": "other"}, ["w-other"]),
        ({"label": "lab"}, ["w-other", "w-label"]),
        ({"initiator": "bob"}, ["w-bob"]),
        ({"state": SUCCESSFUL, "label": "s1"}, ["s1"]),
        ({"state": RUNNING, "label": "r2"}, ["r2"]),
        ({"state": FAILED, "initiator": "alice"}, ["f2", "f1"]),
        ({"executortype": "cli", "label": "nothing"}, ["w-first", "w-bob", "w-label", "w-late"]),
        ({"executortype": "other", "initiator": "bob", "label": "nothing"}, ["w-other"]),
        ({"initiator": "bob", "label": "lab"}, ["w-bob"]),
        ({"count": 0}, None),
        ({"executortype": "unheard of"}, None),
        ({"state": RUNNING, "label": "lab"}, None),
    ],
    ids=str,
)
def test_lists_by_state(listed: Listed, query: dict[str, Any], expected: list[str] | None) -> None:
    assert listed.names(**query) == expected


TOO_MANY = (400, "Count is larger than MaxCount limit <100>")
NO_STATE = (400, "Failed to get processes, invalid msg.State")


@pytest.mark.parametrize(
    "query, expected",
    [
        ({"count": 101}, TOO_MANY),
        ({"count": 101, "initiator": "nobody"}, TOO_MANY),
        ({"initiator": "nobody"}, (400, "User <nobody> does not exist")),
        ({"initiator": "e1"}, (400, "User <e1> does not exist")),
        ({"initiator": "nobody", "executortype": "cli", "state": 9}, (400, "User <nobody> does not exist")),
        ({"state": 5}, NO_STATE),
        ({"state": -1, "count": -1}, NO_STATE),
        ({"count": -1}, (400, "pq: LIMIT must not be negative")),
    ],
    ids=str,
)
def test_lists_that_are_refused(listed: Listed, query: dict[str, Any], expected: tuple[int, str]) -> None:
    fields = {"colonyname": listed.colony.name, "count": 1, **query}
    assert refusal(listed.colony.rpc.call("getprocessesmsg", listed.colony.user_key, **fields)) == expected


def history(colony: Colony, **query: Any) -> list[str] | None:
    found = colony.rpc.ok("getprocesshistmsg", colony.user_key, colonyname=colony.name, **query)
    return found and [each["processid"] for each in found]


def test_the_history_has_a_window(clocked: ClockedServer) -> None:
    colony = clocked.colony()
    executors = [colony.add_executor(name) for name in ("e1", "e2")]
    ids = []
    for number in range(4):
        ids.append(colony.submit()["processid"])
        colony.assign(executors[number % 2])
        clocked.clock.advance(10)
    assert history(colony, state=RUNNING, seconds=25) == ids[2:]
    assert history(colony, state=RUNNING, seconds=1000) == ids
    assert history(colony, state=RUNNING, seconds=1000, executorid=executors[1].identity) == ids[1::2]
    for nothing in ({"seconds": 0}, {"seconds": -5}, {"seconds": 1000, "executorid": "e1"}):
        assert history(colony, state=RUNNING, **nothing) is None
    for state in (WAITING, SUCCESSFUL, -1, 5):
        assert history(colony, state=state, seconds=1000) is None


def test_the_history_is_complete(colony: Colony) -> None:
    specs = [colony.spec()] * 150
    submitted = colony.rpc.ok("kolonysubmitfuncspecsmsg", colony.user_key, colonyname=colony.name, specs=specs)
    assert history(colony, state=WAITING, seconds=60) == [each["processid"] for each in submitted]


# Closing, cancelling, removing


class Held(NamedTuple):
    """A process in some state, and the executor that holds it or held it last."""

    colony: Colony
    executor: PrivateKey
    processid: str

    def call(self, msgtype: str, key: PrivateKey | None = None, **fields: Any) -> Answer:
        return self.colony.rpc.call(msgtype, key or self.executor, processid=self.processid, **fields)

    def ok(self, msgtype: str, **fields: Any) -> Any:
        return self.colony.rpc.ok(msgtype, self.executor, processid=self.processid, **fields)

    def get(self) -> dict[str, Any]:
        return get(self.colony, self.processid)


def hold(colony: Colony, state: str) -> Held:
    """A process brought to a state; a dash says where it stopped to be anybody's."""
    executor = colony.add_executor("e1")
    held = Held(colony, executor, colony.submit(env={"A": "1"})["processid"])
    if not state.startswith("waiting"):
        colony.assign(executor)
    endings = {
        "successful": "closesuccessfulmsg",
        "failed": "closefailedmsg",
        "cancelled": "cancelprocessmsg",
        "waiting-cancelled": "cancelprocessmsg",
    }
    if state in endings:
        held.ok(endings[state])
    return held


CLOSE = "Failed to close process as successful"
FAIL = "Failed to close process as failed"

OUTCOMES: dict[str, dict[str, tuple[int, str]]] = {
    "closesuccessfulmsg": {
        "waiting": (403, f"{CLOSE}, process is not assigned"),
        "waiting-cancelled": (403, f"{CLOSE}, process is not assigned"),
        "failed": (400, "Tried to set failed process as successful"),
        "cancelled": (400, "Tried to set cancelled process as successful"),
    },
    "closefailedmsg": {
        "waiting": (403, f"{FAIL}, process is not assigned"),
        "waiting-cancelled": (403, f"{FAIL}, process is not assigned"),
        "successful": (400, "Tried to set successful process as failed"),
        "failed": (400, "Tried to set failed process as failed"),
        "cancelled": (400, "Tried to set cancelled process as failed"),
    },
    "setoutputmsg": {
        "waiting": (403, f"{CLOSE}, not allowed to close process as successful"),
        "waiting-cancelled": (403, f"{CLOSE}, not allowed to close process as successful"),
        "successful": (403, "Failed to set output, process is not running"),
        "failed": (403, "Failed to set output, process is not running"),
        "cancelled": (403, "Failed to set output, process is not running"),
    },
    "cancelprocessmsg": {
        "waiting-cancelled": (400, "Tried to cancel already cancelled process"),
        "successful": (400, "Tried to cancel successful process"),
        "failed": (400, "Tried to cancel failed process"),
        "cancelled": (400, "Tried to cancel already cancelled process"),
    },
    "removeprocessmsg": {
        "running": (400, "Failed to remove process, cannot remove a running process"),
    },
}
"""What is refused in which state; the rest is done."""

STATES = ["waiting", "waiting-cancelled", "running", "successful", "failed", "cancelled"]


@pytest.mark.parametrize("state", STATES)
@pytest.mark.parametrize("msgtype", OUTCOMES)
def test_what_can_be_done_in_which_state(colony: Colony, msgtype: str, state: str) -> None:
    held = hold(colony, state)
    before = held.get()
    answer = held.call(msgtype, out=["new"], errors=["new"])
    expected = OUTCOMES[msgtype].get(state)
    if expected is None:
        assert (answer.status, answer.payload) == (200, {})
    else:
        assert refusal(answer) == expected
        assert held.get() == before


NOT_THEIRS = {
    "closesuccessfulmsg": f"{CLOSE}, not allowed to close process as successful",
    "closefailedmsg": f"{FAIL}, not allowed to close process as failed",
    "setoutputmsg": f"{CLOSE}, not allowed to close process as successful",
}


@pytest.mark.parametrize("state", ["running", "successful", "failed", "cancelled"])
@pytest.mark.parametrize("msgtype", NOT_THEIRS)
def test_whose_it_is_comes_before_its_state(colony: Colony, msgtype: str, state: str) -> None:
    held = hold(colony, state)
    for key in (colony.add_executor("e2"), colony.user_key):
        assert refusal(held.call(msgtype, key, out=["new"])) == (403, NOT_THEIRS[msgtype])


def test_a_success(clocked: ClockedServer) -> None:
    held = hold(clocked.colony(), "running")
    before = held.get()
    clocked.clock.advance(5)
    held.ok("closesuccessfulmsg", out=["result", {"n": 42}])
    end = held.get()
    assert datetime.fromisoformat(end["endtime"]) == clocked.clock.now()
    assert {**end, "endtime": UNSET, "attributes": []} == {
        **before,
        "state": SUCCESSFUL,
        "out": ["result", {"n": 42}],
        "attributes": [],
    }


def test_a_failure_is_final(clocked: ClockedServer) -> None:
    colony = clocked.colony()
    executor = colony.add_executor("e1")
    held = Held(colony, executor, colony.submit(maxretries=5)["processid"])
    colony.assign(executor)
    clocked.clock.advance(5)
    held.ok("closefailedmsg", errors=["one", "two"])
    end = held.get()
    assert (end["state"], end["errors"], end["retries"], end["isassigned"]) == (FAILED, ["one", "two"], 0, True)
    assert datetime.fromisoformat(end["endtime"]) == clocked.clock.now()
    assert refusal(colony.rpc.call("assignprocessmsg", executor, colonyname=colony.name, timeout=-1))[0] == 404


@pytest.mark.parametrize("errors", [{}, {"errors": None}, {"errors": []}], ids=str)
def test_a_failure_needs_no_reason(colony: Colony, errors: dict[str, Any]) -> None:
    held = hold(colony, "running")
    held.ok("closefailedmsg", **errors)
    assert held.get()["errors"] == []


@pytest.mark.parametrize("out", [{}, {"out": None}, {"out": []}], ids=str)
@pytest.mark.parametrize("msgtype", ["setoutputmsg", "closesuccessfulmsg"])
def test_an_empty_output_changes_nothing(colony: Colony, msgtype: str, out: dict[str, Any]) -> None:
    held = hold(colony, "running")
    held.ok("setoutputmsg", out=["kept"])
    held.ok(msgtype, **out)
    assert held.get()["out"] == ["kept"]


def test_an_output_replaces_the_one_before(colony: Colony) -> None:
    held = hold(colony, "running")
    before = held.get()
    for out in ([1, 2], ["x"]):
        held.ok("setoutputmsg", out=out)
        assert held.get() == {**before, "out": out}
    held.ok("closesuccessfulmsg", out=["last"])
    assert held.get()["out"] == ["last"]


def test_a_repeated_close_is_answered_well_and_changes_nothing(clocked: ClockedServer) -> None:
    held = hold(clocked.colony(), "running")
    held.ok("closesuccessfulmsg", out=["first"])
    before = held.get()
    clocked.clock.advance(5)
    assert held.ok("closesuccessfulmsg", out=["second"]) == {}
    assert held.get() == before


@pytest.mark.parametrize("state", ["waiting", "running"])
def test_a_cancelled_process_keeps_its_executor(clocked: ClockedServer, state: str) -> None:
    held = hold(clocked.colony(), state)
    before = held.get()
    clocked.clock.advance(5)
    assert held.call("cancelprocessmsg", held.colony.user_key).payload == {}
    end = held.get()
    assert datetime.fromisoformat(end["endtime"]) == clocked.clock.now()
    assert {**end, "endtime": UNSET, "attributes": []} == {**before, "state": CANCELLED, "attributes": []}


def test_a_process_that_waited_too_long_is_nobodys(clocked: ClockedServer) -> None:
    colony = clocked.colony()
    held = Held(colony, colony.add_executor("e1"), colony.submit(maxwaittime=10)["processid"])
    clocked.apply_limits(after=11)
    assert (held.get()["state"], held.get()["errors"]) == (FAILED, ["Maximum waiting time limit exceeded"])
    assert refusal(held.call("closesuccessfulmsg")) == (403, f"{CLOSE}, process is not assigned")


def test_an_executor_that_ran_out_of_time_cannot_close(clocked: ClockedServer) -> None:
    colony = clocked.colony()
    lost, other = colony.add_executor("e1"), colony.add_executor("e2")
    held = Held(colony, lost, colony.submit(maxexectime=10, maxretries=1)["processid"])
    colony.assign(lost)
    clocked.apply_limits(after=11)
    assert refusal(held.call("closesuccessfulmsg")) == (403, f"{CLOSE}, process is not assigned")
    assert colony.assign(other)["processid"] == held.processid
    assert refusal(held.call("closesuccessfulmsg")) == (403, NOT_THEIRS["closesuccessfulmsg"])


@pytest.mark.parametrize("state", [state for state in STATES if state != "running"])
def test_nothing_but_logs_is_left_of_a_removed_process(colony: Colony, state: str) -> None:
    held = hold(colony, state)
    attributeid = held.get()["attributes"][0]["attributeid"]
    assert held.call("removeprocessmsg", colony.user_key, all=False).payload == {}
    gone = colony.rpc.call("getprocessmsg", colony.user_key, processid=held.processid)
    assert refusal(gone) == (404, "Failed to get process, process not found")
    again = held.call("removeprocessmsg", colony.user_key)
    assert refusal(again) == (500, "Failed to remove process, process is nil")
    attribute = colony.rpc.call("getattributemsg", colony.user_key, attributeid=attributeid)
    assert refusal(attribute) == (400, "Attribute does not exists")
    counts = colony.rpc.ok("getcolonystatsmsg", colony.user_key, colonyname=colony.name)
    assert not any(count for name, count in counts.items() if name.endswith("processes"))


# Removing many


def fill(colony: Colony) -> dict[int, str]:
    """A process in each state, by state."""
    executor = colony.add_executor("e1")
    ids = {}
    for state, msgtype in (
        (SUCCESSFUL, "closesuccessfulmsg"),
        (FAILED, "closefailedmsg"),
        (CANCELLED, "cancelprocessmsg"),
        (RUNNING, ""),
        (WAITING, ""),
    ):
        ids[state] = colony.submit(env={"A": "1"})["processid"]
        if state != WAITING:
            colony.assign(executor)
        if msgtype:
            colony.rpc.ok(msgtype, executor, processid=ids[state])
    return ids


def remove_all(colony: Colony, **fields: Any) -> Answer:
    return colony.rpc.call("removeallprocessesmsg", colony.colony_key, colonyname=colony.name, **fields)


@pytest.mark.parametrize(
    "fields, removed",
    [
        ({}, [WAITING]),
        ({"state": WAITING}, [WAITING]),
        ({"state": SUCCESSFUL}, [SUCCESSFUL]),
        ({"state": FAILED}, [FAILED]),
        ({"state": CANCELLED}, [CANCELLED]),
        ({"state": -1}, [WAITING, RUNNING, SUCCESSFUL, FAILED, CANCELLED]),
    ],
    ids=str,
)
def test_many_are_removed_by_state(colony: Colony, fields: dict[str, int], removed: list[int]) -> None:
    ids = fill(colony)
    kept = {state: get(colony, processid) for state, processid in ids.items() if state not in removed}
    assert remove_all(colony, **fields).payload == {}
    for state, processid in ids.items():
        if state in removed:
            gone = colony.rpc.call("getprocessmsg", colony.user_key, processid=processid)
            assert refusal(gone)[0] == 404
        else:
            assert get(colony, processid) == kept[state]


@pytest.mark.parametrize(
    "state, text",
    [
        (RUNNING, "Not possible to remove running processes"),
        (5, "Invalid state when deleting all processes"),
        (-2, "Invalid state when deleting all processes"),
    ],
)
def test_states_that_cannot_be_removed(colony: Colony, state: int, text: str) -> None:
    assert refusal(remove_all(colony, state=state)) == (400, text)


def test_the_executor_of_a_process_removed_under_it_is_told(colony: Colony) -> None:
    held = hold(colony, "running")
    remove_all(colony, state=-1)
    assert refusal(held.call("closesuccessfulmsg")) == (500, f"{CLOSE}, process is nil")
    assert refusal(held.call("addlogmsg", message="hello")) == (500, "Failed to add log, process is nil")


def test_other_colonies_keep_their_processes(clocked: ClockedServer) -> None:
    colony, other = clocked.colony(), clocked.colony()
    kept = other.submit()
    colony.submit()
    remove_all(colony, state=-1)
    assert get(other, kept["processid"]) == kept
