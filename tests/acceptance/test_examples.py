"""Every JSON example of the protocol: the requests are sent to the letter, the replies are what the server answers.

The examples stand in ``data/examples.toml``. The server belongs to the key of the example signatures and has a colony
``dev``; only ids that the server itself makes are put in place of those of the examples.
"""

from __future__ import annotations

import base64
import json
import re
import tomllib
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from colonies import Answer, Colony, RunningServer, envelope
from sockets import open_socket

from kolony.crypto import PrivateKey

EXAMPLES = tomllib.loads((Path(__file__).parent / "data" / "examples.toml").read_text())
REQUESTS, REPLIES = EXAMPLES["request"], EXAMPLES["reply"]
WORKFLOW_ID = "1acecf1a31158a6d6d3890d2f3006cbc9f3ed26ec419fe83125c04787a8e447c"
PROCESS_ID = "1a4ab0db35c17cca704d840a75a514836cab8db7c10afa511c116bf62d2806ab"
CRON_ID = "c94b5f9cd161e8da770a523605a2dc564e9c8e605656a41dbcf040520b9e0a8d"
GENERATOR_ID = "0f976cf28d19f51b1ea9afcee2a9d9d900ebc010c88d4f9ca277bf23ca691116"
ADDITIONS = {"attempt", "term", "since"}
"""What a process has beyond the protocol of the examples; clients ignore it."""

IDENTITY = re.compile(r"[0-9a-f]{64}|[0-9a-f]+…")
"""An id, whole or as the protocol shortens it."""

EDGE = re.compile(rf"({IDENTITY.pattern})-({IDENTITY.pattern})")
TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z")
KINDS = {"id": IDENTITY, "edge": EDGE, "time": TIME}


@dataclass
class Dev:
    """The colony of the examples."""

    colony: Colony
    executor: PrivateKey = field(default_factory=PrivateKey.generate)

    def send(self, text: str, key: PrivateKey) -> Answer:
        """Send a message to the letter."""
        msgtype = json.loads(text)["msgtype"]
        return self.colony.rpc.send(json.dumps(envelope(text.encode(), key, msgtype)).encode())

    def running(self, **fields: Any) -> str:
        """A process that e1 runs."""
        self.colony.submit(**fields)
        return str(self.colony.assign(self.executor)["processid"])

    def process(self, processid: str) -> dict[str, Any]:
        process: dict[str, Any] = self.colony.rpc.ok("getprocessmsg", self.colony.user_key, processid=processid)
        return process


@pytest.fixture
def dev(example_server: RunningServer) -> Dev:
    """The colony as it is in the beginning: with user alice, and executor e1 approved."""
    rpc, server_key = example_server.rpc, example_server.server_key
    rpc.call("removecolonymsg", server_key, colonyname="dev")
    dev = Dev(Colony(example_server, "dev", server_key))
    rpc.ok("addcolonymsg", server_key, colony={"name": "dev", "colonyid": dev.colony.colony_key.identity})
    user = {"colonyname": "dev", "userid": dev.colony.user_key.identity, "name": "alice"}
    rpc.ok("addusermsg", dev.colony.colony_key, user=user)
    dev.executor = dev.colony.add_executor("e1")
    return dev


# Requests


def listing(dev: Dev, text: str) -> None:
    """The one example with its envelope and its signature."""
    answer = dev.colony.rpc.send(text.encode())
    assert (answer.status, [colony["name"] for colony in answer.payload]) == (200, ["dev"])


def submitting(dev: Dev, text: str) -> None:
    answer = dev.send(text, dev.colony.user_key)
    assert (answer.status, answer.payload["state"]) == (200, 0)
    spec = answer.payload["spec"]
    assert (spec["funcname"], spec["args"], spec["maxexectime"], spec["maxretries"]) == ("echo", ["hi"], -1, 3)


def submitting_all_fields(dev: Dev, text: str) -> None:
    answer = dev.send(f'{{"msgtype":"submitfuncspecmsg","spec":{text}}}', dev.colony.user_key)
    expected = json.loads(text)
    conditions = expected["conditions"]
    conditions |= {"mem": "10240Mi", "storage": "10240Mi", "gpu": {**conditions["gpu"], "mem": "8192Mi"}}
    assert (answer.status, answer.payload["spec"]) == (200, expected)
    assert [list(part) for part in (answer.payload["spec"], answer.payload["spec"]["conditions"])] == [
        list(expected),
        list(conditions),
    ]
    attributes = [(each["attributetype"], each["key"], each["value"]) for each in answer.payload["attributes"]]
    assert attributes == [(3, "KEY", "VALUE")]


def assigning(dev: Dev, text: str) -> None:
    submitted = dev.colony.submit(conditions={"cpu": "2000m", "mem": "4Gi"})
    answer = dev.send(text, dev.executor)
    assert (answer.status, answer.payload["processid"]) == (200, submitted["processid"])


def pausing(dev: Dev, text: str) -> None:
    answer = dev.send(text, dev.colony.colony_key)
    assert (answer.status, answer.payload) == (200, {})
    assert dev.colony.rpc.ok("getpausestatusmsg", dev.colony.user_key, colonyname="dev")["ispaused"] is True


def resuming(dev: Dev, text: str) -> None:
    dev.colony.rpc.ok("pauseassignmentsmsg", dev.colony.colony_key, colonyname="dev")
    answer = dev.send(text, dev.colony.colony_key)
    assert (answer.status, answer.payload) == (200, {})
    assert dev.colony.rpc.ok("getpausestatusmsg", dev.colony.user_key, colonyname="dev")["ispaused"] is False


def getting(dev: Dev, text: str) -> None:
    submitted = dev.colony.submit()
    answer = dev.send(text.replace(PROCESS_ID, submitted["processid"]), dev.colony.user_key)
    assert (answer.status, answer.payload) == (200, submitted)


def getting_many(dev: Dev, text: str) -> None:
    submitted = [dev.colony.submit() for _ in range(2)]
    answer = dev.send(text, dev.colony.user_key)
    assert (answer.status, answer.payload) == (200, submitted)


def getting_history(dev: Dev, text: str) -> None:
    processid = dev.running()
    dev.colony.rpc.ok("closesuccessfulmsg", dev.executor, processid=processid)
    answer = dev.send(text, dev.colony.user_key)
    assert (answer.status, answer.payload) == (200, [dev.process(processid)])


def closing(dev: Dev, text: str) -> None:
    processid = dev.running()
    answer = dev.send(text.replace(PROCESS_ID, processid), dev.executor)
    assert (answer.status, answer.payload) == (200, {})
    process = dev.process(processid)
    assert (process["state"], process["out"]) == (2, ["result", 42])


def failing(dev: Dev, text: str) -> None:
    processid = dev.running()
    answer = dev.send(text.replace(PROCESS_ID, processid), dev.executor)
    assert (answer.status, answer.payload) == (200, {})
    process = dev.process(processid)
    assert (process["state"], process["errors"]) == (3, ["division by zero"])


def cancelling(dev: Dev, text: str) -> None:
    processid = dev.running()
    answer = dev.send(text.replace(PROCESS_ID, processid), dev.colony.user_key)
    assert (answer.status, answer.payload) == (200, {})
    assert dev.process(processid)["state"] == 4


def removing_all(dev: Dev, text: str) -> None:
    dev.running()
    dev.colony.submit()
    answer = dev.send(text, dev.colony.colony_key)
    assert (answer.status, answer.payload) == (200, {})
    statistics = dev.colony.rpc.ok("getcolonystatsmsg", dev.colony.user_key, colonyname="dev")
    assert (statistics["waitingprocesses"], statistics["runningprocesses"]) == (0, 0)


def submitting_a_workflow(dev: Dev, text: str) -> None:
    answer = dev.send(f'{{"msgtype":"submitworkflowspecmsg","spec":{text}}}', dev.colony.user_key)
    assert (answer.status, len(answer.payload["processids"])) == (200, 4)
    a, _, _, d = (dev.process(each) for each in answer.payload["processids"])
    assert (a["spec"]["args"], a["spec"]["maxexectime"], a["spec"]["maxretries"]) == (["x"], 60, 3)
    assert d["parents"] == answer.payload["processids"][1:3]


def running_map(dev: Dev) -> dict[str, Any]:
    """A workflow of two nodes: e1 runs the first."""
    conditions = {"executortype": "cli"}
    specs = [
        {"nodename": "map", "conditions": conditions},
        {"nodename": "reduce", "conditions": {**conditions, "dependencies": ["map"]}},
    ]
    spec = {"colonyname": "dev", "functionspecs": specs}
    submitted: dict[str, Any] = dev.colony.rpc.ok("submitworkflowspecmsg", dev.colony.user_key, spec=spec)
    assert dev.colony.assign(dev.executor)["processid"] == submitted["processids"][0]
    return submitted


def add_child(dev: Dev, text: str) -> dict[str, Any]:
    submitted = running_map(dev)
    parent, child = submitted["processids"]
    for shown, real in (("6cccf64c…", submitted["processgraphid"]), ("8afeb8ad…", parent), ("106e4f36…", child)):
        text = text.replace(shown, real)
    answer = dev.send(text, dev.executor)
    assert answer.status == 200
    process: dict[str, Any] = answer.payload
    assert (process["parents"], process["children"]) == ([parent], [child])
    return process


def adding_a_child(dev: Dev, text: str) -> None:
    process = add_child(dev, text)
    assert (process["spec"]["nodename"], process["spec"]["args"]) == ("kid", [1])
    assert dev.process(process["processid"]) == process


def getting_a_workflow(dev: Dev, text: str) -> None:
    submitted = running_map(dev)
    answer = dev.send(text.replace(WORKFLOW_ID, submitted["processgraphid"]), dev.colony.user_key)
    assert (answer.status, answer.payload["processids"]) == (200, submitted["processids"])


def getting_workflows(dev: Dev, text: str) -> None:
    running = [running_map(dev)["processgraphid"] for _ in range(2)]
    answer = dev.send(text, dev.colony.user_key)
    assert (answer.status, [each["processgraphid"] for each in answer.payload]) == (200, running[::-1])


def workflow_counts(dev: Dev) -> dict[str, int]:
    counts = dev.colony.rpc.ok("getcolonystatsmsg", dev.colony.user_key, colonyname="dev")
    return {name: count for name, count in counts.items() if name.endswith("workflows") and count}


def cancelling_a_workflow(dev: Dev, text: str) -> None:
    answer = dev.send(text.replace(WORKFLOW_ID, running_map(dev)["processgraphid"]), dev.colony.user_key)
    assert (answer.status, answer.payload, workflow_counts(dev)) == (200, {}, {"cancelledworkflows": 1})


def removing_a_workflow(dev: Dev, text: str) -> None:
    processgraphid = running_map(dev)["processgraphid"]
    dev.colony.rpc.ok("cancelprocessgraphmsg", dev.colony.user_key, processgraphid=processgraphid)
    answer = dev.send(text.replace(WORKFLOW_ID, processgraphid), dev.colony.user_key)
    assert (answer.status, answer.payload, workflow_counts(dev)) == (200, {}, {})


def removing_all_workflows(dev: Dev, text: str) -> None:
    running_map(dev)
    answer = dev.send(text, dev.colony.colony_key)
    assert (answer.status, answer.payload, workflow_counts(dev)) == (200, {}, {})


def adding_a_cron(dev: Dev, text: str) -> None:
    answer = dev.send(text, dev.colony.user_key)
    given = json.loads(text)["cron"]
    assert (answer.status, {name: answer.payload[name] for name in given}) == (200, given)


def a_cron_with_id(dev: Dev) -> str:
    """A cron like that of the examples."""
    cron = {name: json.loads(REPLIES["cron"])[name] for name in ("colonyname", "name", "interval", "workflowspec")}
    return str(dev.colony.rpc.ok("addcronmsg", dev.colony.user_key, cron=cron)["cronid"])


def getting_a_cron(dev: Dev, text: str) -> None:
    cronid = a_cron_with_id(dev)
    answer = dev.send(text.replace(CRON_ID, cronid), dev.colony.user_key)
    assert (answer.status, answer.payload["cronid"], answer.payload["checkerperiod"]) == (200, cronid, 1000)


def getting_crons(dev: Dev, text: str) -> None:
    cronid = a_cron_with_id(dev)
    answer = dev.send(text, dev.colony.user_key)
    assert (answer.status, [cron["cronid"] for cron in answer.payload]) == (200, [cronid])


def running_a_cron(dev: Dev, text: str) -> None:
    answer = dev.send(text.replace(CRON_ID, a_cron_with_id(dev)), dev.colony.user_key)
    process = dev.colony.assign(dev.executor)
    assert (answer.status, answer.payload["prevprocessgraphid"]) == (200, process["processgraphid"])


def removing_a_cron(dev: Dev, text: str) -> None:
    answer = dev.send(text.replace(CRON_ID, a_cron_with_id(dev)), dev.colony.user_key)
    assert (answer.status, answer.payload) == (200, {})
    assert dev.colony.rpc.ok("getcronsmsg", dev.colony.user_key, colonyname="dev", count=1) == []


def adding_a_generator(dev: Dev, text: str) -> None:
    answer = dev.send(text, dev.colony.user_key)
    given = json.loads(text)["generator"]
    assert (answer.status, {name: answer.payload[name] for name in given}) == (200, given)


def a_generator_with_id(dev: Dev) -> str:
    """A generator like that of the examples."""
    shown = json.loads(REPLIES["generator"])
    generator = {name: shown[name] for name in ("colonyname", "name", "workflowspec", "trigger", "timeout")}
    return str(dev.colony.rpc.ok("addgeneratormsg", dev.colony.user_key, generator=generator)["generatorid"])


def getting_a_generator(dev: Dev, text: str) -> None:
    generatorid = a_generator_with_id(dev)
    answer = dev.send(text.replace(GENERATOR_ID, generatorid), dev.colony.user_key)
    assert (answer.status, answer.payload["generatorid"]) == (200, generatorid)


def getting_generators(dev: Dev, text: str) -> None:
    generatorid = a_generator_with_id(dev)
    answer = dev.send(text, dev.colony.user_key)
    assert (answer.status, [each["generatorid"] for each in answer.payload]) == (200, [generatorid])


def packing(dev: Dev, text: str) -> None:
    generatorid = a_generator_with_id(dev)
    answer = dev.send(text.replace(GENERATOR_ID, generatorid), dev.colony.user_key)
    assert (answer.status, answer.payload) == (200, {})
    found = dev.colony.rpc.ok("getgeneratormsg", dev.colony.user_key, generatorid=generatorid)
    assert found["queuesize"] == 1


def removing_a_generator(dev: Dev, text: str) -> None:
    answer = dev.send(text.replace(GENERATOR_ID, a_generator_with_id(dev)), dev.colony.user_key)
    assert (answer.status, answer.payload) == (200, {})
    assert dev.colony.rpc.ok("getgeneratorsmsg", dev.colony.user_key, colonyname="dev", count=1) is None


REQUEST_CASES: dict[str, Callable[[Dev, str], None]] = {
    "list-colonies": listing,
    "submit": submitting,
    "function-spec": submitting_all_fields,
    "assign": assigning,
    "pause": pausing,
    "resume": resuming,
    "get-process": getting,
    "get-processes": getting_many,
    "get-history": getting_history,
    "close-successful": closing,
    "close-failed": failing,
    "cancel": cancelling,
    "remove-all": removing_all,
    "workflow-spec": submitting_a_workflow,
    "add-child": adding_a_child,
    "get-workflow": getting_a_workflow,
    "get-workflows": getting_workflows,
    "cancel-workflow": cancelling_a_workflow,
    "remove-workflow": removing_a_workflow,
    "remove-all-workflows": removing_all_workflows,
    "add-cron": adding_a_cron,
    "get-cron": getting_a_cron,
    "get-crons": getting_crons,
    "run-cron": running_a_cron,
    "remove-cron": removing_a_cron,
    "add-generator": adding_a_generator,
    "get-generator": getting_a_generator,
    "resolve-generator": getting_a_generator,
    "get-generators": getting_generators,
    "pack-generator": packing,
    "remove-generator": removing_a_generator,
}


@pytest.mark.parametrize("name", REQUESTS)
def test_an_example_of_a_request(dev: Dev, name: str) -> None:
    REQUEST_CASES[name](dev, REQUESTS[name].strip())


# Replies


@dataclass
class Reply:
    """What the server answers, and the fields whose values differ from run to run."""

    answer: Any
    varying: set[str] = field(default_factory=set)


def an_error(dev: Dev) -> Reply:
    return Reply(refused(dev).payload, {"message"})


def refused(dev: Dev) -> Answer:
    return dev.colony.rpc.call("getcolonymsg", PrivateKey.generate(), colonyname="dev")


def an_error_envelope(dev: Dev) -> Reply:
    _, body = dev.colony.rpc.post(b'{"payloadtype":"getcolonymsg"}')
    return Reply(json.loads(body), {"payload"})


def a_colony(dev: Dev) -> Reply:
    dev.colony.rpc.ok("removecolonymsg", dev.colony.server_key, colonyname="dev")
    added = dev.colony.rpc.ok("addcolonymsg", dev.colony.server_key, colony=json.loads(REPLIES["colony"]))
    return Reply(added)


def a_user(dev: Dev) -> Reply:
    return Reply(dev.colony.rpc.ok("addusermsg", dev.colony.colony_key, user=json.loads(REPLIES["user"])))


def an_executor(name: str) -> Callable[[Dev], Reply]:
    """The reply to the very executor that the example shows, times and state included."""

    def reply(dev: Dev) -> Reply:
        dev.colony.rpc.ok("removecolonymsg", dev.colony.server_key, colonyname="dev")
        owner = {"name": "dev", "colonyid": dev.colony.colony_key.identity}
        dev.colony.rpc.ok("addcolonymsg", dev.colony.server_key, colony=owner)
        executor = json.loads(REPLIES[name])
        return Reply(dev.colony.rpc.ok("addexecutormsg", dev.colony.colony_key, executor=executor), {"commissiontime"})

    return reply


def a_function(dev: Dev) -> Reply:
    return Reply(dev.colony.rpc.ok("addfunctionmsg", dev.executor, fun=json.loads(REPLIES["function"])))


def an_attribute(dev: Dev) -> Reply:
    processid = dev.running()
    attribute = {"targetid": processid, "attributetype": 1, "key": "k", "value": "v"}
    added = dev.colony.rpc.ok("addattributemsg", dev.executor, attribute=attribute)
    dev.colony.rpc.ok("closesuccessfulmsg", dev.executor, processid=processid)
    found = dev.colony.rpc.ok("getattributemsg", dev.colony.user_key, attributeid=added["attributeid"])
    return Reply(found, {"attributeid", "targetid"})


def an_added_attribute(dev: Dev) -> Reply:
    attribute = {"targetid": dev.running(), "attributetype": 1, "key": "res", "value": "42"}
    added = dev.colony.rpc.ok("addattributemsg", dev.executor, attribute=attribute)
    assert added["state"] == 1  # that of the process, where the example shows what the client sent
    return Reply(added, {"attributeid", "targetid", "state"})


def a_location(dev: Dev) -> Reply:
    location = json.loads(REPLIES["location"])
    added = dev.colony.rpc.ok("addlocationmsg", dev.colony.colony_key, location=location)
    return Reply({**added, "lat": int(added["lat"])})  # written as 65.0, the same number


def statistics(dev: Dev) -> Reply:
    counts = dev.colony.rpc.ok("getstatisticsmsg", dev.colony.server_key)
    return Reply(counts, set(counts))


def colony_statistics(dev: Dev) -> Reply:
    for _ in range(14):
        dev.colony.submit(conditions={"executortype": "nobody"})
    dev.colony.rpc.ok("closesuccessfulmsg", dev.executor, processid=dev.running())
    dev.colony.rpc.ok("cancelprocessmsg", dev.colony.user_key, processid=dev.running())
    dev.colony.add_executor("e2")
    dev.colony.add_executor("e3", approve=False)
    return Reply(dev.colony.rpc.ok("getcolonystatsmsg", dev.colony.user_key, colonyname="dev"))


def a_cluster(dev: Dev) -> Reply:
    node = {"name", "host", "port", "peerport", "relayport", "apiport"}
    return Reply(without_additions(dev.colony.rpc.ok("getclustermsg", dev.colony.server_key)), node)


def a_pause_status(dev: Dev) -> Reply:
    dev.colony.rpc.ok("pauseassignmentsmsg", dev.colony.colony_key, colonyname="dev")
    return Reply(dev.colony.rpc.ok("getpausestatusmsg", dev.colony.user_key, colonyname="dev"))


def a_version(dev: Dev) -> Reply:
    return Reply(dev.colony.rpc.ok("versionmsg", None))


def the_server_info(dev: Dev) -> Reply:
    return Reply(dev.colony.rpc.ok("getserverinfomsg", None), {"buildversion", "buildtime", "port", "host"})


def a_log(dev: Dev) -> Reply:
    processid = dev.running()
    dev.colony.rpc.ok("addlogmsg", dev.executor, processid=processid, message="l1")
    logs = dev.colony.rpc.ok("getlogsmsg", dev.colony.user_key, processid=processid, count=1)
    return Reply(logs[0], {"processid", "timestamp"})


def a_process(dev: Dev) -> Reply:
    spec = {"funcname": "echo", "conditions": {"colonyname": "dev", "executortype": "cli"}}
    process = dev.colony.rpc.ok("submitfuncspecmsg", dev.colony.user_key, spec=spec)
    return Reply(without_additions(process), {"processid", "initiatorid", "prioritytime", "submissiontime"})


def without_additions(process: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in process.items() if name not in ADDITIONS}


def an_assigned_process(dev: Dev) -> Reply:
    dev.colony.submit(maxexectime=60)
    process = dev.colony.assign(dev.executor)
    started, due = (datetime.fromisoformat(process[name]) for name in ("starttime", "execdeadline"))
    assert due - started == timedelta(seconds=60)
    shown = {name: process[name] for name in json.loads(REPLIES["assigned-process"])}
    return Reply(shown, {"processid", "assignedexecutorid", "starttime", "execdeadline"})


def an_event(dev: Dev) -> Reply:
    processid = dev.colony.submit()["processid"]
    with open_socket(dev.colony.server) as socket:
        socket.send("subscribeprocessmsg", dev.colony.user_key, processid=processid, state=0, timeout=60)
        frame = json.loads(socket.connection.recv(10))
    assert json.loads(base64.b64decode(frame["payload"])) == dev.process(processid)
    return Reply(frame, {"payload"})


def submit_workflow(dev: Dev) -> dict[str, Any]:
    spec = json.loads(REQUESTS["workflow-spec"])
    submitted: dict[str, Any] = dev.colony.rpc.ok("submitworkflowspecmsg", dev.colony.user_key, spec=spec)
    return submitted


def a_workflow(dev: Dev) -> Reply:
    found = dev.colony.rpc.ok(
        "getprocessgraphmsg", dev.colony.user_key, processgraphid=submit_workflow(dev)["processgraphid"]
    )
    # the protocol leaves their order open
    found["nodes"].sort(key=lambda node: "abdc".index(node["data"]["label"]))
    ids = {"processgraphid", "initiatorid", "rootprocessids", "processids", "id", "source", "target"}
    return Reply(found, ids | {"submissiontime"})


def a_submitted_workflow(dev: Dev) -> Reply:
    # the example has no time, where the server tells it
    ids = {"processgraphid", "initiatorid", "rootprocessids", "processids"}
    return Reply(submit_workflow(dev), ids | {"submissiontime"})


def an_added_child(dev: Dev) -> Reply:
    process = add_child(dev, REQUESTS["add-child"])
    assert (process["initiatorid"], process["initiatorname"]) == (dev.executor.identity, "e1")
    # the example has no initiator, where the server tells who it was
    shown = {name: process[name] for name in json.loads(REPLIES["added-child"])}
    shown |= {"initiatorid": "", "initiatorname": ""}
    return Reply(shown, {"processid", "parents", "children", "processgraphid"})


def a_cron(dev: Dev) -> Reply:
    dev.colony.rpc.ok("runcronmsg", dev.colony.user_key, cronid=a_cron_with_id(dev))
    [found] = dev.colony.rpc.ok("getcronsmsg", dev.colony.user_key, colonyname="dev", count=10)
    return Reply(found, {"cronid", "initiatorid", "nextrun", "lastrun", "prevprocessgraphid"})


def a_generator(dev: Dev) -> Reply:
    generatorid = a_generator_with_id(dev)
    for arg in ("a", "b"):
        dev.colony.rpc.ok("packgeneratormsg", dev.colony.user_key, generatorid=generatorid, arg=arg)
    found = dev.colony.rpc.ok("getgeneratormsg", dev.colony.user_key, generatorid=generatorid)
    return Reply(found, {"generatorid", "initiatorid", "firstpack"})


REPLY_CASES: dict[str, Callable[[Dev], Reply]] = {
    "error-envelope": an_error_envelope,
    "error": an_error,
    "colony": a_colony,
    "user": a_user,
    "minimal-executor": an_executor("minimal-executor"),
    "full-executor": an_executor("full-executor"),
    "function": a_function,
    "attribute": an_attribute,
    "added-attribute": an_added_attribute,
    "location": a_location,
    "statistics": statistics,
    "colony-statistics": colony_statistics,
    "cluster": a_cluster,
    "pause-status": a_pause_status,
    "version": a_version,
    "server-info": the_server_info,
    "log": a_log,
    "process": a_process,
    "assigned-process": an_assigned_process,
    "event": an_event,
    "workflow": a_workflow,
    "submitted-workflow": a_submitted_workflow,
    "added-child": an_added_child,
    "cron": a_cron,
    "generator": a_generator,
}


def alike(example: Any, answer: Any, varying: set[str]) -> Any:
    """The answer, with the example's values where they may differ and are of the same kind, or are the same time."""
    if isinstance(example, dict) and isinstance(answer, dict):
        return {
            name: shown
            if name in varying and kind(shown := example.get(name)) == kind(value)
            else alike(example.get(name), value, varying)
            for name, value in answer.items()
        }
    if isinstance(example, list) and isinstance(answer, list):
        return [alike(shown, value, varying) for shown, value in zip(example, answer, strict=False)]
    if kind(example) == kind(answer) == "time" and datetime.fromisoformat(example) == datetime.fromisoformat(answer):
        return example
    return answer


def kind(value: Any) -> str:
    """What a value is: an id, two of them, a time, or a value of some type."""
    if isinstance(value, str):
        return next(
            (name for name, form in (("id", IDENTITY), ("edge", EDGE), ("time", TIME)) if form.fullmatch(value)), "text"
        )
    return type(value).__name__


@pytest.mark.parametrize("name", REPLIES)
def test_an_example_of_a_reply(dev: Dev, name: str) -> None:
    example = json.loads(REPLIES[name])
    reply = REPLY_CASES[name](dev)
    # as text, for the order of the keys
    assert json.dumps(alike(example, reply.answer, reply.varying), indent=1) == json.dumps(example, indent=1)
