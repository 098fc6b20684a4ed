"""The Python client of ColonyOS, as published, against our server: nothing in it has to know the difference."""

from __future__ import annotations

import ast
import gc
import inspect
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pycolonies
import pytest
from colonies import Colony, RunningServer, free_port
from pycolonies import (
    Colonies,
    ColoniesConnectionError,
    Conditions,
    Crypto,
    FuncSpec,
    Process,
    Workflow,
    func_spec,
)

from kolony.crypto import PrivateKey, recover

# It leaves the socket of a subscription to the garbage collector.
pytestmark = pytest.mark.filterwarnings("ignore:unclosed <socket:ResourceWarning")

NATIVE_LIBRARY = Path("/usr/local/lib/libcryptolib.so")
"""The compiled crypto that ``native_crypto=True`` needs; it is not part of the package."""

CRYPTO = [False, True] if NATIVE_LIBRARY.exists() else [False]

WAITING = {
    "files and snapshots": {
        "create_snapshot",
        "delete_file",
        "download_data",
        "download_file",
        "get_file",
        "get_file_labels",
        "get_files",
        "get_snapshot_by_id",
        "get_snapshot_by_name",
        "get_snapshots",
        "sync",
        "upload_data",
        "upload_file",
    },
    "channels": {"channel_append", "channel_read", "subscribe_channel"},
    "blueprints": {
        "add_blueprint",
        "add_blueprint_definition",
        "get_blueprint",
        "get_blueprint_definition",
        "get_blueprint_definitions",
        "get_blueprint_history",
        "get_blueprints",
        "reconcile_blueprint",
        "remove_blueprint",
        "remove_blueprint_definition",
        "update_blueprint",
        "update_blueprint_status",
    },
}
"""Methods for what the server does not have yet."""

UNSET = datetime(1, 1, 1, tzinfo=UTC)


def methods_called_here() -> set[str]:
    """The methods that this module calls on something named ``client``."""
    return {
        node.func.attr
        for node in ast.walk(ast.parse(Path(__file__).read_text()))
        if isinstance(node, ast.Call)
        and isinstance(node.func, ast.Attribute)
        and isinstance(node.func.value, ast.Name)
        and node.func.value.id == "client"
    }


@pytest.fixture(params=CRYPTO, ids=["native" if native else "python" for native in CRYPTO])
def client(request: pytest.FixtureRequest, server: RunningServer) -> Iterator[Colonies]:
    yield Colonies(server.host, server.port, native_crypto=request.param)
    gc.collect()


@pytest.fixture
def user(colony: Colony) -> str:
    return colony.user_key.hex


@pytest.fixture
def owner(colony: Colony) -> str:
    return colony.colony_key.hex


@pytest.fixture
def executor(colony: Colony) -> str:
    """The key of an approved executor named e1, of type cli."""
    return colony.add_executor("e1").hex


@contextmanager
def refused(text: str) -> Iterator[None]:
    """The server refuses what the block asks for, in these words."""
    with pytest.raises(ColoniesConnectionError) as caught:
        yield
    assert str(caught.value) == text


def echo(colony: Colony, **fields: Any) -> FuncSpec:
    return FuncSpec(
        **{
            "funcname": "echo",
            "args": ["hi", 1],
            "maxexectime": -1,
            "maxwaittime": -1,
            "conditions": Conditions(colonyname=colony.name, executortype="cli"),
            **fields,
        }
    )


def running(client: Colonies, colony: Colony, executor: str) -> Process:
    """A process that the executor runs."""
    client.submit_func_spec(echo(colony), colony.user_key.hex)
    return client.assign(colony.name, 10, executor)


def test_every_method_is_called_or_waits_for_its_family() -> None:
    methods = {name for name, _ in inspect.getmembers(Colonies, inspect.isfunction) if not name.startswith("_")}
    waiting = set().union(*WAITING.values())
    assert methods_called_here() | waiting == methods
    assert methods_called_here() & waiting == set()


def test_the_states_have_the_numbers_of_the_client() -> None:
    assert (Colonies.WAITING, Colonies.RUNNING, Colonies.SUCCESSFUL, Colonies.FAILED) == (0, 1, 2, 3)


@pytest.mark.parametrize("native", CRYPTO)
def test_keys_identities_and_signatures_are_ours(native: bool) -> None:
    crypto = Crypto(native)
    for number in range(20):
        key = crypto.prvkey()
        payload = f"payload {number}"
        signature = crypto.sign(payload, key)
        assert crypto.id(key) == PrivateKey(key).identity
        assert recover(payload.encode(), signature) == crypto.id(key)


def test_a_server_that_is_away_is_a_connection_error(user: str) -> None:
    client = Colonies("127.0.0.1", free_port())
    with pytest.raises(ColoniesConnectionError, match="Connection refused"):
        client.stats("dev", user)


def test_colonies(client: Colonies, server: RunningServer, user: str) -> None:
    server_owner = server.server_key.hex
    identity = PrivateKey.generate().identity
    name = f"py-{identity[:12]}"
    colony = {"colonyid": identity, "name": name}

    assert client.add_colony(colony, server_owner) == colony
    assert colony in client.list_colonies(server_owner)
    with refused(f"A Colony with name <{name}> already exists"):
        client.add_colony(colony, server_owner)
    with refused("Access denied, not server owner"):
        client.list_colonies(user)
    with refused("Access denied, not server owner"):
        client.del_colony(name, user)

    assert client.del_colony(name, server_owner) == {}
    assert colony not in client.list_colonies(server_owner)
    with refused(f"Colony with name <{name}> not found"):
        client.del_colony(name, server_owner)


def test_a_colony_is_shown_to_its_members(client: Colonies, colony: Colony, user: str, owner: str) -> None:
    assert client.get_colony(colony.name, user) == {"colonyid": colony.colony_key.identity, "name": colony.name}
    with refused("Colony with name <nowhere> does not exists"):
        client.get_colony("nowhere", user)
    with refused(f"Access denied, not a member of Colony with name <{colony.name}>"):
        client.get_colony(colony.name, owner)


def test_users(client: Colonies, colony: Colony, user: str, owner: str) -> None:
    key = PrivateKey.generate()
    bob = {
        "colonyname": colony.name,
        "userid": key.identity,
        "name": "bob",
        "email": "bob@example.org",
        "phone": "+46 1",
    }

    assert client.add_user(bob, owner) == bob
    assert [each["name"] for each in client.get_users(colony.name, key.hex)] == ["alice", "bob"]
    with refused(f"A user with name <bob> already exists in Colony with name <{colony.name}>"):
        client.add_user(bob, owner)
    with refused("Access denied, not colony owner"):
        client.remove_user(colony.name, "bob", user)

    assert client.remove_user(colony.name, "bob", owner) == {}
    assert [each["name"] for each in client.get_users(colony.name, user)] == ["alice"]
    with refused("User with name <bob> not found"):
        client.remove_user(colony.name, "bob", owner)
    with refused(f"Access denied, not a member of Colony with name <{colony.name}>"):
        client.get_users(colony.name, key.hex)


def test_executors_are_added_approved_rejected_and_removed(
    client: Colonies, colony: Colony, user: str, owner: str
) -> None:
    key = PrivateKey.generate()
    given = {
        "executorid": key.identity,
        "executortype": "cli",
        "executorname": "e1",
        "colonyname": colony.name,
        "locationname": "Umeå",
        "capabilities": {
            "hardware": [{"model": "m", "cpu": "4000m", "mem": "16Gi", "gpu": {"name": "a100", "count": 2}}],
            "software": [{"name": "python", "type": "interpreter", "version": "3.11"}],
        },
    }
    added = client.add_executor(given, owner)
    assert added["state"] == 0
    assert {name: added[name] for name in ("executorid", "executortype", "executorname", "colonyname")} == {
        name: given[name] for name in ("executorid", "executortype", "executorname", "colonyname")
    }
    assert added["locationname"] == "Umeå"
    assert added["capabilities"]["hardware"][0]["gpu"] == {"name": "a100", "mem": "", "count": 2, "nodecount": 0}
    assert added["capabilities"]["software"] == given["capabilities"]["software"]
    with refused(f"Executor with name <e1> in Colony <{colony.name}> already exists"):
        client.add_executor(given, owner)
    with refused("Access denied, not colony owner"):
        client.approve_executor(colony.name, "e1", user)

    for change, state in (
        (client.approve_executor, 1),
        (client.reject_executor, 2),
        (client.approve_executor, 1),
        (client.remove_executor, 3),
        (client.remove_executor, 3),
    ):
        assert change(colony.name, "e1", owner) == {}
        assert client.get_executor(colony.name, "e1", user)["state"] == state
    assert [(each["executorname"], each["state"]) for each in client.list_executors(colony.name, user)] == [("e1", 3)]


def test_an_executor_that_is_not_there_is_said_to_be_nil(
    client: Colonies, colony: Colony, user: str, owner: str
) -> None:
    with refused("Failed to get executor, executor is nil"):
        client.get_executor(colony.name, "e9", user)
    with refused("Failed to approve executor, executor is nil"):
        client.approve_executor(colony.name, "e9", owner)
    with refused("Failed to reject executor, executor is nil"):
        client.reject_executor(colony.name, "e9", owner)
    with refused("Failed to remove executor, executor is nil"):
        client.remove_executor(colony.name, "e9", owner)
    assert client.list_executors(colony.name, user) is None


def test_functions(client: Colonies, colony: Colony, user: str, executor: str) -> None:
    other = colony.add_executor("e2").hex
    added = client.add_function(colony.name, "e1", "echo", executor)
    client.add_function(colony.name, "e2", "sum", other)
    assert (added["executorname"], added["funcname"], added["counter"]) == ("e1", "echo", 0)
    with refused("Not allowed to add a function to another executor"):
        client.add_function(colony.name, "e1", "echo", other)

    assert client.get_functions_by_executor(colony.name, "e1", user) == [added]
    assert client.get_functions_by_executor(colony.name, "e9", user) is None
    assert [each["funcname"] for each in client.get_functions_by_colony(colony.name, user)] == ["echo", "sum"]

    client.close(running(client, colony, executor).processid, ["done"], executor)
    (counted,) = client.get_functions_by_executor(colony.name, "e1", user)
    assert counted["counter"] == 1
    assert 0 < counted["minexectime"] == counted["maxexectime"] == counted["avgexectime"] < 60


def test_a_process_is_submitted_run_and_closed(client: Colonies, colony: Colony, user: str, executor: str) -> None:
    spec = echo(
        colony,
        nodename="n1",
        kwargs={"name": "value", "names": ["a", "b"]},
        priority=3,
        maxwaittime=60,
        maxexectime=30,
        maxretries=2,
        label="lab",
        env={"KEY": "VALUE"},
        conditions=Conditions(colonyname=colony.name, executortype="cli", executornames=["e1"], cpu="1000m", mem="1Gi"),
    )
    submitted = client.submit_func_spec(spec, user)
    assert submitted.state == Colonies.WAITING
    assert (submitted.initiatorid, submitted.initiatorname) == (colony.user_key.identity, "alice")
    assert (submitted.starttime, submitted.endtime, submitted.execdeadline) == (UNSET, UNSET, UNSET)
    assert submitted.waitdeadline - submitted.submissiontime == timedelta(seconds=60)
    assert submitted.spec.conditions.mem == "1024Mi"
    assert submitted.spec.model_copy(update={"conditions": None, "fs": None}) == spec.model_copy(
        update={"conditions": None, "fs": None}
    )
    (attribute,) = submitted.attributes
    assert (attribute.key, attribute.value, attribute.attributetype) == ("KEY", "VALUE", 3)

    assigned = client.assign(colony.name, 10, executor)
    assert assigned.processid == submitted.processid
    assert (assigned.state, assigned.isassigned) == (Colonies.RUNNING, True)
    assert assigned.assignedexecutorid == PrivateKey(executor).identity
    assert assigned.execdeadline - assigned.starttime == timedelta(seconds=30)
    assert assigned.spec == submitted.spec

    assert client.set_output(assigned.processid, ["so", "far"], executor) == {}
    assert client.get_process(assigned.processid, user).output == ["so", "far"]
    assert client.close(assigned.processid, ["done", 2, 1.5], executor) == {}
    closed = client.get_process(assigned.processid, user)
    assert (closed.state, closed.output, closed.errors) == (Colonies.SUCCESSFUL, ["done", 2, 1.5], [])
    assert closed.endtime > closed.starttime >= closed.submissiontime
    assert client.close(assigned.processid, ["again"], executor) == {}
    assert client.get_process(assigned.processid, user).output == ["done", 2, 1.5]


def test_a_process_fails(client: Colonies, colony: Colony, user: str, executor: str) -> None:
    process = running(client, colony, executor)
    assert client.fail(process.processid, ["division by zero", "at line 3"], executor) == {}
    failed = client.get_process(process.processid, user)
    assert (failed.state, failed.errors) == (Colonies.FAILED, ["division by zero", "at line 3"])
    with refused("Tried to set failed process as failed"):
        client.fail(process.processid, [], executor)
    with refused("Tried to set failed process as successful"):
        client.close(process.processid, [], executor)


def test_only_the_executor_that_runs_a_process_may_end_it(client: Colonies, colony: Colony, executor: str) -> None:
    other = colony.add_executor("e2").hex
    process = running(client, colony, executor)
    with refused("Failed to close process as successful, not allowed to close process as successful"):
        client.close(process.processid, [], other)
    with refused("Failed to close process as failed, not allowed to close process as failed"):
        client.fail(process.processid, [], other)
    with refused("Failed to close process as successful, not allowed to close process as successful"):
        client.set_output(process.processid, ["x"], other)


def test_an_executor_waits_for_work(client: Colonies, colony: Colony, user: str, executor: str) -> None:
    with ThreadPoolExecutor(1) as thread:
        waiting = thread.submit(client.assign, colony.name, 30, executor)
        submitted = client.submit_func_spec(echo(colony), user)
        assert waiting.result(20).processid == submitted.processid
    with refused("No process available for assignment"):
        client.assign(colony.name, 1, executor)
    with refused("Invalid timeout value, timeout cannot be zero"):
        client.assign(colony.name, 0, executor)
    with refused("Failed to assign process, executor not found"):
        client.assign(colony.name, 1, user)


def test_waiting_for_a_process_ends_with_its_success(
    client: Colonies, colony: Colony, user: str, executor: str
) -> None:
    process = running(client, colony, executor)
    with ThreadPoolExecutor(1) as thread:
        waiting = thread.submit(client.wait, process, 30, user)
        client.close(process.processid, ["done"], executor)
        ended = waiting.result(20)
    assert (ended.state, ended.output) == (Colonies.SUCCESSFUL, ["done"])
    assert client.wait(ended, 30, user).output == ["done"]


def test_waiting_for_a_process_ends_with_its_time(client: Colonies, colony: Colony, user: str) -> None:
    process = client.submit_func_spec(echo(colony), user)
    assert client.wait(process, 1, user) == process


def test_processes_are_listed_and_removed(
    client: Colonies, colony: Colony, user: str, owner: str, executor: str
) -> None:
    assert client.list_processes(colony.name, 10, Colonies.WAITING, user) is None
    late, early, last = (
        client.submit_func_spec(echo(colony, nodename=name, priority=priority), user)
        for name, priority in (("late", 0), ("early", 1), ("last", -1))
    )
    listed = client.list_processes(colony.name, 2, Colonies.WAITING, user)
    assert [each["processid"] for each in listed] == [early.processid, late.processid]
    with refused("Count is larger than MaxCount limit <100>"):
        client.list_processes(colony.name, 101, Colonies.WAITING, user)

    ids = [late.processid, early.processid, last.processid]
    assert client.find_process("early", ids, user) == early
    assert client.find_process("missing", ids, user) is None

    assert client.remove_process(early.processid, user) == {}
    with refused("Failed to get process, process not found"):
        client.get_process(early.processid, user)
    with refused("Failed to remove process, process is nil"):
        client.remove_process(early.processid, user)
    assert client.assign(colony.name, 10, executor).processid == late.processid
    with refused("Failed to remove process, cannot remove a running process"):
        client.remove_process(late.processid, user)

    with refused("Not possible to remove running processes"):
        client.remove_all_processes(colony.name, owner, state=Colonies.RUNNING)
    assert client.remove_all_processes(colony.name, owner, state=Colonies.WAITING) == {}
    assert client.list_processes(colony.name, 10, Colonies.WAITING, user) is None
    assert client.get_process(late.processid, user).state == Colonies.RUNNING
    assert client.remove_all_processes(colony.name, owner) == {}
    with refused("Failed to close process as successful, process is nil"):
        client.close(late.processid, [], executor)


def test_attributes(client: Colonies, colony: Colony, user: str, executor: str) -> None:
    process = running(client, colony, executor)
    added = client.add_attribute(process.processid, "accuracy", "0.93", executor)
    assert {name: added[name] for name in ("targetid", "targetcolonyname", "attributetype", "key", "value")} == {
        "targetid": process.processid,
        "targetcolonyname": colony.name,
        "attributetype": 1,
        "key": "accuracy",
        "value": "0.93",
    }
    assert client.get_attribute(added["attributeid"], user) == added
    with refused("Attribute does not exists"):
        client.get_attribute("0" * 64, user)
    with refused("Failed to add attribute, process not found"):
        client.add_attribute("0" * 64, "accuracy", "0.93", executor)
    client.close(process.processid, [], executor)
    with refused("Failed to add attribute, process is not running"):
        client.add_attribute(process.processid, "late", "1", executor)


def test_logs(client: Colonies, colony: Colony, user: str, executor: str) -> None:
    process = running(client, colony, executor)
    assert client.get_process_log(colony.name, process.processid, 10, -1, user) is None
    for line in ("one\n", "två\n", "three\n"):
        assert client.add_log(process.processid, line, executor) == {}

    (first,) = client.get_process_log(colony.name, process.processid, 1, -1, user)
    assert (first["message"], first["executorname"]) == ("one\n", "e1")
    rest = client.get_process_log(colony.name, process.processid, 10, first["timestamp"], user)
    assert [entry["message"] for entry in rest] == ["två\n", "three\n"]
    assert client.get_executor_log(colony.name, "e1", 10, -1, user) == [first, *rest]

    with refused("Failed to add log, not allowed to add log, only the assigned Executor may att logs"):
        client.add_log(process.processid, "mine", colony.add_executor("e2").hex)
    with refused("Failed to get logs, process does not exist"):
        client.get_process_log(colony.name, "0" * 64, 10, -1, user)
    with refused("Failed to get logs, executor does not exist"):
        client.get_executor_log(colony.name, "e9", 10, -1, user)
    with refused("Count exceeds max log count (500)"):
        client.get_process_log(colony.name, process.processid, 501, -1, user)


def test_statistics(client: Colonies, colony: Colony, user: str, executor: str) -> None:
    client.close(running(client, colony, executor).processid, [], executor)
    client.fail(running(client, colony, executor).processid, [], executor)
    running(client, colony, executor)
    client.submit_func_spec(echo(colony), user)
    colony.add_executor("pending", approve=False)

    counted = client.stats(colony.name, user)
    assert {name: number for name, number in counted.items() if number} == {
        "colonies": 1,
        "executors": 2,
        "activeexecutors": 1,
        "waitingprocesses": 1,
        "runningprocesses": 1,
        "successfulprocesses": 1,
        "failedprocesses": 1,
    }
    with refused("Colony with name <nowhere> not found"):
        client.stats("nowhere", user)


def diamond(colony: Colony, **fields: Any) -> Workflow:
    """A workflow of the nodes a, b, c and d."""
    parents: dict[str, list[str]] = {"a": [], "b": ["a"], "c": ["a"], "d": ["b", "c"]}
    specs = [
        echo(
            colony,
            nodename=name,
            conditions=Conditions(colonyname=colony.name, executortype="cli", dependencies=dependencies),
        )
        for name, dependencies in parents.items()
    ]
    return Workflow(**{"colonyname": colony.name, "functionspecs": specs, **fields})


def test_a_workflow_is_submitted_and_run(client: Colonies, colony: Colony, user: str, executor: str) -> None:
    submitted = client.submit_workflow(diamond(colony), user)
    assert (submitted.state, submitted.colonyname) == (Colonies.WAITING, colony.name)
    assert (submitted.initiatorid, submitted.initiatorname) == (colony.user_key.identity, "alice")
    assert (submitted.starttime, submitted.endtime) == (UNSET, UNSET)
    a, b, c, d = submitted.processids
    assert submitted.rootprocessids == [a]
    process = client.get_process(d, user)
    assert (process.parents, process.waitforparents, process.spec.nodename) == ([b, c], True, "d")
    assert process.processgraphid == submitted.processgraphid

    drawn = client.get_processgraph(submitted.processgraphid, user)
    assert drawn.processids == [a, b, d, c]
    assert {node.data["label"]: (node.position.x, node.position.y, node.type) for node in drawn.nodes} == {
        "a": (100, 0, "input"),
        "b": (0, 80, ""),
        "c": (200, 80, ""),
        "d": (100, 160, "output"),
    }
    assert {node.style["background"] for node in drawn.nodes} == {"#eee8d8"}
    assert sorted((edge.source, edge.target) for edge in drawn.edges) == sorted([(a, b), (a, c), (b, d), (c, d)])

    inputs = []
    for output in (["A"], ["b1", "b2"], [], ["D"]):
        assigned = client.assign(colony.name, 10, executor)
        inputs.append(assigned.input)
        assert client.get_processgraph(submitted.processgraphid, user).state == Colonies.RUNNING
        client.close(assigned.processid, output, executor)
    assert inputs == [[], ["A"], ["A"], ["b1", "b2"]]
    ended = client.get_processgraph(submitted.processgraphid, user)
    assert ended.state == Colonies.SUCCESSFUL
    assert ended.endtime > ended.starttime >= ended.submissiontime


def test_a_workflow_fails(client: Colonies, colony: Colony, user: str, executor: str) -> None:
    submitted = client.submit_workflow(diamond(colony), user)
    client.fail(client.assign(colony.name, 10, executor).processid, ["no"], executor)
    failed = client.get_processgraph(submitted.processgraphid, user)
    assert failed.state == Colonies.FAILED
    assert {client.get_process(each, user).state for each in failed.processids} == {Colonies.FAILED}
    assert [each["processgraphid"] for each in client.get_processgraphs(colony.name, 10, user, Colonies.FAILED)] == [
        submitted.processgraphid
    ]


def test_a_wrong_workflow_is_refused_and_leaves_nothing(
    client: Colonies, colony: Colony, user: str, executor: str
) -> None:
    a, b, *_ = diamond(colony).functionspecs
    unknown = "Failed to submit workflow, invalid dependencies, are you depending on a nodename that does not exits?"
    with refused("Duplicate nodename: a"):
        client.submit_workflow(diamond(colony, functionspecs=[a, b, a]), user)
    with refused("Nodename is missing, check function spec for errors"):
        client.submit_workflow(diamond(colony, functionspecs=[a.model_copy(update={"nodename": ""})]), user)
    with refused(f"{unknown} Node <b> depends on <a>"):
        client.submit_workflow(diamond(colony, functionspecs=[b]), user)
    with refused(f"Access denied, not a member of Colony with name <{colony.name}>"):
        client.submit_workflow(diamond(colony), PrivateKey.generate().hex)
    assert client.get_processgraphs(colony.name, 10, user) is None
    with refused("Failed to get processgraph, graph is nil"):
        client.get_processgraph("0" * 64, user)


def test_children_are_added_to_a_running_process(client: Colonies, colony: Colony, user: str, executor: str) -> None:
    submitted = client.submit_workflow(diamond(colony), user)
    graph, (a, b, c, d) = submitted.processgraphid, submitted.processids
    spec = echo(colony)
    with refused(f"Process with Id {a} is not running"):
        client.add_child(graph, a, b, spec, "n", False, executor)
    client.assign(colony.name, 10, executor)
    other = colony.add_executor("e2").hex
    with refused(f"Process with Id {a} is not assigned to executor with Id {PrivateKey(other).identity}"):
        client.add_child(graph, a, b, spec, "n", False, other)

    added = client.add_child(graph, a, d, spec, "n", False, executor)
    assert (added["spec"]["nodename"], added["parents"], added["children"]) == ("n", [a], [d])
    assert client.get_process(d, user).parents == [b, c, added["processid"]]
    first = client.add_child(graph, a, "", spec, "first", True, executor)
    assert (first["parents"], set(first["children"])) == ([a], {b, c, added["processid"]})
    client.close(a, [], executor)
    assert client.assign(colony.name, 10, executor).processid == first["processid"]
    assert len(client.get_processgraph(graph, user).processids) == 6

    alone = running(client, colony, other)
    with refused(f"Process with Id {alone.processid} does not belong to a processgraph"):
        client.add_child(graph, alone.processid, "", spec, "n", False, other)


def test_workflows_are_listed_and_removed(
    client: Colonies, colony: Colony, user: str, owner: str, executor: str
) -> None:
    older, newer = (client.submit_workflow(diamond(colony), user).processgraphid for _ in range(2))
    listed = client.get_processgraphs(colony.name, 10, user)
    assert [(each["processgraphid"], len(each["processids"])) for each in listed] == [(newer, 4), (older, 4)]
    assert [each["processgraphid"] for each in client.get_processgraphs(colony.name, 1, user)] == [newer]
    with refused("Count is larger than MaxCount limit <100>"):
        client.get_processgraphs(colony.name, 101, user)
    with refused("invalid msg.State"):
        client.get_processgraphs(colony.name, 10, user, 5)
    # it asks for processes in state -1, which ColonyOS refuses as well
    with refused("Failed to get processes, invalid msg.State"):
        client.get_processes_for_workflow(older, colony.name, user)

    root = client.assign(colony.name, 10, executor)
    assert root.processgraphid == older
    with refused("Failed to remove processgraph, cannot remove a running processgraph"):
        client.remove_processgraph(older, user)
    with refused("Failed to remove, cannot remove a process part of a workflow, delete the entire workflow instead"):
        client.remove_process(root.processid, user)
    assert client.remove_processgraph(newer, user) == {}
    with refused("Failed to remove processgraph, graph is nil"):
        client.remove_processgraph(newer, user)

    client.submit_workflow(diamond(colony), user)
    with refused("Access denied, not colony owner"):
        client.remove_all_processgraphs(colony.name, user)
    with refused("not possible to remove running processgraphs"):
        client.remove_all_processgraphs(colony.name, owner, Colonies.RUNNING)
    assert client.remove_all_processgraphs(colony.name, owner) == {}
    assert client.get_processgraphs(colony.name, 10, user) is None
    assert client.get_processgraph(older, user).state == Colonies.RUNNING
    assert client.remove_all_processgraphs(colony.name, owner, -1) == {}
    with refused("Failed to get process, process not found"):
        client.get_process(root.processid, user)


def test_a_spec_made_by_the_helper_runs(client: Colonies, colony: Colony, user: str, executor: str) -> None:
    spec = func_spec("echo", ["a"], colony.name, "cli", executorname="e1", priority=0, maxexectime=5, kwargs={"k": "v"})
    submitted = client.submit_func_spec(spec, user)
    assigned = client.assign(colony.name, 10, executor)
    assert assigned.processid == submitted.processid
    assert (assigned.spec.args, assigned.spec.kwargs, assigned.spec.maxretries) == (["a"], {"k": "v"}, -1)


def test_a_client_is_made_from_the_environment(
    colony: Colony, user: str, owner: str, executor: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = {
        "SERVER_HOST": colony.host,
        "SERVER_PORT": str(colony.port),
        "SERVER_TLS": "false",
        "TLS": "false",
        "COLONY_NAME": colony.name,
        "COLONY_PRVKEY": owner,
        "EXECUTOR_NAME": "e1",
        "PRVKEY": executor,
    }
    for name, value in settings.items():
        monkeypatch.setenv(f"COLONIES_{name}", value)
    client, colonyname, colony_key, executorname, key = pycolonies.colonies_client()
    assert (colonyname, colony_key, executorname, key) == (colony.name, owner, "e1", executor)
    client.submit_func_spec(echo(colony), user)
    assert client.assign(colonyname, 10, key).state == Colonies.RUNNING


def workflow(colony: Colony) -> Workflow:
    """A workflow as the client writes it."""
    return Workflow(colonyname=colony.name, functionspecs=[echo(colony, nodename="a")])


def test_crons(client: Colonies, colony: Colony, user: str, executor: str) -> None:
    assert client.get_crons(colony.name, 10, user) == []
    added = client.add_cron("nightly", "0 0 2 * * *", True, workflow(colony), colony.name, user)
    assert (added["name"], added["cronexpression"], added["interval"]) == ("nightly", "0 0 2 * * *", -1)
    # It misspells the field, here as in its own server.
    assert added["waitforprevprocessgraph"] is False
    with refused(f"Cron with name <nightly> in Colony <{colony.name}> already exists"):
        client.add_cron("nightly", "0 0 2 * * *", True, workflow(colony), colony.name, user)
    with refused("expected exactly 6 fields, found 5: [0 2 * * *]"):
        client.add_cron("wrong", "0 2 * * *", True, workflow(colony), colony.name, user)

    cronid = added["cronid"]
    assert [each["cronid"] for each in client.get_crons(colony.name, 10, user)] == [cronid]
    assert client.get_cron(cronid, user)["checkerperiod"] == 1000
    ran = client.run_cron(cronid, user)
    assert ran["prevprocessgraphid"] == client.get_cron(cronid, user)["prevprocessgraphid"] != ""
    process = client.assign(colony.name, 10, executor)
    assert (process.processgraphid, process.spec.funcname) == (ran["prevprocessgraphid"], "echo")

    assert client.del_cron(cronid, user) == {}
    with refused("Failed to get cron, cron is nil"):
        client.get_cron(cronid, user)
    with refused("cron not found"):
        client.run_cron(cronid, user)
    with refused("Failed to remove cron, cron is nil"):
        client.del_cron(cronid, user)


def test_generators(client: Colonies, colony: Colony, user: str, executor: str) -> None:
    assert client.get_generators(colony.name, user) is None
    generator = {
        "colonyname": colony.name,
        "name": "g1",
        "trigger": 2,
        "timeout": -1,
        "workflowspec": workflow(colony).model_dump_json(by_alias=True),
    }
    added = client.add_generator(generator, user)
    assert {name: added[name] for name in generator} == generator
    with refused(f"Generator with name <g1> in Colony <{colony.name}> already exists"):
        client.add_generator(generator, user)

    generatorid = added["generatorid"]
    assert [each["generatorid"] for each in client.get_generators(colony.name, user, count=5)] == [generatorid]
    assert client.get_generator(generatorid, user)["queuesize"] == 0
    # It has no method to pack.
    for arg in ("x", "y"):
        colony.rpc.ok("packgeneratormsg", colony.user_key, generatorid=generatorid, arg=arg)
    assert client.assign(colony.name, 20, executor).spec.args == ["x", "y"]

    assert client.remove_generator(generatorid, user) == {}
    with refused("Failed to get generator, generator is nil"):
        client.get_generator(generatorid, user)
    with refused("Failed to remove generator, generator is nil"):
        client.remove_generator(generatorid, user)
