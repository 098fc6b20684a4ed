"""Attributes: keys and values on a running process, by the executor that runs it."""

from __future__ import annotations

import hashlib
from typing import Any, NamedTuple

import pytest
from answers import refusal
from clocked import ClockedServer
from colonies import Answer, Colony

from kolony.crypto import PrivateKey

IN, OUT, ERR, ENV = range(4)


class Running(NamedTuple):
    """A process and the executor that runs it."""

    colony: Colony
    executor: PrivateKey
    processid: str

    def add(self, key: str = "k", value: str = "v", attributetype: int = OUT, **fields: Any) -> Answer:
        attribute = {"targetid": self.processid, "attributetype": attributetype, "key": key, "value": value, **fields}
        return self.colony.rpc.call("addattributemsg", self.executor, attribute=attribute)

    def get(self, attributeid: str) -> Answer:
        return self.colony.rpc.call("getattributemsg", self.colony.user_key, attributeid=attributeid)

    def process(self) -> dict[str, Any]:
        process: dict[str, Any] = self.colony.rpc.ok("getprocessmsg", self.colony.user_key, processid=self.processid)
        return process


def run(colony: Colony, **fields: Any) -> Running:
    executor = colony.add_executor("e1")
    colony.submit(**fields)
    return Running(colony, executor, colony.assign(executor)["processid"])


@pytest.fixture
def running(colony: Colony) -> Running:
    return run(colony)


def test_the_id_is_derived_and_the_colony_is_that_of_the_process(running: Running) -> None:
    sent = {"attributeid": "mine", "targetcolonyname": "elsewhere", "targetprocessgraphid": "graph", "state": 4}
    added = running.add(**sent).payload
    assert added == {
        "attributeid": hashlib.sha3_256(f"{running.processid}k1".encode()).hexdigest(),
        "targetid": running.processid,
        "targetcolonyname": running.colony.name,
        "targetprocessgraphid": "",
        "state": 1,
        "attributetype": OUT,
        "key": "k",
        "value": "v",
    }
    assert running.get(added["attributeid"]).payload == added
    assert running.process()["attributes"] == [added]


def test_a_key_is_used_once_per_type(running: Running) -> None:
    for attributetype in (IN, OUT, ERR, ENV, 99, -1):
        assert running.add(attributetype=attributetype).status == 200
    status, text = refusal(running.add(value="other"))
    assert status == 400
    assert text.startswith("pq: duplicate key value violates unique constraint")
    assert {each["value"] for each in running.process()["attributes"]} == {"v"}


@pytest.mark.parametrize("attributetype", [2**31, -(2**31) - 1])
def test_a_type_has_32_bits(running: Running, attributetype: int) -> None:
    assert refusal(running.add(attributetype=attributetype))[0] == 400


def test_the_environment_is_made_of_attributes(colony: Colony) -> None:
    running = run(colony, env={"A": "1", "B": ""})
    assert running.add("C", "3", ENV).status == 200
    assert running.add("D", "4", OUT).status == 200
    process = running.process()
    assert process["spec"]["env"] == {"A": "1", "B": "", "C": "3"}
    kinds = {(each["attributetype"], each["key"], each["value"]) for each in process["attributes"]}
    assert kinds == {(ENV, "A", "1"), (ENV, "B", ""), (ENV, "C", "3"), (OUT, "D", "4")}
    assert {each["attributeid"] for each in process["attributes"]} == {
        hashlib.sha3_256(f"{running.processid}{each['key']}{each['attributetype']}".encode()).hexdigest()
        for each in process["attributes"]
    }


@pytest.mark.parametrize("msgtype, state", [("closesuccessfulmsg", 2), ("closefailedmsg", 3), ("cancelprocessmsg", 4)])
def test_attributes_follow_the_state_of_their_process(colony: Colony, msgtype: str, state: int) -> None:
    running = run(colony, env={"A": "1"})
    added = running.add().payload
    colony.rpc.ok(msgtype, running.executor, processid=running.processid)
    assert running.get(added["attributeid"]).payload == {**added, "state": state}
    assert {each["state"] for each in running.process()["attributes"]} == {state}


def test_attributes_wait_again_with_their_process(database_dsn: str) -> None:
    with ClockedServer(database_dsn) as server:
        running = run(server.colony(), maxexectime=10, maxretries=1)
        added = running.add().payload
        server.apply_limits(after=11)
        assert running.get(added["attributeid"]).payload == {**added, "state": 0}


@pytest.mark.parametrize("msgtype", ["closesuccessfulmsg", "closefailedmsg", "cancelprocessmsg"])
def test_who_may_comes_after_what_still_can(running: Running, msgtype: str) -> None:
    other = running.colony.add_executor("e2")
    running.colony.rpc.ok(msgtype, running.executor, processid=running.processid)
    for executor in (running.executor, other):
        answer = running._replace(executor=executor).add()
        assert refusal(answer) == (403, "Failed to add attribute, process is not running")
    assert running.process()["attributes"] == []


def test_a_waiting_process_takes_none(colony: Colony) -> None:
    waiting = Running(colony, colony.add_executor("e1"), colony.submit()["processid"])
    assert refusal(waiting.add()) == (403, "Failed to add attribute, process is not running")


def test_attributes_go_with_their_process(running: Running) -> None:
    added = running.add().payload
    running.colony.rpc.ok("closefailedmsg", running.executor, processid=running.processid)
    running.colony.rpc.ok("removeprocessmsg", running.colony.user_key, processid=running.processid)
    assert refusal(running.get(added["attributeid"])) == (400, "Attribute does not exists")
