"""Input that nobody should send: too large, no JSON, out of range. Refused as planned, and nothing is stored."""

from __future__ import annotations

import base64
import http.client
import json
import secrets
import select
import socket
import string
import tomllib
from contextlib import closing
from pathlib import Path
from typing import Any, get_origin

import pytest
from answers import refusal
from colonies import Answer, Colony, RunningServer, create_colony, envelope
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from kolony.crypto import PrivateKey
from kolony_apiserver.rpc.registry import registry

MIB = 1024**2
SMALL, LARGE = 8 * MIB, 128 * MIB
BULK = "kolonysubmitfuncspecsmsg"
UNPLANNED = ("the server failed", "the database failed", "the database is away")

TEXTS = tomllib.loads((Path(__file__).parent / "data" / "refusals.toml").read_text())


def send_text(colony: Colony, key: PrivateKey, msgtype: str, message: str | bytes) -> Answer:
    """Send a message to the letter."""
    raw = message if isinstance(message, bytes) else message.encode()
    return colony.rpc.send(json.dumps(envelope(raw, key, msgtype)).encode())


# Payloads that are not the message


UNREADABLE = {
    "nothing": b"",
    "half an object": b'{"msgtype":"MSGTYPE"',
    "null": b"null",
    "two objects": b'{"msgtype":"MSGTYPE"}{"msgtype":"MSGTYPE"}',
    "a number as type": b'{"msgtype":5}',
    "NUL": b'{"msgtype":"MSGTYPE","unknown":"\\u0000"}',
    "a lone surrogate": b'{"msgtype":"MSGTYPE","unknown":"\\ud800"}',
    "no UTF-8": b'{"msgtype":"MSGTYPE","unknown":"\xff"}',
    "too deep": b'{"msgtype":"MSGTYPE","unknown":' + b"[" * 100_000 + b"]" * 100_000 + b"}",
}


def test_every_message_has_its_texts() -> None:
    assert set(TEXTS["beginning"]) == set(registry()) | {"versionmsg"}


EVERYWHERE = ["nothing", "null", "two objects", "no UTF-8"]
"""Tried with every message; the rest with some, one of each way in which messages are read."""

UNREADABLE_CASES = [
    (msgtype, payload)
    for msgtype in TEXTS["beginning"]
    for payload in UNREADABLE
    if payload in EVERYWHERE or msgtype in ("getcolonymsg", "submitfuncspecmsg", "versionmsg")
]


@pytest.mark.parametrize("msgtype, payload", UNREADABLE_CASES)
def test_a_payload_that_cannot_be_read(shared_colony: Colony, msgtype: str, payload: str) -> None:
    sent = UNREADABLE[payload]
    message = (
        sent.replace(b"MSGTYPE", msgtype.encode()) if isinstance(sent, bytes) else sent.replace("MSGTYPE", msgtype)
    )
    answer = send_text(shared_colony, shared_colony.user_key, msgtype, message)
    expected = TEXTS["unreadable"].get(msgtype, f"{TEXTS['beginning'][msgtype]}, invalid JSON")
    assert refusal(answer) == (400, expected)


@pytest.mark.parametrize(
    "payload",
    [
        "{}",
        '{"msgtype":null}',
        '{"MsgType":"getnothingmsg"}',
        '{"unknown":{"msgtype":"MSGTYPE"}}',
    ],
)
@pytest.mark.parametrize("msgtype", TEXTS["beginning"])
def test_a_payload_of_another_type(shared_colony: Colony, msgtype: str, payload: str) -> None:
    message = payload.replace("MSGTYPE", msgtype)
    answer = send_text(shared_colony, shared_colony.user_key, msgtype, message)
    expected = f"{TEXTS['beginning'][msgtype]}, msg.MsgType does not match payloadType"
    assert refusal(answer) == (400, TEXTS["mismatch"].get(msgtype, expected))


@pytest.fixture(scope="module")
def shared_colony(server: RunningServer) -> Colony:
    """For tests that change nothing."""
    return create_colony(server)


@pytest.mark.parametrize("body", ['{"a":' * 100_000, '{"payload":' + "[" * 100_000, "[" * 100_000])
def test_an_envelope_that_is_nested_too_deeply(server: RunningServer, body: str) -> None:
    assert refusal(server.rpc.send(body.encode()))[0] == 400


# Size


def begin(server: RunningServer, *headers: str) -> socket.socket:
    """A request whose body comes later, or never."""
    connection = socket.create_connection((server.host, server.port), timeout=20)
    lines = ["POST /api HTTP/1.1", f"Host: {server.host}", *headers, "", ""]
    connection.sendall("\r\n".join(lines).encode())
    return connection


def read_refusal(connection: socket.socket) -> tuple[int, dict[str, Any]]:
    """HTTP status and error object of the response."""
    response = http.client.HTTPResponse(connection)
    response.begin()
    reply = json.loads(response.read())
    assert (reply["error"], response.getheader("connection")) == (True, "close")
    error: dict[str, Any] = json.loads(base64.b64decode(reply["payload"]))
    return response.status, error


def test_a_body_that_announces_too_much_is_refused_unread(server: RunningServer) -> None:
    with closing(begin(server, f"Content-Length: {LARGE + 1}")) as connection:
        status, error = read_refusal(connection)
    assert (status, error["status"]) == (413, 413)


def test_a_small_message_that_announces_much_is_refused_at_its_beginning(server: RunningServer) -> None:
    with closing(begin(server, f"Content-Length: {SMALL + 1}")) as connection:
        connection.sendall(b'{"payloadtype":"getcolonymsg","payload":"' + b"A" * 65_536)
        status, error = read_refusal(connection)
    assert (status, error["status"]) == (413, 413)


def answered(connection: socket.socket) -> bool:
    return bool(select.select([connection], [], [], 0)[0])


def test_a_body_without_end_is_refused_when_it_is_too_long(server: RunningServer) -> None:
    chunk = b"10000\r\n" + b" " * 65_536 + b"\r\n"
    sent = 0
    with closing(begin(server, "Transfer-Encoding: chunked")) as connection:
        while not answered(connection):
            connection.sendall(chunk)
            sent += 65_536
            assert sent < 4 * SMALL
        status, error = read_refusal(connection)
    assert (status, error["status"]) == (413, 413)


def padded(beginning: str, size: int) -> bytes:
    """An envelope of exactly this size, whose last field is long."""
    end = '"}'
    return (beginning + " " * (size - len(beginning) - len(end)) + end).encode()


@pytest.mark.parametrize(
    "beginning, size, status",
    [
        ('{"payloadtype":"getcolonymsg","payload":"', SMALL, 403),
        ('{"payloadtype":"getcolonymsg","payload":"', SMALL + 1, 413),
        (f'{{"payloadtype":"{BULK}","payload":"', SMALL + 1, 403),
        ('{"payloadtype":"submitworkflowspecmsg","payload":"', SMALL + 1, 403),
        (f'{{"payload":"","payloadtype":"{BULK}","signature":"', SMALL + 1, 403),
        (f'{{"payload":"{"A" * MIB}","payloadtype":"{BULK}","signature":"', SMALL + 1, 413),
        ('{"payloadtype":"submitfuncspecmsg","payload":"', SMALL + 1, 413),
    ],
    ids=[
        "at the limit",
        "over it",
        "bulk",
        "a workflow",
        "bulk named second",
        "bulk named too late",
        "a single submit",
    ],
)
def test_the_limit_depends_on_the_type_at_the_beginning(
    server: RunningServer, beginning: str, size: int, status: int
) -> None:
    answer = server.rpc.send(padded(beginning, size))
    # what is read at all fails at its signature
    assert refusal(answer)[0] == status


def test_another_message_is_not_larger_for_naming_the_large_type(colony: Colony) -> None:
    request = envelope({"msgtype": "getcolonymsg", "colonyname": colony.name}, colony.user_key)
    body = json.dumps({"unknown": BULK, **request, "more": "x" * SMALL}).encode()
    assert refusal(colony.rpc.send(body))[0] == 413


def test_a_bulk_submit_may_be_large(colony: Colony) -> None:
    argument = "x" * (7 * MIB)
    specs = [colony.spec(args=[argument])]
    message = {"msgtype": BULK, "colonyname": colony.name, "specs": specs}
    body = json.dumps(envelope(message, colony.user_key)).encode()
    assert len(body) > SMALL
    answer = colony.rpc.send(body)
    assert (answer.status, answer.payload[0]["spec"]["args"]) == (200, [argument])


# Values that cannot be stored


STORED_TEXT = {
    "addcolonymsg": ["colony.name", "colony.colonyid"],
    "addusermsg": ["user.userid", "user.name", "user.email", "user.phone"],
    "addexecutormsg": [
        "executor.executorid",
        "executor.executortype",
        "executor.executorname",
        "executor.locationname",
        "executor.blueprintid",
        "executor.capabilities.hardware.0.model",
        "executor.capabilities.software.0.name",
        "executor.allocations.projects.p",
    ],
    "addfunctionmsg": ["fun.functionid", "fun.funcname", "fun.description", "fun.args.0.name", "fun.args.0.enum.0"],
    "addlocationmsg": ["location.name", "location.locationid", "location.description"],
    "addattributemsg": ["attribute.key", "attribute.value"],
    "addlogmsg": ["message"],
    "addexecutorlogmsg": ["message"],
    "submitfuncspecmsg": [
        "idempotencykey",
        "spec.nodename",
        "spec.funcname",
        "spec.label",
        "spec.args.0",
        "spec.args.1.deep.0",
        "spec.kwargs.a",
        "spec.env.A",
        "spec.channels.0",
        "spec.fs.mount",
        "spec.fs.dirs.0.dir",
        "spec.conditions.executortype",
        "spec.conditions.executornames.0",
        "spec.conditions.locationname",
        "spec.conditions.gpu.name",
    ],
    "submitworkflowspecmsg": [
        "idempotencykey",
        "spec.functionspecs.0.nodename",
        "spec.functionspecs.0.funcname",
        "spec.functionspecs.0.args.0",
        "spec.functionspecs.0.env.A",
        "spec.functionspecs.1.conditions.dependencies.0",
    ],
    "addchildmsg": ["spec.nodename", "spec.args.0", "spec.env.A", "spec.conditions.executortype"],
    "closesuccessfulmsg": ["out.0"],
    "closefailedmsg": ["errors.0"],
    "setoutputmsg": ["out.0"],
    "addcronmsg": ["cron.name", "cron.cronexpression", "cron.workflowspec"],
    "addgeneratormsg": ["generator.name", "generator.workflowspec"],
    "packgeneratormsg": ["arg"],
}
WORKFLOW = json.dumps({"functionspecs": [{"nodename": "a", "funcname": "f", "conditions": {"executortype": "nobody"}}]})


class Stores:
    """One message of each kind that stores something, and what there is afterwards."""

    def __init__(self, colony: Colony) -> None:
        self.colony = colony
        self.executor = colony.add_executor("e1")
        colony.submit()
        self.processid = colony.assign(self.executor)["processid"]
        colony.rpc.ok("submitworkflowspecmsg", colony.user_key, spec=self.workflow())
        self.node = colony.assign(self.executor)
        generator = {"colonyname": colony.name, "trigger": 100, "workflowspec": WORKFLOW}
        added = colony.rpc.ok("addgeneratormsg", colony.user_key, generator=generator)
        self.generatorid = added["generatorid"]

    def workflow(self) -> dict[str, Any]:
        """A workflow of two nodes."""
        names = (("a", []), ("b", ["a"]))
        specs = [
            {**self.colony.spec(args=[1], env={}, conditions={"dependencies": parents}), "nodename": name}
            for name, parents in names
        ]
        return {"colonyname": self.colony.name, "functionspecs": specs}

    def message(self, msgtype: str) -> tuple[PrivateKey, dict[str, Any]]:
        """Who would send it, and what."""
        name = {"colonyname": self.colony.name}
        executor = {**name, "executorname": "e1"}
        process = {"processid": self.processid}
        hardware, software = [{"model": "m"}], [{"name": "s"}]
        new = {
            "executor": {
                **name,
                "executorname": "e2",
                "executorid": secrets.token_hex(32),
                "capabilities": {"hardware": hardware, "software": software},
                "allocations": {"projects": {"p": {}}},
            }
        }
        match msgtype:
            case "addcolonymsg":
                return self.colony.server_key, {"colony": {"name": self.colony.name + "2", "colonyid": "c" * 64}}
            case "addusermsg":
                return self.colony.colony_key, {"user": {**name, "name": "bob", "userid": secrets.token_hex(32)}}
            case "addexecutormsg":
                return self.colony.colony_key, new
            case "addlocationmsg":
                return self.colony.colony_key, {"location": {**name, "name": "home"}}
            case "addfunctionmsg":
                args = [{"name": "a", "enum": ["1"]}]
                return self.executor, {"fun": {**executor, "funcname": "f", "args": args}}
            case "addattributemsg":
                return self.executor, {"attribute": {"targetid": self.processid, "key": "k", "value": "v"}}
            case "addexecutorlogmsg":
                return self.executor, executor
            case "submitfuncspecmsg":
                spec = self.colony.spec(
                    args=[1, {"deep": [1]}],
                    channels=["c"],
                    fs={"dirs": [{"dir": "d"}]},
                    conditions={"executornames": ["e1"], "gpu": {}},
                )
                return self.colony.user_key, {"spec": {**spec, "kwargs": {}, "env": {}}}
            case "submitworkflowspecmsg":
                return self.colony.user_key, {"spec": self.workflow()}
            case "addchildmsg":
                node = {"processgraphid": self.node["processgraphid"], "parentprocessid": self.node["processid"]}
                return self.executor, {**node, "spec": self.colony.spec(args=[1], env={})}
            case "addcronmsg":
                cron = {**name, "name": "c", "interval": 3600, "workflowspec": WORKFLOW}
                return self.colony.user_key, {"cron": cron}
            case "addgeneratormsg":
                generator = {**name, "name": "g", "trigger": 1, "workflowspec": WORKFLOW}
                return self.colony.user_key, {"generator": generator}
            case "packgeneratormsg":
                return self.colony.user_key, {"generatorid": self.generatorid, "arg": "a"}
            case "closesuccessfulmsg" | "setoutputmsg":
                return self.executor, {**process, "out": [1]}
            case "closefailedmsg":
                return self.executor, {**process, "errors": ["e"]}
            case _:
                return self.executor, process

    def everything(self) -> dict[str, Any]:
        """All that the colony has, but for when its executors were heard from."""
        ask = self.colony.rpc.ok
        user, name = self.colony.user_key, {"colonyname": self.colony.name}
        executors = ask("getexecutorsmsg", user, **name)
        return {
            "colonies": [
                each
                for each in ask("getcoloniesmsg", self.colony.server_key)
                if each["name"].startswith(self.colony.name)
            ],
            "executors": [{**each, "lastheardfromtime": ""} for each in executors],
            "users": ask("getusersmsg", user, **name),
            "locations": ask("getlocationsmsg", user, **name),
            "functions": ask("getfunctionsmsg", user, **name),
            "statistics": ask("getcolonystatsmsg", user, **name),
            "process": ask("getprocessmsg", user, processid=self.processid),
            "logs": ask("searchlogsmsg", user, **name, text="", days=1, count=100),
            "crons": ask("getcronsmsg", user, **name, count=100),
            "generators": ask("getgeneratorsmsg", user, **name, count=100),
            "generator": ask("getgeneratormsg", user, generatorid=self.generatorid),
        }


@pytest.fixture(scope="module")
def stores(server: RunningServer) -> Stores:
    return Stores(create_colony(server))


def put(message: dict[str, Any], path: str, value: Any) -> dict[str, Any]:
    """A copy of a message with one value in it replaced."""
    changed: Any = json.loads(json.dumps(message))
    place = changed
    *outer, last = path.split(".")
    for step in outer:
        place = place[int(step)] if isinstance(place, list) else place.setdefault(step, {})
    place[int(last) if isinstance(place, list) else last] = value
    return dict(changed)


BAD_TEXT = {"NUL": '"a\\u0000b"', "a lone high surrogate": '"\\ud800"', "a lone low surrogate": '"\\udc00x"'}


@pytest.mark.parametrize("bad", BAD_TEXT)
@pytest.mark.parametrize("msgtype, path", [(msgtype, path) for msgtype, paths in STORED_TEXT.items() for path in paths])
def test_text_that_no_database_stores(stores: Stores, msgtype: str, path: str, bad: str) -> None:
    key, message = stores.message(msgtype)
    before = stores.everything()
    text = json.dumps({"msgtype": msgtype, **put(message, path, "BAD")}).replace('"BAD"', BAD_TEXT[bad])
    status, message_text = refusal(send_text(stores.colony, key, msgtype, text))
    assert status == 400
    assert not message_text.startswith(UNPLANNED)
    assert stores.everything() == before


@pytest.mark.parametrize("bad", BAD_TEXT)
def test_a_key_may_be_no_such_text_either(stores: Stores, bad: str) -> None:
    before = stores.everything()
    for place in ("kwargs", "env"):
        spec = json.dumps(stores.colony.spec(**{place: {"BAD": "1"}})).replace('"BAD"', BAD_TEXT[bad])
        text = f'{{"msgtype":"submitfuncspecmsg","spec":{spec}}}'
        assert refusal(send_text(stores.colony, stores.colony.user_key, "submitfuncspecmsg", text))[0] == 400
    assert stores.everything() == before


INTEGERS = {
    "addexecutormsg": [
        "executor.state",
        "executor.blueprintgen",
        "executor.capabilities.hardware.0.nodes",
        "executor.capabilities.hardware.0.cores",
        "executor.capabilities.hardware.0.gpu.count",
        "executor.capabilities.hardware.0.gpu.nodecount",
        "executor.allocations.projects.p.allocatedcpu",
        "executor.allocations.projects.p.usedstorage",
    ],
    "reportallocationmsg": ["allocations.projects.p.usedgpu"],
    "updateexecutormsg": ["capabilities.hardware.gpu"],
    "addfunctionmsg": ["fun.counter"],
    "addattributemsg": ["attribute.attributetype", "attribute.state"],
    "submitfuncspecmsg": [
        "spec.priority",
        "spec.maxwaittime",
        "spec.maxexectime",
        "spec.maxretries",
        "spec.conditions.nodes",
        "spec.conditions.processes",
        "spec.conditions.processespernode",
        "spec.conditions.walltime",
        "spec.conditions.gpu.count",
        "spec.conditions.gpu.nodecount",
    ],
    "assignprocessmsg": ["timeout"],
    "closesuccessfulmsg": ["attempt"],
    "closefailedmsg": ["attempt"],
    "getprocessesmsg": ["count", "state"],
    "getprocesshistmsg": ["seconds", "state"],
    "removeallprocessesmsg": ["state"],
    "submitworkflowspecmsg": ["spec.functionspecs.0.priority", "spec.functionspecs.0.maxretries"],
    "addchildmsg": ["spec.priority"],
    "getprocessgraphsmsg": ["count", "state"],
    "removeallprocessgraphsmsg": ["state"],
    "addcronmsg": ["cron.interval", "cron.missedlimit"],
    "getcronsmsg": ["count"],
    "addgeneratormsg": ["generator.trigger", "generator.timeout"],
    "getgeneratorsmsg": ["count"],
    "getlogsmsg": ["count", "since"],
    "searchlogsmsg": ["count", "days"],
}
NO_INTEGERS = ["9223372036854775808", "-9223372036854775809", "1" + "0" * 40, "1.0", '"1"']


@pytest.mark.parametrize("number", NO_INTEGERS)
@pytest.mark.parametrize("msgtype, path", [(msgtype, path) for msgtype, paths in INTEGERS.items() for path in paths])
def test_numbers_that_are_no_64_bit_integers(stores: Stores, msgtype: str, path: str, number: str) -> None:
    key, message = stores.message(msgtype)
    text = json.dumps({"msgtype": msgtype, **put(message, path, "NUMBER")}).replace('"NUMBER"', number)
    answer = send_text(stores.colony, key, msgtype, text)
    expected = TEXTS["unreadable"].get(msgtype, f"{TEXTS['beginning'][msgtype]}, invalid JSON")
    assert refusal(answer) == (400, expected)


@pytest.mark.parametrize("number", [2**31, -(2**31) - 1, 2**63 - 1, -(2**63)])
@pytest.mark.parametrize(
    "path",
    [
        "maxwaittime",
        "maxexectime",
        "maxretries",
        "conditions.nodes",
        "conditions.processes",
        "conditions.processespernode",
    ],
)
def test_numbers_of_a_spec_that_need_more_than_32_bits(stores: Stores, path: str, number: int) -> None:
    before = stores.everything()
    key, message = stores.message("submitfuncspecmsg")
    answer = stores.colony.rpc.call("submitfuncspecmsg", key, **put(message, f"spec.{path}", number))
    assert refusal(answer) == (400, f'pq: value "{number}" is out of range for type integer')
    assert stores.everything() == before


@pytest.mark.parametrize("number", [2**31 - 1, -(2**31)])
@pytest.mark.parametrize("path", ["maxwaittime", "maxexectime", "maxretries"])
def test_limits_may_have_32_bits(colony: Colony, path: str, number: int) -> None:
    process = colony.submit(**{path: number})
    assert process["spec"][path] == number
    assert colony.assign(colony.add_executor("e1"))["processid"] == process["processid"]


@pytest.mark.parametrize("number", [2**63 - 1, -(2**63)])
@pytest.mark.parametrize("path", ["conditions.walltime", "conditions.gpu.count"])
def test_some_numbers_of_a_spec_have_64_bits(colony: Colony, path: str, number: int) -> None:
    spec = put({"spec": colony.spec()}, f"spec.{path}", number)["spec"]
    process = colony.rpc.ok("submitfuncspecmsg", colony.user_key, spec=spec)
    assert put(process["spec"], path, number) == process["spec"]


@pytest.mark.parametrize(
    "number", ["1e999", "-1e999", "12345678901234567890123", "0.1000000000000000000000000001", "1E+2", "-0", "0.0"]
)
def test_numbers_among_the_values_stay_as_they_are(colony: Colony, number: str) -> None:
    spec = json.dumps(colony.spec(args=["NUMBER"], kwargs={"k": ["NUMBER"]})).replace('"NUMBER"', number)
    body = envelope(f'{{"msgtype":"submitfuncspecmsg","spec":{spec}}}'.encode(), colony.user_key, "submitfuncspecmsg")
    status, reply = colony.rpc.post(json.dumps(body).encode())
    assert status == 200
    process = base64.b64decode(json.loads(reply)["payload"]).decode()
    assert f'"args":[{number}],"kwargs":{{"k":[{number}]}}' in process


# Names


ODD_NAMES = [
    "it's",
    'a "name"',
    "back\\slash",
    "100% of_it",
    "a:b",
    "line\nbreak\ttab",
    "\N{PILE OF POO}",
    "\u2028<script>&amp;\u2029",
    "-- drop table colonies;",
    "%(colony)s",
    "{0}",
    "$1",
    " ",
    "ÅÄÖ",
    "*",
    "../../etc",
    "\x01\x7f",
    "x" * 2_000,
]


@pytest.mark.parametrize("name", ODD_NAMES, ids=ascii)
def test_names_are_free_text(server: RunningServer, name: str) -> None:
    colony = create_colony(server)
    rpc, of = colony.rpc, {"colonyname": colony.name}
    executor = colony.add_executor(name, executortype=name, locationname=name)
    user = {**of, "name": name, "userid": secrets.token_hex(32)}
    assert rpc.ok("addusermsg", colony.colony_key, user=user)["name"] == name
    assert rpc.ok("addlocationmsg", colony.colony_key, location={**of, "name": name})["name"] == name
    assert rpc.ok("getusermsg", executor, **of, name=name)["userid"] == user["userid"]
    assert rpc.ok("getlocationmsg", executor, **of, name=name)["name"] == name
    assert rpc.ok("getexecutormsg", executor, **of, executorname=name)["executorid"] == executor.identity
    function = {**of, "executorname": name, "funcname": name}
    assert rpc.ok("addfunctionmsg", executor, fun=function)["locationname"] == name
    submitted = colony.submit(
        funcname=name,
        label=name,
        env={name: name},
        conditions={"executortype": name, "executornames": [name], "locationname": name},
    )
    process = colony.assign(executor)
    assert process["processid"] == submitted["processid"]
    assert process["spec"]["env"] == {name: name}
    rpc.ok("addlogmsg", executor, processid=process["processid"], message=name)
    rpc.ok("closesuccessfulmsg", executor, processid=process["processid"], out=[name])
    assert [log["message"] for log in rpc.ok("getlogsmsg", executor, **of, executorname=name, count=9)] == [name]
    assert rpc.ok("getfunctionsmsg", executor, **of, executorname=name)[0]["counter"] == 1
    listed = rpc.ok("getprocessesmsg", executor, **of, state=2, label=name, count=9)
    assert [each["processid"] for each in listed] == [process["processid"]]
    rpc.ok("removeexecutormsg", colony.colony_key, **of, executorname=name)
    rpc.ok("removelocationmsg", colony.colony_key, **of, name=name)
    rpc.ok("removeusermsg", colony.colony_key, **of, name=name)


@pytest.mark.parametrize("name", [name for name in ODD_NAMES if "\x01" not in name], ids=ascii)
def test_names_of_colonies_are_free_text(server: RunningServer, name: str) -> None:
    key = PrivateKey.generate()
    colony = {"name": name, "colonyid": key.identity}
    assert server.rpc.ok("addcolonymsg", server.server_key, colony=colony) == {"colonyid": key.identity, "name": name}
    user = {"colonyname": name, "name": "u", "userid": key.identity}
    server.rpc.ok("addusermsg", key, user=user)
    assert server.rpc.ok("getcolonymsg", key, colonyname=name)["name"] == name
    server.rpc.ok("removecolonymsg", server.server_key, colonyname=name)


@pytest.mark.parametrize(
    "msgtype, path",
    [
        ("addcolonymsg", "colony.name"),
        ("addusermsg", "user.name"),
        ("addusermsg", "user.userid"),
        ("addexecutormsg", "executor.executorname"),
        ("addexecutormsg", "executor.executorid"),
        ("addlocationmsg", "location.name"),
        ("addfunctionmsg", "fun.functionid"),
        ("addfunctionmsg", "fun.funcname"),
        ("submitfuncspecmsg", "idempotencykey"),
        ("submitworkflowspecmsg", "idempotencykey"),
        ("addcronmsg", "cron.name"),
        ("addgeneratormsg", "generator.name"),
    ],
)
def test_a_name_too_long_to_be_found_again(stores: Stores, msgtype: str, path: str) -> None:
    before = stores.everything()
    key, message = stores.message(msgtype)
    # of random letters, as repetitions could be stored in less space
    name = "".join(secrets.choice(string.ascii_letters) for _ in range(100_000))
    status, text = refusal(stores.colony.rpc.call(msgtype, key, **put(message, path, name)))
    assert status == 400
    assert not text.startswith(UNPLANNED)
    assert stores.everything() == before


def test_texts_that_nobody_searches_may_be_long(colony: Colony) -> None:
    long = "".join(secrets.choice(string.ascii_letters) for _ in range(100_000))
    executor = colony.add_executor("e1", executortype=long)
    submitted = colony.submit(funcname=long, label=long, env={"A": long}, conditions={"executortype": long})
    assert colony.assign(executor)["processid"] == submitted["processid"]


# Anything at all


JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**70), 2**70) | st.floats() | st.text(max_size=8),
    lambda values: st.lists(values, max_size=3) | st.dictionaries(st.text(max_size=4), values, max_size=3),
    max_leaves=6,
)
FIELDS = sorted(
    {name for route in registry().values() for name in (get_origin(route.message) or route.message).__struct_fields__}
)


@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    msgtype=st.sampled_from(sorted(registry())),
    fields=st.dictionaries(st.sampled_from([*FIELDS, "unknown"]), JSON, max_size=4),
    who=st.sampled_from(["user", "owner", "executor", "nobody"]),
)
def test_no_message_makes_the_server_fail(stores: Stores, msgtype: str, fields: dict[str, Any], who: str) -> None:
    keys = {"user": stores.colony.user_key, "owner": stores.colony.colony_key, "executor": stores.executor}
    message = {"colonyname": stores.colony.name, **fields, "msgtype": msgtype}
    if msgtype == "assignprocessmsg":
        message["timeout"] = -1
    if msgtype in ("removeallprocessesmsg", "removeallprocessgraphsmsg", "changecolonyidmsg"):
        message["colonyname"] = "nowhere"
    answer = send_text(stores.colony, keys.get(who) or PrivateKey.generate(), msgtype, json.dumps(message))
    if answer.error:
        assert not refusal(answer)[1].startswith(UNPLANNED)
