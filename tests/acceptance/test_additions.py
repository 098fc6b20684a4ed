"""What Kolony adds to the protocol: attempts, idempotency keys, freshness, and submitting many at once."""

from __future__ import annotations

import json
import secrets
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import psycopg
import pytest
from clocked import ClockedServer
from colonies import Answer, Colony, RunningServer, create_colony, envelope

from kolony.crypto import PrivateKey
from kolony_apiserver.clock import to_ns
from kolony_apiserver.store.nonces import digest

StartServer = Callable[..., RunningServer]

NS = 10**9
DAY = 86_400


@pytest.fixture
def clocked(database_dsn: str) -> Iterator[ClockedServer]:
    with ClockedServer(database_dsn) as server:
        yield server


# --- attempt ---


@dataclass(frozen=True)
class Reassigned:
    """A process that its executor lost, and was given again."""

    colony: Colony
    executor: PrivateKey
    processid: str

    def close(self, msgtype: str = "closesuccessfulmsg", **fields: Any) -> Answer:
        return self.colony.rpc.call(msgtype, self.executor, processid=self.processid, **fields)

    def read(self) -> dict[str, Any]:
        process: dict[str, Any] = self.colony.rpc.ok("getprocessmsg", self.colony.user_key, processid=self.processid)
        return process


@pytest.fixture
def reassigned(colony: Colony) -> Reassigned:
    executor = colony.add_executor("e1")
    assert colony.submit()["attempt"] == 0
    first = colony.assign(executor)
    assert first["attempt"] == 1
    # A removed executor loses its work; approved again, it is the same executor under the same key.
    for change in ("removeexecutormsg", "approveexecutormsg"):
        colony.rpc.ok(change, colony.colony_key, colonyname=colony.name, executorname="e1")
    second = colony.assign(executor, timeout=10)
    assert second["processid"] == first["processid"]
    assert second["attempt"] == 2
    return Reassigned(colony, executor, second["processid"])


@pytest.mark.parametrize("msgtype", ["closesuccessfulmsg", "closefailedmsg"])
def test_a_close_in_an_old_attempt_is_refused(reassigned: Reassigned, msgtype: str) -> None:
    refusal = reassigned.close(msgtype, attempt=1, out=["stale"], errors=["stale"])
    assert refusal.status == 403
    assert refusal.message.endswith("attempt 1 is over, the process is in attempt 2")
    process = reassigned.read()
    assert (process["state"], process["attempt"], process["out"], process["errors"]) == (1, 2, [], [])

    assert reassigned.close(msgtype, attempt=2).status == 200
    assert reassigned.read()["state"] == {"closesuccessfulmsg": 2, "closefailedmsg": 3}[msgtype]


def test_output_of_an_old_attempt_is_refused(reassigned: Reassigned) -> None:
    refusal = reassigned.close("setoutputmsg", attempt=1, out=["stale"])
    assert refusal.status == 403
    assert refusal.message.endswith("attempt 1 is over, the process is in attempt 2")
    assert reassigned.read()["out"] == []
    assert reassigned.close("setoutputmsg", attempt=2, out=["new"]).status == 200
    assert reassigned.close("setoutputmsg", out=["newest"]).status == 200
    assert reassigned.read()["out"] == ["newest"]


def test_a_close_without_an_attempt_is_checked_by_identity(reassigned: Reassigned) -> None:
    other = reassigned.colony.add_executor("e2")
    refusal = reassigned.colony.rpc.call("closesuccessfulmsg", other, processid=reassigned.processid, attempt=2)
    assert refusal.status == 403
    assert refusal.message.endswith("not allowed to close process as successful")
    assert reassigned.close().status == 200


def test_a_repeated_close_counts_in_its_own_attempt_only(reassigned: Reassigned) -> None:
    assert reassigned.close(attempt=2, out=["first"]).status == 200
    assert reassigned.close(attempt=2, out=["again"]).status == 200
    assert reassigned.close(attempt=1, out=["stale"]).status == 403
    assert reassigned.read()["out"] == ["first"]


def test_an_attempt_that_is_no_attempt_is_refused(reassigned: Reassigned) -> None:
    for attempt in (0, -1, 3, 2**31 - 1):
        assert reassigned.close(attempt=attempt).status == 403
    for attempt in ("2", 2.5, 2**31, 2**70):
        assert reassigned.close(attempt=attempt).status == 400
    assert reassigned.read()["state"] == 1


# --- idempotency keys ---


def submit_with(colony: Colony, key: str, caller: PrivateKey | None = None, **fields: Any) -> Answer:
    """Submit with an idempotency key."""
    caller = caller or colony.user_key
    return colony.rpc.call("submitfuncspecmsg", caller, spec=colony.spec(**fields), idempotencykey=key)


def waiting(colony: Colony) -> list[str]:
    """The ids of all waiting processes of a colony, the next to run first."""
    found = colony.rpc.ok("getprocessesmsg", colony.user_key, colonyname=colony.name, count=100, state=0)
    return [process["processid"] for process in found or []]


def test_a_repeated_submit_answers_with_the_first_process(colony: Colony) -> None:
    first = submit_with(colony, "order-1", args=[1], env={"A": "1"})
    again = submit_with(colony, "order-1", args=[2])
    assert (again.status, again.payload) == (200, first.payload)
    assert waiting(colony) == [first.payload["processid"]]


def test_a_repeated_submit_shows_what_became_of_the_process(colony: Colony) -> None:
    executor = colony.add_executor("e1")
    submit_with(colony, "order-1")
    process = colony.assign(executor)
    colony.rpc.ok("closesuccessfulmsg", executor, processid=process["processid"], out=["done"])
    again = submit_with(colony, "order-1").payload
    assert (again["processid"], again["state"], again["out"]) == (process["processid"], 2, ["done"])


def test_submits_without_a_key_or_with_another_are_processes_of_their_own(colony: Colony) -> None:
    answers = [submit_with(colony, key) for key in ("", "", "order-1", "order-2", "Order-1", " order-1")]
    assert {answer.status for answer in answers} == {200}
    assert len(waiting(colony)) == len(answers)


def test_a_key_belongs_to_its_caller_and_its_colony(colony: Colony, server: RunningServer) -> None:
    executor = colony.add_executor("e1")
    elsewhere = create_colony(server)
    user = {"colonyname": elsewhere.name, "userid": colony.user_key.identity, "name": "alice-again"}
    server.rpc.ok("addusermsg", elsewhere.colony_key, user=user)

    answers = [
        submit_with(colony, "order-1"),
        submit_with(colony, "order-1", caller=executor),
        submit_with(elsewhere, "order-1", caller=colony.user_key),
    ]
    assert {answer.status for answer in answers} == {200}
    assert len({answer.payload["processid"] for answer in answers}) == 3


def test_many_submits_with_one_key_at_once_make_one_process(colony: Colony) -> None:
    with ThreadPoolExecutor(32) as threads:
        answers = list(threads.map(lambda number: submit_with(colony, "order-1", args=[number]), range(32)))
    assert {answer.status for answer in answers} == {200}
    (processid,) = {answer.payload["processid"] for answer in answers}
    assert len({json.dumps(answer.payload["spec"]["args"]) for answer in answers}) == 1
    assert waiting(colony) == [processid]


def test_the_key_of_a_removed_process_is_refused_with_the_reason(colony: Colony) -> None:
    process = submit_with(colony, "order-1").payload
    colony.rpc.ok("removeprocessmsg", colony.user_key, processid=process["processid"])
    refusal = submit_with(colony, "order-1")
    assert refusal.status == 400
    assert "idempotency key was used for processes that have been removed" in refusal.message
    assert waiting(colony) == []
    assert submit_with(colony, "order-2").status == 200


def test_a_refused_submit_does_not_use_up_its_key(colony: Colony) -> None:
    assert submit_with(colony, "order-1", priority=50_001).status == 400
    assert submit_with(colony, "order-1", conditions={"cpu": "1.5m"}).status == 400
    assert submit_with(colony, "order-1").status == 200


def test_a_key_too_long_to_be_remembered_is_refused(colony: Colony) -> None:
    refusal = submit_with(colony, secrets.token_hex(8_000))
    assert (refusal.status, waiting(colony)) == (400, [])


def test_a_key_is_remembered_for_a_day_and_then_forgotten(clocked: ClockedServer) -> None:
    colony = clocked.colony()
    first = submit_with(colony, "order-1").payload
    clocked.apply_retention(after=DAY - 1)
    assert submit_with(colony, "order-1").payload == first

    clocked.apply_retention(after=2)
    second = submit_with(colony, "order-1").payload
    assert waiting(colony) == [first["processid"], second["processid"]]


def test_a_setting_says_how_long_keys_are_remembered(database_dsn: str) -> None:
    with ClockedServer(database_dsn, idempotency_window=60) as clocked:
        colony = clocked.colony()
        first = submit_with(colony, "order-1").payload
        clocked.apply_retention(after=59)
        assert submit_with(colony, "order-1").payload == first
        clocked.apply_retention(after=2)
        assert submit_with(colony, "order-1").payload != first


def test_a_repeated_child_is_added_once_by_whichever_executor(colony: Colony) -> None:
    """An attempt that was given up between adding and closing is repeated by another executor."""
    first, second = colony.add_executor("first"), colony.add_executor("second")
    spec = {"colonyname": colony.name, "functionspecs": [colony.spec(nodename="map", maxexectime=-1)]}
    graph = colony.rpc.ok("submitworkflowspecmsg", colony.user_key, spec=spec)["processgraphid"]

    def add(key: PrivateKey, idempotencykey: str) -> Any:
        parent = colony.assign(key)["processid"] if not parents else parents[0]
        parents[:] = [parent]
        child = {"processgraphid": graph, "parentprocessid": parent, "spec": colony.spec(nodename="child")}
        return colony.rpc.ok("addchildmsg", key, **child, idempotencykey=idempotencykey)["processid"]

    parents: list[str] = []
    added = add(first, "one")
    assert add(first, "one") == added
    colony.rpc.ok("removeexecutormsg", colony.colony_key, colonyname=colony.name, executorname="first")
    assert colony.assign(second)["processid"] == parents[0]
    assert add(second, "one") == added
    other = add(second, "two")
    children = colony.rpc.ok("getprocessmsg", colony.user_key, processid=parents[0])["children"]
    assert children == [added, other]


# --- freshness ---


def fresh(*, seconds: float = 0, **fields: str) -> dict[str, Any]:
    """Proof that a message is new, or from this many seconds ahead, with a nonce of its own."""
    return {"time": time.time_ns() + int(seconds * NS), "nonce": secrets.token_hex(8), **fields}


def sealed(colony: Colony, **fields: Any) -> bytes:
    """A submit, signed and ready to be sent any number of times."""
    message = {"msgtype": "submitfuncspecmsg", "spec": colony.spec(), **fields}
    return json.dumps(envelope(message, colony.user_key)).encode()


def test_an_envelope_without_freshness_counts_each_time(colony: Colony) -> None:
    body = sealed(colony)
    processids = {colony.rpc.send(body).payload["processid"] for _ in range(3)}
    assert len(processids) == 3


def test_a_fresh_envelope_counts_once(colony: Colony) -> None:
    body = sealed(colony, fresh=fresh())
    assert colony.rpc.send(body).status == 200
    for _ in range(2):
        refusal = colony.rpc.send(body)
        assert (refusal.status, refusal.error) == (403, True)
        assert "was sent before" in refusal.message
    assert len(waiting(colony)) == 1


def test_of_the_same_envelope_sent_many_times_at_once_one_counts(colony: Colony) -> None:
    body = sealed(colony, fresh=fresh())
    with ThreadPoolExecutor(16) as threads:
        statuses = list(threads.map(lambda _: colony.rpc.send(body).status, range(16)))
    assert sorted(statuses) == [200, *[403] * 15]
    assert len(waiting(colony)) == 1


def test_a_nonce_counts_once_whatever_the_message_is(colony: Colony) -> None:
    proof = fresh()
    assert colony.rpc.call("getcolonymsg", colony.user_key, colonyname=colony.name, fresh=proof).status == 200
    later = proof | {"time": proof["time"] + 1}
    assert colony.rpc.call("getcolonymsg", colony.user_key, colonyname=colony.name, fresh=later).status == 403
    assert colony.rpc.send(sealed(colony, fresh=proof)).status == 403


def test_another_caller_may_use_the_same_nonce(colony: Colony) -> None:
    executor = colony.add_executor("e1")
    proof = fresh()
    for key in (colony.user_key, executor):
        assert colony.rpc.call("getcolonymsg", key, colonyname=colony.name, fresh=proof).status == 200


def test_a_message_is_fresh_for_a_minute_before_and_after_its_time(clocked: ClockedServer) -> None:
    colony = clocked.colony()

    def call(ns: int) -> Answer:
        proof = {"time": to_ns(clocked.clock.now()) + ns, "nonce": str(ns)}
        return colony.rpc.call("getcolonymsg", colony.user_key, colonyname=colony.name, fresh=proof)

    for ns in (-60 * NS, 0, 60 * NS):
        assert call(ns).status == 200
    for ns in (-(10**9) * NS, -61 * NS, -60 * NS - 1_000_000, 60 * NS + 1_000_000, 61 * NS, 10**9 * NS):
        refusal = call(ns)
        assert (refusal.status, refusal.error) == (403, True)
        assert "time is more than 60 s away" in refusal.message


@pytest.mark.parametrize("nonce", ["", "n" * 129])
def test_a_nonce_has_a_length(colony: Colony, nonce: str) -> None:
    assert colony.rpc.send(sealed(colony, fresh=fresh(nonce=nonce))).status == 403
    assert colony.rpc.send(sealed(colony, fresh=fresh(nonce="å" * 128))).status == 200


def test_a_message_from_a_stranger_uses_up_no_nonce(colony: Colony) -> None:
    stranger = PrivateKey.generate()
    proof = fresh()
    refusal = colony.rpc.call("getcolonymsg", stranger, colonyname=colony.name, fresh=proof)
    assert "not a member" in refusal.message
    with psycopg.connect(colony.server.dsn) as connection:
        kept = digest(stranger.identity, proof["nonce"])
        used = connection.execute("select nonce from nonces where nonce = %s", [kept])
        assert used.fetchall() == []


@pytest.mark.parametrize("value", ["now", {"time": "now"}, {"time": 1.5, "nonce": "n"}, {"time": 2**70, "nonce": "n"}])
def test_freshness_that_cannot_be_read_is_a_bad_request(colony: Colony, value: Any) -> None:
    assert colony.rpc.send(sealed(colony, fresh=value)).status == 400


def test_a_nonce_is_remembered_for_as_long_as_its_message_is_fresh(clocked: ClockedServer) -> None:
    colony = clocked.colony()
    # By a clock that is ahead as far as it may be, this message is fresh for two minutes from now.
    proof = {"time": to_ns(clocked.clock.now()) + 60 * NS, "nonce": "n"}
    body = sealed(colony, fresh=proof)
    assert colony.rpc.send(body).status == 200
    clocked.apply_retention(after=120)
    assert "was sent before" in colony.rpc.send(body).message
    clocked.apply_retention(after=1)
    assert "time is more than 60 s away" in colony.rpc.send(body).message
    with psycopg.connect(clocked.dsn) as connection:
        assert connection.execute("select count(*) from nonces").fetchone() == (0,)


def test_a_nonce_survives_a_restart(new_server: StartServer) -> None:
    first = new_server()
    colony = create_colony(first)
    body = sealed(colony, fresh=fresh())
    assert colony.rpc.send(body).status == 200
    assert first.stop() == 0
    second = new_server(first.dsn)
    assert second.rpc.send(body).status == 403


def test_a_setting_demands_freshness(new_server: StartServer) -> None:
    server = new_server(COLONIES_REQUIRE_FRESHNESS="true", COLONIES_FRESHNESS_WINDOW="600")
    key = server.server_key
    refusal = server.rpc.call("getcoloniesmsg", key)
    assert refusal.status == 403
    assert "only messages with a time and a nonce" in refusal.message
    assert server.rpc.call("getcoloniesmsg", key, fresh=None).status == 403
    assert server.rpc.call("getcoloniesmsg", key, fresh=fresh()).status == 200
    assert server.rpc.call("getcoloniesmsg", key, fresh=fresh(seconds=-590)).status == 200
    assert server.rpc.call("getcoloniesmsg", key, fresh=fresh(seconds=-610)).status == 403
    # What is not signed proves nothing.
    assert server.rpc.call("versionmsg", None).status == 200


# --- many at once ---


def submit_many(colony: Colony, specs: list[dict[str, Any]], **fields: Any) -> Answer:
    return colony.rpc.call("kolonysubmitfuncspecsmsg", colony.user_key, colonyname=colony.name, specs=specs, **fields)


def test_many_are_submitted_in_their_order(colony: Colony) -> None:
    # Of several demands, so that they wait in several places and are still handed out in the order they came.
    specs = [
        {
            "funcname": f"f{number}",
            "conditions": {"executortype": "cli", "cpu": f"{number % 3}000m", "executornames": ["e1"][: number % 2]},
            "env": {"NUMBER": str(number)},
        }
        for number in range(20)
    ]
    processes = submit_many(colony, specs).payload
    assert [process["spec"]["funcname"] for process in processes] == [spec["funcname"] for spec in specs]
    assert {process["spec"]["conditions"]["colonyname"] for process in processes} == {colony.name}
    assert {process["initiatorname"] for process in processes} == {"alice"}
    assert [process["spec"]["env"] for process in processes] == [spec["env"] for spec in specs]
    assert waiting(colony) == [process["processid"] for process in processes]

    executor = colony.add_executor("e1")
    taken = [colony.assign(executor)["processid"] for _ in specs]
    assert taken == [process["processid"] for process in processes]


def test_each_of_many_has_a_priority_of_its_own(colony: Colony) -> None:
    processes = submit_many(colony, [colony.spec(priority=number) for number in (0, 2, 1)]).payload
    assert waiting(colony) == [processes[place]["processid"] for place in (1, 2, 0)]


@pytest.mark.parametrize(
    "bad",
    [
        {"priority": 50_001},
        {"maxexectime": 2**31},
        {"conditions": {"mem": "a lot"}},
        {"conditions": {"colonyname": "elsewhere"}},
        {"args": "no list"},
    ],
)
def test_one_bad_spec_of_many_stops_all(colony: Colony, bad: dict[str, Any]) -> None:
    refusal = submit_many(colony, [colony.spec(), bad, colony.spec()])
    assert (refusal.status, refusal.error) == (400, True)
    assert waiting(colony) == []


def test_many_have_a_limit(colony: Colony) -> None:
    spec = {"funcname": "f", "conditions": {"executortype": "cli"}}
    refusal = submit_many(colony, [spec] * 10_001)
    assert refusal.status == 400
    assert "10000" in refusal.message
    assert waiting(colony) == []

    assert len(submit_many(colony, [spec] * 10_000).payload) == 10_000
    statistics = colony.rpc.ok("getcolonystatsmsg", colony.user_key, colonyname=colony.name)
    assert statistics["waitingprocesses"] == 10_000


def test_many_may_be_larger_than_one(colony: Colony) -> None:
    text = "x" * 9 * 1024**2
    assert colony.rpc.call("submitfuncspecmsg", colony.user_key, spec=colony.spec(args=[text])).status == 413
    (process,) = submit_many(colony, [colony.spec(args=[text])]).payload
    assert process["spec"]["args"] == [text]


def test_none_are_many_too(colony: Colony) -> None:
    answer = submit_many(colony, [])
    assert (answer.status, answer.payload or []) == (200, [])


def test_a_key_stands_for_all_of_the_bundle(colony: Colony) -> None:
    first = submit_many(colony, [colony.spec(nodename=name) for name in "abc"], idempotencykey="batch-1").payload
    again = submit_many(colony, [colony.spec(nodename="other")], idempotencykey="batch-1")
    assert (again.status, again.payload) == (200, first)
    assert [process["spec"]["nodename"] for process in again.payload] == ["a", "b", "c"]
    assert len(waiting(colony)) == 3

    colony.rpc.ok("removeprocessmsg", colony.user_key, processid=first[1]["processid"])
    assert submit_many(colony, [colony.spec()], idempotencykey="batch-1").status == 400


def test_a_bundle_sent_many_times_at_once_is_stored_once(colony: Colony) -> None:
    specs = [colony.spec() for _ in range(5)]
    with ThreadPoolExecutor(8) as threads:
        answers = list(threads.map(lambda _: submit_many(colony, specs, idempotencykey="batch-1"), range(8)))
    assert {answer.status for answer in answers} == {200}
    assert len({json.dumps([process["processid"] for process in answer.payload]) for answer in answers}) == 1
    assert len(waiting(colony)) == 5


def test_many_need_a_member(colony: Colony) -> None:
    for key in (colony.colony_key, colony.add_executor("pending", approve=False), PrivateKey.generate()):
        refusal = colony.rpc.call("kolonysubmitfuncspecsmsg", key, colonyname=colony.name, specs=[colony.spec()])
        assert (refusal.status, refusal.error) == (403, True)
    assert waiting(colony) == []


def test_those_who_wait_are_woken_by_a_bundle(colony: Colony) -> None:
    executors = [colony.add_executor(f"e{number}") for number in range(4)]
    with ThreadPoolExecutor(4) as threads:
        parked = [threads.submit(colony.assign, executor, 30) for executor in executors]
        processes = submit_many(colony, [colony.spec() for _ in executors]).payload
        taken = {call.result()["processid"] for call in parked}
    assert taken == {process["processid"] for process in processes}
