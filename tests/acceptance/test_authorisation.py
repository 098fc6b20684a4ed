"""The authorisation matrix: every payload type by every kind of caller.

What is expected stands in ``data/authorisation.toml``, written from the protocol. Here is only how each message is made
so that it would be answered well if the caller were allowed to send it.
"""

from __future__ import annotations

import json
import tomllib
from collections.abc import Callable
from copy import deepcopy
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from answers import refusal
from cast import Cast, fresh
from colonies import RunningServer
from sockets import open_socket

from kolony.crypto import PrivateKey
from kolony.wire import subscriptions
from kolony_apiserver.rpc.registry import registry

Fields = dict[str, Any]
SUBSCRIPTIONS = {subscriptions.ONE, subscriptions.MANY}
UNSIGNED = {"versionmsg", "getserverinfomsg"}


class Expected(NamedTuple):
    """One cell of the table: what a caller is told about a message."""

    row: str
    caller: str
    answer: str


class Absent(NamedTuple):
    """A message about something that does not exist, and what its caller is told."""

    row: str
    caller: str
    field: str
    value: str
    answer: str

    def __str__(self) -> str:
        return f"{self.row}-{self.field}-{'absent' if self.value == '{name}' else self.value or 'empty'}"


def read_expectations() -> tuple[list[Expected], list[Absent]]:
    """The cells of the table, and what the file says about absent things."""
    data = tomllib.loads((Path(__file__).parent / "data" / "authorisation.toml").read_text())
    header, *rows = [line.split() for line in data["table"]["rows"].splitlines() if line.strip()]
    assert header == list(data["callers"])
    cells = [
        Expected(row[0], caller, data["answers"][word])
        for row in rows
        for caller, word in zip(header, row[1:], strict=True)
    ]
    absent = []
    for line in filter(str.strip, data["absent"]["rows"].splitlines()):
        row, caller, change, answer = line.split(maxsplit=3)
        field, value = change.split("=", 1)
        absent.append(Absent(row, caller, field, value, answer))
    return cells, absent


CELLS, ABSENT = read_expectations()


@pytest.fixture(scope="module")
def cast(server: RunningServer) -> Cast:
    return Cast.create(server)


def the_colony(cast: Cast, caller: str) -> Fields:
    return {"colonyname": cast.home.name}


def nothing(cast: Cast, caller: str) -> Fields:
    return {}


def a_new_colony(cast: Cast, caller: str) -> Fields:
    return {"colony": {"colonyid": "c" * 64, "name": fresh("colony")}}


def a_colony_to_remove(cast: Cast, caller: str) -> Fields:
    name = fresh("colony")
    cast.home.rpc.ok("addcolonymsg", cast.home.server_key, colony={"colonyid": "c" * 64, "name": name})
    return {"colonyname": name}


def the_server_id(cast: Cast, caller: str) -> Fields:
    return {"serverid": cast.home.server_key.identity}


def the_colony_id(cast: Cast, caller: str) -> Fields:
    return {"colonyname": cast.home.name, "colonyid": cast.home.colony_key.identity}


def their_own_id(field: str) -> Callable[[Cast, str], Fields]:
    """The key the caller has already, so that the change changes nothing."""

    def fields(cast: Cast, caller: str) -> Fields:
        key = cast.keys[caller] or PrivateKey.generate()
        return {"colonyname": cast.home.name, field: key.identity}

    return fields


def an_executor_to_add(cast: Cast, caller: str) -> Fields:
    name = fresh("executor")
    return {"executor": {"executorid": name, "executorname": name, "colonyname": cast.home.name}}


def the_executor(cast: Cast, caller: str) -> Fields:
    return cast.executor(caller)


def an_executor_to_lose(cast: Cast, caller: str) -> Fields:
    return cast.new_executor() if caller == "owner" else cast.executor(caller)


def the_executor_id(cast: Cast, caller: str) -> Fields:
    # the colony in the message does not count
    return {"colonyname": cast.colony_of(caller), "executorid": cast.key(cast.named_by(caller)).identity}


def a_user_to_add(cast: Cast, caller: str) -> Fields:
    name = fresh("user")
    return {"user": {"colonyname": cast.home.name, "userid": name, "name": name}}


def the_user(cast: Cast, caller: str) -> Fields:
    return {"colonyname": cast.home.name, "name": "alice"}


def a_user_to_remove(cast: Cast, caller: str) -> Fields:
    user = a_user_to_add(cast, caller)["user"]
    cast.home.rpc.ok("addusermsg", cast.home.colony_key, user=user)
    return {"colonyname": cast.home.name, "name": user["name"]}


def the_user_id(cast: Cast, caller: str) -> Fields:
    return {"colonyname": cast.home.name, "userid": cast.home.user_key.identity}


def a_function_to_add(cast: Cast, caller: str) -> Fields:
    return {"fun": cast.function(caller)}


def a_function_to_remove(cast: Cast, caller: str) -> Fields:
    added = cast.home.rpc.ok("addfunctionmsg", cast.key("executor"), fun=cast.function())
    return {"functionid": added["functionid"]}


def an_attribute_to_add(cast: Cast, caller: str) -> Fields:
    # what the message says about the colony does not count
    names = {"targetid": cast.runs_for(caller), "targetcolonyname": cast.colony_of(caller)}
    return {"attribute": {**names, "attributetype": 1, "key": fresh("key"), "value": "v"}}


def the_attribute(cast: Cast, caller: str) -> Fields:
    process = cast.home.submit(env={"KEY": "VALUE"}, conditions={"executortype": "nobody"})
    return {"attributeid": process["attributes"][0]["attributeid"]}


def a_location_to_add(cast: Cast, caller: str) -> Fields:
    return {"location": {"colonyname": cast.home.name, "name": fresh("location")}}


def the_location(cast: Cast, caller: str) -> Fields:
    location = a_location_to_add(cast, caller)["location"]
    cast.home.rpc.ok("addlocationmsg", cast.home.colony_key, location=location)
    return location


def a_log_line(cast: Cast, caller: str) -> Fields:
    return {"processid": cast.runs_for(caller), "message": "hello"}


def a_log_line_of_the_executor(cast: Cast, caller: str) -> Fields:
    return {**cast.executor(caller), "message": "hello"}


def the_log_of_the_process(cast: Cast, caller: str) -> Fields:
    # the colony in the message does not count
    return {"colonyname": cast.colony_of(caller), "processid": cast.runs_for(caller), "count": 1}


def the_log_of_the_executor(cast: Cast, caller: str) -> Fields:
    return {**cast.executor(caller), "count": 1}


def a_search(cast: Cast, caller: str) -> Fields:
    return {"colonyname": cast.home.name, "text": "", "days": 1, "count": 1}


def a_spec(cast: Cast, caller: str) -> Fields:
    return {"spec": cast.home.spec(conditions={"executortype": "nobody"})}


def specs(cast: Cast, caller: str) -> Fields:
    return {"colonyname": cast.home.name, "specs": [a_spec(cast, caller)["spec"]]}


def a_list_of_processes(cast: Cast, caller: str) -> Fields:
    return {"colonyname": cast.home.name, "count": 1}


def a_waiting_process(cast: Cast, caller: str) -> Fields:
    return {"processid": cast.waiting()}


def a_running_process(cast: Cast, caller: str) -> Fields:
    return {"processid": cast.runs_for(caller)}


def an_output(cast: Cast, caller: str) -> Fields:
    return {"processid": cast.runs_for(caller), "out": [1]}


def no_running_processes(cast: Cast, caller: str) -> Fields:
    return {"colonyname": cast.home.name, "state": 4}


def a_workflow(cast: Cast, caller: str) -> Fields:
    node = {"nodename": "n", "conditions": {"executortype": "nobody"}}
    return {"spec": {"colonyname": cast.home.name, "functionspecs": [node]}}


def a_child(cast: Cast, caller: str) -> Fields:
    return {**cast.runs_node_for(caller), "spec": cast.home.spec(conditions={"executortype": "nobody"})}


def a_waiting_workflow(cast: Cast, caller: str) -> Fields:
    return {"processgraphid": cast.workflow()["processgraphid"]}


def a_wish_for_work(cast: Cast, caller: str) -> Fields:
    cast.waiting("cli")
    cast.home.rpc.ok("resumeassignmentsmsg", cast.home.colony_key, colonyname=cast.home.name)
    return {"colonyname": cast.home.name, "timeout": -1}


def a_wish_to_follow(cast: Cast, caller: str) -> Fields:
    # the colony in the message does not count
    return {"colonyname": cast.colony_of(caller), "processid": cast.waiting(), "state": 4, "timeout": 60}


def a_wish_to_follow_all(cast: Cast, caller: str) -> Fields:
    return {"colonyname": cast.home.name, "executortype": "nobody", "state": 4, "timeout": 60}


def a_workflow_as_text(cast: Cast) -> str:
    node = {"nodename": "a", "funcname": "f", "conditions": {"executortype": "nobody"}}
    return json.dumps({"colonyname": cast.home.name, "functionspecs": [node]})


def a_cron_to_add(cast: Cast, caller: str) -> Fields:
    cron = {
        "colonyname": cast.home.name,
        "name": fresh("cron"),
        "interval": 3600,
        "workflowspec": a_workflow_as_text(cast),
    }
    return {"cron": cron}


def the_cron(cast: Cast, caller: str) -> Fields:
    added = cast.home.rpc.ok("addcronmsg", cast.home.user_key, **a_cron_to_add(cast, caller))
    return {"cronid": added["cronid"]}


def a_cron_to_update(cast: Cast, caller: str) -> Fields:
    # the colony in the message does not count
    return {"cron": {**a_cron_to_add(cast, caller)["cron"], **the_cron(cast, caller), "colonyname": ""}}


def a_generator_to_add(cast: Cast, caller: str) -> Fields:
    generator = {"colonyname": cast.home.name, "name": fresh("generator"), "trigger": 1000}
    return {"generator": {**generator, "workflowspec": a_workflow_as_text(cast)}}


def the_generator(cast: Cast, caller: str) -> Fields:
    added = cast.home.rpc.ok("addgeneratormsg", cast.home.user_key, **a_generator_to_add(cast, caller))
    return {"generatorid": added["generatorid"]}


def the_name_of_a_generator(cast: Cast, caller: str) -> Fields:
    generator = a_generator_to_add(cast, caller)["generator"]
    cast.home.rpc.ok("addgeneratormsg", cast.home.user_key, generator=generator)
    return {"colonyname": cast.home.name, "generatorname": generator["name"]}


MESSAGES: dict[str, Callable[[Cast, str], Fields]] = {
    "addcolonymsg": a_new_colony,
    "removecolonymsg": a_colony_to_remove,
    "getcoloniesmsg": nothing,
    "getcolonymsg": the_colony,
    "getcolonystatsmsg": the_colony,
    "changecolonyidmsg": the_colony_id,
    "addexecutormsg": an_executor_to_add,
    "approveexecutormsg": the_executor,
    "rejectexecutormsg": an_executor_to_lose,
    "removeexecutormsg": an_executor_to_lose,
    "getexecutorsmsg": the_colony,
    "getexecutormsg": the_executor,
    "getexecutorbyidmsg": the_executor_id,
    "reportallocationmsg": the_executor,
    "updateexecutormsg": the_executor,
    "changeexecutoridmsg": their_own_id("executorid"),
    "addusermsg": a_user_to_add,
    "getusersmsg": the_colony,
    "getusermsg": the_user,
    "getuserbyidmsg": the_user_id,
    "removeusermsg": a_user_to_remove,
    "changeuseridmsg": their_own_id("userid"),
    "addfunctionmsg": a_function_to_add,
    "getfunctionsmsg": the_colony,
    "removefunctionmsg": a_function_to_remove,
    "addattributemsg": an_attribute_to_add,
    "getattributemsg": the_attribute,
    "addlocationmsg": a_location_to_add,
    "getlocationsmsg": the_colony,
    "getlocationmsg": the_location,
    "removelocationmsg": the_location,
    "getstatisticsmsg": nothing,
    "getclustermsg": nothing,
    "changeserveridmsg": the_server_id,
    "versionmsg": nothing,
    "getserverinfomsg": nothing,
    "addlogmsg": a_log_line,
    "addexecutorlogmsg": a_log_line_of_the_executor,
    "getlogsmsg/process": the_log_of_the_process,
    "getlogsmsg/executor": the_log_of_the_executor,
    "searchlogsmsg": a_search,
    "submitfuncspecmsg": a_spec,
    "kolonysubmitfuncspecsmsg": specs,
    "getprocessmsg": a_waiting_process,
    "getprocessesmsg": a_list_of_processes,
    "getprocesshistmsg": the_colony,
    "closesuccessfulmsg": a_running_process,
    "closefailedmsg": a_running_process,
    "setoutputmsg": an_output,
    "cancelprocessmsg": a_waiting_process,
    "removeprocessmsg": a_waiting_process,
    "removeallprocessesmsg": no_running_processes,
    "submitworkflowspecmsg": a_workflow,
    "addchildmsg": a_child,
    "getprocessgraphmsg": a_waiting_workflow,
    "getprocessgraphsmsg": a_list_of_processes,
    "cancelprocessgraphmsg": a_waiting_workflow,
    "removeprocessgraphmsg": a_waiting_workflow,
    "removeallprocessgraphsmsg": no_running_processes,
    "assignprocessmsg": a_wish_for_work,
    "pauseassignmentsmsg": the_colony,
    "resumeassignmentsmsg": the_colony,
    "getpausestatusmsg": the_colony,
    "addcronmsg": a_cron_to_add,
    "getcronmsg": the_cron,
    "getcronsmsg": the_colony,
    "runcronmsg": the_cron,
    "removecronmsg": the_cron,
    "kolonyupdatecronmsg": a_cron_to_update,
    "kolonypausecronmsg": the_cron,
    "kolonyresumecronmsg": the_cron,
    "addgeneratormsg": a_generator_to_add,
    "getgeneratormsg": the_generator,
    "resolvegeneratormsg": the_name_of_a_generator,
    "getgeneratorsmsg": the_colony,
    "packgeneratormsg": the_generator,
    "removegeneratormsg": the_generator,
    "subscribeprocessmsg": a_wish_to_follow,
    "subscribeprocessesmsg": a_wish_to_follow_all,
}


def payload_type(row: str) -> str:
    return row.split("/")[0]


def told(cast: Cast, row: str, caller: str, fields: Fields) -> str:
    """What the caller is told, in the form of the expectations."""
    key, msgtype = cast.keys[caller], payload_type(row)
    if msgtype not in SUBSCRIPTIONS:
        answer = cast.home.rpc.call(msgtype, key, **fields)
        return "200" if answer.status == 200 and not answer.error else "{} {}".format(*refusal(answer))
    with open_socket(cast.home.server) as socket:
        socket.send(msgtype, key, **fields)
        if key is None:
            return "ends" if socket.ended() else "stays"
        answer = socket.answers_next(key)
        # an accepted subscription says nothing, so the next to speak is the refusal of the request after it
        probed = answer.message.endswith("msg.msgType does not match rpcMsg.PayloadType")
        return "200" if probed else "{} {}".format(*refusal(answer))


def replaced(fields: Fields, path: str, value: str | None) -> Fields:
    """The fields with one replaced, which may lie in an object."""
    changed = deepcopy(fields)
    *outer, last = path.split(".")
    place = changed
    for name in outer:
        place = place[name]
    place[last] = value
    return changed


@pytest.mark.parametrize("expected", CELLS, ids=lambda cell: f"{cell.row}-{cell.caller}")
def test_who_may(cast: Cast, expected: Expected) -> None:
    fields = MESSAGES[expected.row](cast, expected.caller)
    caller = cast.keys[expected.caller]
    answer = expected.answer.format(
        colony=cast.home.name,
        executorid=cast.key("executor").identity,
        caller=caller and caller.identity,
        parentprocessid=fields.get("parentprocessid"),
    )
    assert told(cast, expected.row, expected.caller, fields) == answer


@pytest.mark.parametrize("expected", ABSENT, ids=str)
def test_what_does_not_exist(cast: Cast, expected: Absent) -> None:
    name = fresh("nobody")
    fields = MESSAGES[expected.row](cast, expected.caller)
    value = None if expected.value == "null" else expected.value.format(name=name)
    answer = told(cast, expected.row, expected.caller, replaced(fields, expected.field, value))
    assert answer == expected.answer.format(name=name)


def test_every_payload_type_has_its_row() -> None:
    rows = {payload_type(cell.row) for cell in CELLS}
    assert set(registry()) | UNSIGNED | SUBSCRIPTIONS == rows


def test_every_row_has_its_message() -> None:
    assert {cell.row for cell in CELLS} == set(MESSAGES)
