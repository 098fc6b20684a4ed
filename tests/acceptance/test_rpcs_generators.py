"""The messages about generators, row by row of the protocol's tables, and when generators start workflows."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime
from typing import Any

import pytest
from answers import refusal
from clocked import ClockedServer, eventually
from colonies import Answer, Colony, RunningServer, create_colony

from kolony.crypto import PrivateKey
from kolony_apiserver.scans import counts, generators

UNSET = "0001-01-01T00:00:00Z"
ALL = 1000


def node(name: str = "a", **fields: Any) -> dict[str, Any]:
    conditions = {"executortype": "cli", **fields.pop("conditions", {})}
    return {"nodename": name, "funcname": "echo", "conditions": conditions, **fields}


def workflow(*nodes: dict[str, Any], colonyname: str = "") -> str:
    return json.dumps({"colonyname": colonyname, "functionspecs": list(nodes) or [node()]})


def try_to_add(colony: Colony, **fields: Any) -> Answer:
    generator = {"colonyname": colony.name, "name": "g", "trigger": 3, "timeout": -1, "workflowspec": workflow()}
    return colony.rpc.call("addgeneratormsg", colony.user_key, generator=generator | fields)


def add(colony: Colony, **fields: Any) -> str:
    """Add a generator; its id."""
    answer = try_to_add(colony, **fields)
    assert answer.status == 200, answer
    return str(answer.payload["generatorid"])


def get(colony: Colony, generatorid: str) -> dict[str, Any]:
    generator: dict[str, Any] = colony.rpc.ok("getgeneratormsg", colony.user_key, generatorid=generatorid)
    return generator


def pack(colony: Colony, generatorid: str, *args: str) -> None:
    for arg in args:
        assert colony.rpc.ok("packgeneratormsg", colony.user_key, generatorid=generatorid, arg=arg) == {}


def started(colony: Colony) -> list[list[str]]:
    """The arguments of the processes that wait, in the order of the queue."""
    found = colony.rpc.ok("getprocessesmsg", colony.user_key, colonyname=colony.name, count=100, state=0)
    return [process["spec"]["args"] for process in found or []]


@pytest.fixture
def clocked(database_dsn: str) -> Iterator[ClockedServer]:
    with ClockedServer(database_dsn, generator_checker_period=250) as server:
        yield server


@pytest.fixture
def set_colony(clocked: ClockedServer) -> Colony:
    """A colony in a server whose time is the test's."""
    return clocked.colony()


def pass_time(server: ClockedServer, seconds: float) -> None:
    """Let time pass, then let the server look for generators that are due."""
    server.clock.advance(seconds)
    server.scan(generators.tick)


# Adding, looking, removing


def test_a_new_generator(colony: Colony) -> None:
    text = workflow(colonyname=colony.name) + " \n"
    given = {"generatorid": "x" * 64, "initiatorid": "x", "initiatorname": "mallory", "queuesize": 5}
    times = {"firstpack": "2026-11-22T17:01:15Z", "lastrun": "2026-11-22T17:01:15Z", "checkerperiod": 5}
    added = try_to_add(colony, workflowspec=text, timeout=60, **given, **times).payload
    assert re.fullmatch("[0-9a-f]{64}", added["generatorid"])
    assert added["generatorid"] != given["generatorid"]
    assert added == {
        "generatorid": added["generatorid"],
        "initiatorid": colony.user_key.identity,
        "initiatorname": "alice",
        "colonyname": colony.name,
        "name": "g",
        "workflowspec": text,
        "trigger": 3,
        "timeout": 60,
        "firstpack": UNSET,
        "lastrun": UNSET,
        "queuesize": 0,
        "checkerperiod": 0,
    }
    assert get(colony, added["generatorid"]) == {**added, "checkerperiod": 1000}


@pytest.mark.parametrize("text", ["", "null", "5", '{"functionspecs":[}'])
def test_a_workflow_that_cannot_be_read(colony: Colony, text: str) -> None:
    status, says = refusal(try_to_add(colony, workflowspec=text))
    assert status == 400
    assert says.startswith("the workflow specification cannot be read: ")


def test_a_workflow_that_could_never_start(server: RunningServer, colony: Colony) -> None:
    depends = workflow(node(conditions={"dependencies": ["nobody"]}))
    status, text = refusal(try_to_add(colony, workflowspec=depends))
    assert status == 400
    assert text.startswith("Failed to submit workflow, invalid dependencies, are you depending on a nodename")
    other = create_colony(server).name
    assert refusal(try_to_add(colony, workflowspec=workflow(colonyname=other)))[0] == 400


@pytest.mark.parametrize(
    "fields, says",
    [
        ({"trigger": 0}, "Generator trigger must be larger than 0"),
        ({"trigger": None}, "Generator trigger must be larger than 0"),
        ({"trigger": -1}, "Generator trigger must be larger than 0"),
        ({"timeout": 2**62}, "Generator timeout must be at most 3153600000 seconds"),
    ],
)
def test_amounts_that_are_none(colony: Colony, fields: dict[str, Any], says: str) -> None:
    assert refusal(try_to_add(colony, **fields)) == (400, says)


def test_a_name_is_used_once_in_a_colony(server: RunningServer, colony: Colony) -> None:
    add(colony)
    taken = f"Generator with name <g> in Colony <{colony.name}> already exists"
    assert refusal(try_to_add(colony)) == (400, taken)
    add(create_colony(server))
    with ThreadPoolExecutor(8) as threads:
        answers = list(threads.map(lambda _: try_to_add(colony, name="once").status, range(8)))
    assert sorted(answers) == [200] + [400] * 7


def test_generators_are_found_by_name(colony: Colony) -> None:
    add(colony)
    generatorid = add(colony, name="other", trigger=100)
    pack(colony, generatorid, "x")
    found = colony.rpc.ok("resolvegeneratormsg", colony.user_key, colonyname=colony.name, generatorname="other")
    assert (found["generatorid"], found["queuesize"], found["checkerperiod"]) == (generatorid, 0, 0)
    assert found["firstpack"] != UNSET


def test_generators_are_listed_in_the_order_they_were_added(colony: Colony) -> None:
    def listed(count: int) -> list[str]:
        found = colony.rpc.ok("getgeneratorsmsg", colony.user_key, colonyname=colony.name, count=count)
        return [generator["name"] for generator in found or []]

    assert colony.rpc.ok("getgeneratorsmsg", colony.user_key, colonyname=colony.name, count=ALL) is None
    for name in "cab":
        add(colony, name=name)
    assert (listed(ALL), listed(2), listed(0)) == (["c", "a", "b"], ["c", "a"], [])
    negative = colony.rpc.call("getgeneratorsmsg", colony.user_key, colonyname=colony.name, count=-1)
    assert refusal(negative) == (400, "pq: LIMIT must not be negative")


def test_what_waits_goes_with_the_generator(set_colony: Colony, clocked: ClockedServer) -> None:
    generatorid = add(set_colony)
    pack(set_colony, generatorid, *"abcd")
    pass_time(clocked, 0)
    assert set_colony.rpc.ok("removegeneratormsg", set_colony.user_key, generatorid=generatorid) == {}
    gone = set_colony.rpc.call("packgeneratormsg", set_colony.user_key, generatorid=generatorid, arg="e")
    assert refusal(gone) == (500, "Failed to increment generator, generator is nil")
    assert started(set_colony) == [["a", "b", "c"]]
    again = add(set_colony)
    assert get(set_colony, again)["queuesize"] == 0


# Packing


def test_packed_arguments_wait(set_colony: Colony, clocked: ClockedServer) -> None:
    generatorid = add(set_colony)
    first = clocked.clock.now()
    for number, arg in enumerate(["", 'with "quotes" and \\', "日本" * 5_000], 1):
        pack(set_colony, generatorid, arg)
        clocked.clock.advance(10)
        generator = get(set_colony, generatorid)
        assert generator["queuesize"] == number
        assert datetime.fromisoformat(generator["firstpack"]) == first
        assert generator["lastrun"] == UNSET
    pass_time(clocked, 0)
    assert started(set_colony) == [["", 'with "quotes" and \\', "日本" * 5_000]]
    # First ever, and never changed again.
    pack(set_colony, generatorid, "x")
    assert datetime.fromisoformat(get(set_colony, generatorid)["firstpack"]) == first


def test_an_argument_is_a_text(colony: Colony) -> None:
    generatorid = add(colony)
    number = colony.rpc.call("packgeneratormsg", colony.user_key, generatorid=generatorid, arg=5)
    assert refusal(number) == (400, "Failed to inc generator, invalid JSON")
    assert colony.rpc.ok("packgeneratormsg", colony.user_key, generatorid=generatorid) == {}
    assert get(colony, generatorid)["queuesize"] == 1


def test_an_argument_is_packed_once_for_each_key(set_colony: Colony, clocked: ClockedServer) -> None:
    generatorid, other = add(set_colony, trigger=100), add(set_colony, trigger=100, name="other")
    bob = set_colony.add_executor("bob")

    def again(key: PrivateKey, generatorid: str, arg: str, idempotencykey: str) -> None:
        set_colony.rpc.ok("packgeneratormsg", key, generatorid=generatorid, arg=arg, idempotencykey=idempotencykey)

    for _ in range(3):
        again(set_colony.user_key, generatorid, "a", "1")
    again(set_colony.user_key, generatorid, "b", "2")
    again(set_colony.user_key, generatorid, "c", "")
    again(set_colony.user_key, generatorid, "c", "")
    again(bob, generatorid, "d", "1")
    again(set_colony.user_key, other, "e", "1")
    assert get(set_colony, generatorid)["queuesize"] == 5
    assert get(set_colony, other)["queuesize"] == 1
    # A submit has keys of its own.
    assert set_colony.rpc.ok("submitfuncspecmsg", set_colony.user_key, spec=set_colony.spec(), idempotencykey="1")[
        "processid"
    ]


def test_arguments_keep_the_order_in_which_each_client_packed(set_colony: Colony, clocked: ClockedServer) -> None:
    generatorid = add(set_colony, trigger=40)

    def pack_all(client: str) -> None:
        pack(set_colony, generatorid, *(f"{client}{number}" for number in range(10)))

    with ThreadPoolExecutor(4) as threads:
        list(threads.map(pack_all, "abcd"))
    pass_time(clocked, 0)
    [args] = started(set_colony)
    for client in "abcd":
        assert [arg for arg in args if arg[0] == client] == [f"{client}{number}" for number in range(10)]


# Starting


def test_as_many_workflows_start_as_there_are_arguments_for(set_colony: Colony, clocked: ClockedServer) -> None:
    generatorid = add(set_colony)
    pack(set_colony, generatorid, *"ab")
    pass_time(clocked, 10_000)
    assert started(set_colony) == []
    pack(set_colony, generatorid, *"cdefgh")
    pass_time(clocked, 5)
    assert started(set_colony) == [["a", "b", "c"], ["d", "e", "f"]]
    generator = get(set_colony, generatorid)
    assert generator["queuesize"] == 2
    assert datetime.fromisoformat(generator["lastrun"]) == clocked.clock.now()
    pack(set_colony, generatorid, "i")
    pass_time(clocked, 0)
    assert started(set_colony)[2:] == [["g", "h", "i"]]


def test_what_a_workflow_gets(set_colony: Colony, clocked: ClockedServer) -> None:
    roots = [node(name, args=["old"], kwargs={"k": 1}) for name in ("r1", "r2")]
    last = node("last", args=["kept"], kwargs={"k": 2}, conditions={"dependencies": ["r1", "r2"]})
    generatorid = add(set_colony, trigger=2, workflowspec=workflow(*roots, last))
    pack(set_colony, generatorid, "x", "y")
    pass_time(clocked, 0)
    executor = set_colony.add_executor("e1")
    for name, args, kwargs in (("r1", ["x", "y"], {}), ("r2", ["x", "y"], {}), ("last", ["kept"], {"k": 2})):
        process = set_colony.assign(executor)
        spec = process["spec"]
        assert (spec["nodename"], spec["args"], spec["kwargs"]) == (name, args, kwargs)
        assert (process["initiatorname"], not process["in"]) == ("alice", True)
        set_colony.rpc.ok("closesuccessfulmsg", executor, processid=process["processid"])


def test_a_timeout_counts_from_the_first_pack_and_then_from_the_last_run(
    set_colony: Colony, clocked: ClockedServer
) -> None:
    generatorid = add(set_colony, timeout=60)
    pass_time(clocked, 1000)
    pack(set_colony, generatorid, "a")
    pass_time(clocked, 50)
    pack(set_colony, generatorid, "b")
    pass_time(clocked, 10)
    assert started(set_colony) == []
    pass_time(clocked, 1)
    assert started(set_colony) == [["a", "b"]]

    pack(set_colony, generatorid, "c")
    pass_time(clocked, 59)
    assert len(started(set_colony)) == 1
    pass_time(clocked, 2)
    assert started(set_colony)[1:] == [["c"]]
    # Long after the last run an argument does not wait at all.
    pass_time(clocked, 1000)
    pack(set_colony, generatorid, "d")
    pass_time(clocked, 0)
    assert started(set_colony)[2:] == [["d"]]


def test_without_a_timeout_nothing_is_taken_early(set_colony: Colony, clocked: ClockedServer) -> None:
    for name, timeout in (("zero", 0), ("negative", -5), ("huge trigger", 0)):
        pack(set_colony, add(set_colony, name=name, timeout=timeout, trigger=2**62 if " " in name else 3), "a")
    pass_time(clocked, 10**6)
    assert started(set_colony) == []


def test_a_generator_that_fails_keeps_its_arguments_and_is_tried_again(
    set_colony: Colony, clocked: ClockedServer
) -> None:
    bob = PrivateKey.generate()
    user = {"colonyname": set_colony.name, "userid": bob.identity, "name": "bob"}
    set_colony.rpc.ok("addusermsg", set_colony.colony_key, user=user)
    generator = {"colonyname": set_colony.name, "name": "g", "trigger": 2, "workflowspec": workflow()}
    generatorid = set_colony.rpc.ok("addgeneratormsg", bob, generator=generator)["generatorid"]
    good = add(set_colony, name="good", trigger=1)
    set_colony.rpc.ok("removeusermsg", set_colony.colony_key, colonyname=set_colony.name, name="bob")
    pack(set_colony, generatorid, *"abcd")
    pack(set_colony, good, "x")
    failed = clocked.parts.metrics.generator_runs.labels("failed")._value
    pass_time(clocked, 0)
    assert (started(set_colony), failed.get()) == ([["x"]], 1)
    # Not again at once: nothing has changed so soon.
    pass_time(clocked, 59)
    assert failed.get() == 1
    assert get(set_colony, generatorid)["queuesize"] == 4
    set_colony.rpc.ok("addusermsg", set_colony.colony_key, user=user)
    pass_time(clocked, 2)
    assert started(set_colony)[1:] == [["a", "b"], ["c", "d"]]


def test_a_generator_goes_on_under_the_new_key_of_its_initiator(set_colony: Colony, clocked: ClockedServer) -> None:
    executor, new = set_colony.add_executor("e1"), PrivateKey.generate()
    generator = {"colonyname": set_colony.name, "name": "g", "trigger": 1, "workflowspec": workflow()}
    generatorid = set_colony.rpc.ok("addgeneratormsg", executor, generator=generator)["generatorid"]
    set_colony.rpc.ok("changeexecutoridmsg", executor, colonyname=set_colony.name, executorid=new.identity)
    pack(set_colony, generatorid, "a")
    pass_time(clocked, 0)
    assert started(set_colony) == [["a"]]
    assert get(set_colony, generatorid)["initiatorid"] == new.identity


def test_the_checkers_of_a_server_run_by_themselves(server: RunningServer, colony: Colony) -> None:
    pack(colony, add(colony, trigger=1), "a")
    assert eventually(lambda: started(colony)) == [["a"]]
    cron = {"colonyname": colony.name, "name": "c", "interval": 1, "workflowspec": workflow(node(args=["cron"]))}
    colony.rpc.ok("addcronmsg", colony.user_key, cron=cron)
    assert eventually(lambda: started(colony)[1:])[0] == ["cron"]


# Metrics


def test_metrics(set_colony: Colony, clocked: ClockedServer) -> None:
    def pending() -> dict[str, float]:
        clocked.run(counts.measure)
        [family] = [
            each for each in clocked.parts.metrics.measured.collect() if each.name == "colonies_generator_pending"
        ]
        return {sample.labels["colony"]: sample.value for sample in family.samples}

    assert pending() == {}
    first, second = add(set_colony), add(set_colony, name="second", trigger=100)
    assert pending() == {set_colony.name: 0}
    pack(set_colony, first, *"abcd")
    pack(set_colony, second, *"ab")
    assert pending() == {set_colony.name: 6}
    pass_time(clocked, 0)
    assert pending() == {set_colony.name: 3}
    assert clocked.parts.metrics.generator_runs.labels("started")._value.get() == 1
