"""Every call of the client against a real server, awaited and blocking."""

from __future__ import annotations

import ast
import asyncio
import time
from collections import abc
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from colonies import Colony as TrialColony
from colonies import RunningServer
from msgspec import UNSET
from proxy import Fate, Proxy

from kolony import (
    AsyncClient,
    Client,
    Cron,
    FunctionSpec,
    Generator,
    Graph,
    PrivateKey,
    ProcessState,
    WorkflowSpec,
)
from kolony.errors import (
    BadRequest,
    ConfigurationError,
    ConnectionLost,
    Forbidden,
    KolonyError,
    NotFound,
    ServerError,
    Unavailable,
    WaitTimeout,
)
from kolony.model import (
    Allocations,
    Attribute,
    AttributeType,
    Capabilities,
    Colony,
    Conditions,
    Executor,
    ExecutorState,
    Function,
    Location,
    Project,
    Software,
    User,
)
from kolony.sdk.api import Api, Method, Stream
from kolony.sdk.retries import NO_RETRY, Retry
from kolony.sdk.settings import Options
from kolony.sdk.specs import make_spec, named
from kolony.wire.processes import GetProcess


class Awaitable:
    """A client that blocks, or one of its families, as if it were one that is awaited."""

    def __init__(self, inner: Any) -> None:
        self._inner = inner

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._inner, name)
        if isinstance(found, Api):
            return Awaitable(found)
        if isinstance(vars(type(self._inner)).get(name), Stream):
            return lambda *args, **kwargs: _awaitable_items(found(*args, **kwargs))

        async def call(*args: Any, **kwargs: Any) -> Any:
            return await asyncio.to_thread(found, *args, **kwargs)

        return call


async def _awaitable_items(items: abc.Generator[Any, None, None]) -> AsyncIterator[Any]:
    end = object()
    try:
        while (item := await asyncio.to_thread(next, items, end)) is not end:
            yield item
    finally:
        await asyncio.to_thread(items.close)


def options(colony: TrialColony, **more: Any) -> Options:
    return {
        "host": colony.host,
        "port": colony.port,
        "tls": False,
        "colony": colony.name,
        "key": colony.user_key,
        "colony_key": colony.colony_key,
        "server_key": colony.server_key,
        **more,
    }


@pytest.fixture(params=["awaited", "blocking"])
async def client(request: pytest.FixtureRequest, colony: TrialColony) -> AsyncIterator[Any]:
    """The user's client, which has the owners' keys too."""
    if request.param == "awaited":
        async with AsyncClient(**options(colony)) as awaited:
            yield awaited
    else:
        blocking = Client(**options(colony))
        yield Awaitable(blocking)
        await asyncio.to_thread(blocking.close)


def test_every_call_is_tested() -> None:
    """The guard of this file: a call that no test makes is no call that works."""
    made = {
        (node.value.attr, node.attr)
        for node in ast.walk(ast.parse(Path(__file__).read_text()))
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Attribute)
    }
    families = {name: type(value) for name, value in vars(AsyncClient(port=1)).items() if isinstance(value, Api)}
    calls = {
        (family, name)
        for family, type_ in families.items()
        for name, value in vars(type_).items()
        if isinstance(value, Method | Stream)
    }
    assert len(calls) > 50
    assert calls - made == set()


async def test_server(client: Any, colony: TrialColony) -> None:
    assert (await client.server.version()).buildversion
    assert (await client.server.info()).backends[0].port == colony.port
    assert (await client.server.statistics()).colonies >= 1
    assert [node.apiport for node in (await client.server.cluster()).nodes] == [colony.port]
    with pytest.raises(Forbidden):
        await client.server.statistics(key=colony.user_key)


async def test_the_server_changes_hands(new_server: Any) -> None:
    running: RunningServer = new_server()
    key = PrivateKey.generate()
    async with AsyncClient(host=running.host, port=running.port, tls=False, key=running.server_key) as client:
        await client.server.change_id(key.identity)
        with pytest.raises(Forbidden):
            await client.colonies.find()
        assert await client.colonies.find(key=key) == []


async def test_colonies(client: Any, colony: TrialColony) -> None:
    owner, successor = PrivateKey.generate(), PrivateKey.generate()
    name = f"{colony.name}-2"
    added = await client.colonies.add(Colony(name=name, colonyid=owner.identity))
    assert added == Colony(name=name, colonyid=owner.identity)
    assert added in await client.colonies.find()
    with pytest.raises(BadRequest, match="already exists"):
        await client.colonies.add(added)
    await client.colonies.change_id(successor.identity, name=name, key=owner)
    assert Colony(name=name, colonyid=successor.identity) in await client.colonies.find()
    await client.colonies.remove(name)
    assert name not in [each.name for each in await client.colonies.find()]
    assert (await client.colonies.get()).name == colony.name
    assert (await client.colonies.statistics()).colonies == 1


async def test_executors(client: Any, colony: TrialColony) -> None:
    key, successor = PrivateKey.generate(), PrivateKey.generate()
    added = await client.executors.add(
        Executor(executorid=key.identity, executorname="e", executortype="cli", locationname="home")
    )
    assert (added.state, added.colonyname, added.locationname) == (ExecutorState.PENDING, colony.name, "home")
    await client.executors.approve("e")
    assert (await client.executors.get("e")).state == ExecutorState.APPROVED
    assert (await client.executors.get_by_id(key.identity)).executorname == "e"

    capabilities = Capabilities(software=[Software(name="python", type="language", version="3")])
    allocations = Allocations(projects={"p": Project(allocatedcpu=5)})
    await client.executors.update("e", capabilities, key=key)
    await client.executors.report("e", allocations, key=key)
    found = (await client.executors.find())[0]
    assert (found.capabilities, found.allocations) == (capabilities, allocations)

    await client.executors.change_id(successor.identity, key=key)
    assert (await client.executors.get("e", key=successor)).executorid == successor.identity
    await client.executors.reject("e")
    assert (await client.executors.get("e")).state == ExecutorState.REJECTED
    await client.executors.remove("e")
    assert (await client.executors.get("e")).state == ExecutorState.UNREGISTERED
    with pytest.raises(ServerError):
        await client.executors.get("nobody")


async def test_users(client: Any, colony: TrialColony) -> None:
    key, successor = PrivateKey.generate(), PrivateKey.generate()
    bob = await client.users.add(User(userid=key.identity, name="bob", email="e", phone="p"))
    assert bob == User(colonyname=colony.name, userid=key.identity, name="bob", email="e", phone="p")
    assert await client.users.get("bob") == await client.users.get_by_id(key.identity) == bob
    assert {user.name for user in await client.users.find(key=key)} == {"alice", "bob"}
    await client.users.change_id(successor.identity, key=key)
    assert (await client.users.get("bob", key=successor)).userid == successor.identity
    await client.users.remove("bob")
    assert [user.name for user in await client.users.find()] == ["alice"]


async def test_functions(client: Any, colony: TrialColony) -> None:
    key = colony.add_executor("e")
    assert await client.functions.find() == []
    added = await client.functions.add(Function(executorname="e", executortype="cli", funcname="f"), key=key)
    assert (added.colonyname, added.funcname) == (colony.name, "f")
    assert await client.functions.find() == await client.functions.find(executorname="e") == [added]
    await client.functions.remove(added.functionid, key=key)
    assert await client.functions.find() == []


async def test_attributes(client: Any, colony: TrialColony) -> None:
    key = colony.add_executor("e")
    await client.processes.submit("f", executortype="cli")
    process = await client.assignments.assign(-1, key=key)
    attribute = Attribute(targetid=process.processid, attributetype=AttributeType.OUT, key="k", value="v")
    added = await client.attributes.add(attribute, key=key)
    assert (added.key, added.value, added.attributetype) == ("k", "v", AttributeType.OUT)
    assert await client.attributes.get(added.attributeid) == added


async def test_locations(client: Any) -> None:
    assert await client.locations.find() == []
    home = await client.locations.add(Location(locationid="x", name="home", longitude=22.1, latitude=65))
    assert await client.locations.get("home") == home
    assert await client.locations.find() == [home]
    await client.locations.remove("home")
    with pytest.raises(NotFound):
        await client.locations.get("home")


async def test_logs(client: Any, colony: TrialColony) -> None:
    key = colony.add_executor("e")
    submitted = await client.processes.submit("f", executortype="cli")
    assert await client.logs.find(submitted.processid) == []
    await client.assignments.assign(-1, key=key)
    for line in ("one", "two"):
        await client.logs.add(submitted.processid, line, key=key)
    await client.logs.add_of_executor("e", "own", key=key)
    entries = await client.logs.find(submitted.processid)
    assert [entry.message for entry in entries] == ["one", "two"]
    assert await client.logs.find(submitted.processid, since=entries[0].timestamp) == entries[1:]
    assert await client.logs.find(submitted.processid, count=1, latest=True) == entries[1:]
    assert [entry.message for entry in await client.logs.find(executorname="e")] == ["one", "two", "own"]
    assert [entry.message for entry in await client.logs.search("tw_")] == ["two"]

    following = asyncio.create_task(collected(client.logs.follow(submitted.processid, since=entries[0].timestamp)))
    await client.processes.close(submitted.processid, key=key)
    assert await following == entries[1:]


async def test_processes(client: Any, colony: TrialColony) -> None:
    key = colony.add_executor("e")
    submitted = await client.processes.submit(
        "f", 1, "x", kwargs={"k": [1.5]}, executortype="cli", label="l", priority=1, env={"A": "b"}
    )
    assert (submitted.state, submitted.initiatorname) == (ProcessState.WAITING, "alice")
    assert (submitted.spec.args, submitted.spec.kwargs, submitted.spec.env) == ([1, "x"], {"k": [1.5]}, {"A": "b"})
    assert await client.processes.get(submitted.processid) == submitted
    assert await client.call(GetProcess(processid=submitted.processid)) == submitted
    assert await client.processes.find() == [submitted]
    assert await client.processes.find(label="other") == []

    assigned = await client.assignments.assign(10, key=key, availablecpu="1000m", availablemem="1Gi")
    assert (assigned.processid, assigned.attempt) == (submitted.processid, 1)
    await client.processes.set_output(submitted.processid, ["half"], key=key)
    assert (await client.processes.find(ProcessState.RUNNING))[0].output == ["half"]
    with pytest.raises(KolonyError):
        await client.processes.close(submitted.processid, attempt=7, key=key)
    await client.processes.close(submitted.processid, ["all", 2], attempt=1, key=key)
    await client.processes.close(submitted.processid, ["all", 2], attempt=1, key=key)
    done = await client.processes.wait(submitted.processid)
    assert (done.state, done.output) == (ProcessState.SUCCESS, ["all", 2])
    assert await client.processes.history(ProcessState.SUCCESS, 3600, executorid=key.identity) == [done]

    failing = await client.processes.submit(FunctionSpec(funcname="g", conditions=Conditions(executortype="cli")))
    await client.assignments.assign(-1, key=key)
    await client.processes.fail(failing.processid, ["bad", "worse"], attempt=1, key=key)
    assert (await client.processes.wait(failing.processid)).errors == ["bad", "worse"]

    unwanted = await client.processes.submit("h", executortype="cli")
    await client.processes.cancel(unwanted.processid)
    assert (await client.processes.wait(unwanted.processid)).state == ProcessState.CANCELLED
    await client.processes.remove(unwanted.processid)
    with pytest.raises(NotFound):
        await client.processes.get(unwanted.processid)
    await client.processes.remove_all(-1)
    assert await client.processes.find(ProcessState.SUCCESS) == []


def diamond() -> Graph:
    graph = Graph()
    a, b, c, d = (graph.call("f", name=name, executortype="cli") for name in "abcd")
    a >> [b, c] >> d
    return graph


async def test_crons(client: Any, colony: TrialColony) -> None:
    graph = diamond()
    added = await client.crons.add(Cron(name="c", cronexpression="@yearly", timezone="Asia/Tokyo"), graph)
    assert (added.colonyname, added.interval, added.timezone, added.prevprocessgraphid) == (
        colony.name,
        -1,
        "Asia/Tokyo",
        "",
    )
    assert [cron.cronid for cron in await client.crons.find()] == [added.cronid]
    ran = await client.crons.run(added.cronid)
    assert len((await client.workflows.get(ran.prevprocessgraphid)).nodes) == 4
    found = await client.crons.get(added.cronid)
    assert (found.prevprocessgraphid, found.checkerperiod) == (ran.prevprocessgraphid, 1000)

    assert (await client.crons.pause(added.cronid)).paused is True
    assert not (await client.crons.resume(added.cronid)).paused
    updated = await client.crons.update(Cron(cronid=added.cronid, name="renamed", interval=60), graph.spec())
    assert (updated.name, updated.interval, updated.timezone) == ("renamed", 60, UNSET)
    assert updated.workflowspec == added.workflowspec
    elsewhere = WorkflowSpec(colonyname="elsewhere", functionspecs=graph.spec().functionspecs)
    with pytest.raises(BadRequest, match="elsewhere"):
        await client.crons.add(Cron(interval=60), elsewhere)
    await client.crons.remove(added.cronid)
    assert await client.crons.find() == []


async def test_generators(client: Any, colony: TrialColony) -> None:
    added = await client.generators.add(
        Generator(name="g", trigger=2), [FunctionSpec(nodename="a", funcname="f", conditions=Conditions())]
    )
    assert (added.colonyname, added.trigger, added.queuesize) == (colony.name, 2, 0)
    again = Generator(name="again", trigger=1, workflowspec=added.workflowspec)
    assert (await client.generators.add(again)).workflowspec == added.workflowspec
    assert [each.name for each in await client.generators.find()] == ["g", "again"]
    assert (await client.generators.resolve("g")).generatorid == added.generatorid
    await client.generators.pack(added.generatorid, "x")
    assert (await client.generators.get(added.generatorid)).queuesize == 1
    await client.generators.remove(added.generatorid)
    assert [each.name for each in await client.generators.find(count=1)] == ["again"]


async def test_workflows(client: Any, colony: TrialColony) -> None:
    key = colony.add_executor("e")
    submitted = await client.workflows.submit(diamond())
    assert (submitted.state, submitted.colonyname, submitted.initiatorname) == (0, colony.name, "alice")
    assert len(submitted.processids) == 4
    workflowid = submitted.processgraphid
    found = await client.workflows.get(workflowid)
    assert {node.name: node.state for node in found.nodes} == dict.fromkeys("abcd", ProcessState.WAITING)
    assert [(each.processgraphid, each.nodes) for each in await client.workflows.find()] == [(workflowid, [])]
    assert await client.workflows.find(ProcessState.RUNNING) == []

    watching = asyncio.create_task(collected(client.workflows.watch(workflowid)))
    waiting = asyncio.create_task(client.workflows.wait(workflowid, timeout=30))
    parent = await client.assignments.assign(10, key=key)
    child = await client.workflows.add_child(
        workflowid, parent.processid, "g", 5, name="n", childprocessid=parent.children[0], executortype="cli", key=key
    )
    assert (child.spec.nodename, child.spec.args, child.parents) == ("n", [5], [parent.processid])
    assert child.children == [parent.children[0]]
    inserted = await client.workflows.add_child(
        workflowid, parent.processid, make_spec("h", executortype="cli"), insert=True, key=key
    )
    assert (inserted.spec.nodename, len(inserted.children)) == ("h", 3)
    await client.processes.close(parent.processid, ["a"], key=key)
    inputs = {}
    for _ in range(5):
        process = await client.assignments.assign(10, key=key)
        inputs[process.spec.nodename] = process.input
        await client.processes.close(process.processid, [process.spec.nodename], key=key)
    assert inputs == {"h": ["a"], "n": ["h"], "b": ["n", "h"], "c": ["h"], "d": ["b", "c"]}
    assert (await waiting).state == ProcessState.SUCCESS
    steps = await watching
    assert steps[-1].state == ProcessState.SUCCESS
    assert {node.name: node.state for node in steps[-1].nodes} == dict.fromkeys("abcdnh", ProcessState.SUCCESS)

    unwanted = await client.workflows.submit(diamond().spec(colony.name))
    await client.workflows.cancel(unwanted.processgraphid)
    assert (await client.workflows.wait(unwanted.processgraphid)).state == ProcessState.CANCELLED
    await client.workflows.remove(unwanted.processgraphid)
    with pytest.raises(ServerError, match="graph is nil"):
        await client.workflows.get(unwanted.processgraphid)
    await client.workflows.submit(diamond().spec().functionspecs)
    await client.workflows.remove_all(ProcessState.WAITING)
    assert await client.workflows.find() == []
    await client.workflows.remove_all(-1)
    assert await client.workflows.find(ProcessState.SUCCESS) == []
    with pytest.raises(ServerError, match="Duplicate nodename: x"):
        await client.workflows.submit([named(make_spec("f"), "x")] * 2)


async def test_waiting_for_a_workflow_has_an_end(client: Any) -> None:
    submitted = await client.workflows.submit(diamond())
    with pytest.raises(WaitTimeout, match=submitted.processgraphid):
        await client.workflows.wait(submitted.processgraphid, timeout=0.2)
    with pytest.raises(ServerError, match="graph is nil"):
        await client.workflows.wait("nothing")


async def test_a_workflow_whose_submit_lost_its_reply_is_submitted_once(colony: TrialColony) -> None:
    async with (
        Proxy(colony.host, colony.port, lose_first("submitworkflowspecmsg", 2)) as proxy,
        AsyncClient(**options(colony, port=proxy.own_port, retry=QUICK)) as client,
    ):
        submitted = await client.workflows.submit(diamond())
        assert proxy.seen.count("submitworkflowspecmsg") == 3
        assert [each.processgraphid for each in await client.workflows.find()] == [submitted.processgraphid]
        again = [await client.workflows.submit(diamond(), idempotencykey="k") for _ in range(2)]
        assert again[0].processgraphid == again[1].processgraphid != submitted.processgraphid


async def test_many_are_submitted_at_once(client: Any) -> None:
    specs = [make_spec("f", number, executortype="cli") for number in range(250)]
    processes = await client.processes.submit_many(specs)
    assert [process.spec.args for process in processes] == [[number] for number in range(250)]
    with pytest.raises(BadRequest):
        await client.processes.submit_many([*specs, make_spec("f", priority=10**6)])
    assert (await client.colonies.statistics()).waitingprocesses == 250


async def test_pausing(client: Any, colony: TrialColony) -> None:
    key = colony.add_executor("e")
    await client.processes.submit("f", executortype="cli")
    await client.assignments.pause()
    assert await client.assignments.paused() is True
    with pytest.raises(Unavailable):
        await client.assignments.assign(-1, key=key)
    await client.assignments.resume()
    assert await client.assignments.paused() is False
    assert (await client.assignments.assign(-1, key=key)).spec.funcname == "f"
    with pytest.raises(NotFound):
        await client.assignments.assign(-1, key=key)


async def test_subscriptions(client: Any, colony: TrialColony) -> None:
    key = colony.add_executor("e")
    submitted = await client.processes.submit("f", executortype="cli")
    waiting = [p async for p in client.subscriptions.process(submitted.processid, ProcessState.WAITING, timeout=1)]
    assert waiting == [submitted]

    events = client.subscriptions.processes("cli", ProcessState.RUNNING, timeout=30, key=key)
    told = asyncio.ensure_future(anext(events))
    while not told.done():
        # nothing says when the subscription has begun, so processes are started until one is told
        assigned = await client.assignments.assign(-1, key=key)
        await client.processes.close(assigned.processid, key=key)
        await client.processes.submit("f", executortype="cli")
    assert (await told).spec.funcname == "f"
    await events.aclose()


async def test_a_refused_subscription_says_why(client: Any) -> None:
    with pytest.raises(Forbidden, match="Invalid process"):
        await collected(client.subscriptions.process("nothing", ProcessState.SUCCESS, timeout=5))


async def test_waiting_is_told_at_once(client: Any, colony: TrialColony) -> None:
    key = colony.add_executor("e")
    submitted = await client.processes.submit("f", executortype="cli")
    waiting = asyncio.create_task(client.processes.wait(submitted.processid, timeout=20))
    watching = asyncio.create_task(collected(client.processes.watch(submitted.processid)))
    assigned = await client.assignments.assign(-1, key=key)
    await client.processes.close(assigned.processid, ["out"], key=key)
    assert (await waiting).output == ["out"]
    assert (await watching)[-1].state == ProcessState.SUCCESS


async def test_each_state_is_seen(client: Any, colony: TrialColony) -> None:
    key = colony.add_executor("e")
    submitted = await client.processes.submit("f", executortype="cli")
    steps = client.processes.watch(submitted.processid)
    seen = [(await anext(steps)).state]
    await client.assignments.assign(-1, key=key)
    seen.append((await anext(steps)).state)
    await client.processes.fail(submitted.processid, ["bad"], key=key)
    seen += [step.state async for step in steps]
    assert seen == [ProcessState.WAITING, ProcessState.RUNNING, ProcessState.FAILED]


async def test_waiting_has_an_end(client: Any) -> None:
    submitted = await client.processes.submit("f", executortype="cli")
    with pytest.raises(WaitTimeout, match=submitted.processid):
        await client.processes.wait(submitted.processid, timeout=0.2)
    with pytest.raises(NotFound):
        await client.processes.wait("nothing")


async def test_waiting_needs_no_subscriptions(colony: TrialColony) -> None:
    key = colony.add_executor("e")

    def no_subscriptions(payloadtype: str, before: int) -> Fate:
        return Fate.PASS if payloadtype else Fate.LOSE_REQUEST

    async with (
        Proxy(colony.host, colony.port, no_subscriptions) as proxy,
        AsyncClient(**options(colony, port=proxy.own_port)) as client,
    ):
        submitted = await client.processes.submit("f", executortype="cli")
        waiting = asyncio.create_task(client.processes.wait(submitted.processid, timeout=20))
        await proxy.has_seen("", times=3)
        await client.assignments.assign(-1, key=key)
        await client.processes.close(submitted.processid, key=key)
        assert (await waiting).state == ProcessState.SUCCESS


async def collected(items: AsyncIterator[Any]) -> list[Any]:
    return [item async for item in items]


def lose_first(payloadtype: str, times: int, fate: Fate = Fate.LOSE_REPLY) -> Any:
    return lambda seen, before: fate if seen == payloadtype and before < times else Fate.PASS


QUICK = Retry(first_delay=0.01)


async def test_a_submit_whose_reply_is_lost_submits_once(colony: TrialColony) -> None:
    async with (
        Proxy(colony.host, colony.port, lose_first("submitfuncspecmsg", 3)) as proxy,
        AsyncClient(**options(colony, port=proxy.own_port, retry=QUICK)) as client,
    ):
        submitted = await client.processes.submit("f", executortype="cli")
        assert proxy.seen.count("submitfuncspecmsg") == 4
        assert await client.processes.find() == [submitted]


async def test_a_bulk_submit_whose_reply_is_lost_submits_once(colony: TrialColony) -> None:
    async with (
        Proxy(colony.host, colony.port, lose_first("kolonysubmitfuncspecsmsg", 1)) as proxy,
        AsyncClient(**options(colony, port=proxy.own_port, retry=QUICK)) as client,
    ):
        submitted = await client.processes.submit_many([make_spec("f", n, executortype="cli") for n in range(3)])
        assert proxy.seen.count("kolonysubmitfuncspecsmsg") == 2
        assert await client.processes.find() == submitted


async def test_two_submits_are_two(colony: TrialColony) -> None:
    async with AsyncClient(**options(colony)) as client:
        first = await client.processes.submit("f", executortype="cli")
        second = await client.processes.submit("f", executortype="cli")
        assert first.processid != second.processid
        once, again = [await client.processes.submit("f", executortype="cli", idempotencykey="k") for _ in range(2)]
        assert once == again


async def test_a_close_whose_reply_is_lost_closes(colony: TrialColony) -> None:
    key = colony.add_executor("e")
    async with (
        Proxy(colony.host, colony.port, lose_first("closesuccessfulmsg", 2)) as proxy,
        AsyncClient(**options(colony, port=proxy.own_port, retry=QUICK)) as client,
    ):
        submitted = await client.processes.submit("f", executortype="cli")
        assigned = await client.assignments.assign(-1, key=key)
        await client.processes.close(submitted.processid, ["out"], attempt=assigned.attempt, key=key)
        assert (await client.processes.get(submitted.processid)).output == ["out"]


async def test_adding_is_not_repeated_when_it_may_have_been_done(colony: TrialColony) -> None:
    user = User(userid=PrivateKey.generate().identity, name="bob")
    async with (
        Proxy(colony.host, colony.port, lose_first("addusermsg", 1)) as proxy,
        AsyncClient(**options(colony, port=proxy.own_port, retry=QUICK)) as client,
    ):
        with pytest.raises(ConnectionLost):
            await client.users.add(user)
        assert proxy.seen.count("addusermsg") == 1
        assert (await client.users.get("bob")).userid == user.userid


async def test_reading_survives_a_bad_connection(colony: TrialColony) -> None:
    async with (
        Proxy(colony.host, colony.port, lose_first("getcolonymsg", 3, Fate.LOSE_REQUEST)) as proxy,
        AsyncClient(**options(colony, port=proxy.own_port, retry=QUICK)) as client,
    ):
        assert (await client.colonies.get()).name == colony.name


async def test_without_retries_a_lost_reply_is_an_error_at_once(colony: TrialColony) -> None:
    async with (
        Proxy(colony.host, colony.port, lose_first("getcolonymsg", 1)) as proxy,
        AsyncClient(**options(colony, port=proxy.own_port, retry=NO_RETRY)) as client,
    ):
        with pytest.raises(ConnectionLost):
            await client.colonies.get()


async def test_a_server_that_demands_freshness_is_satisfied(new_server: Any) -> None:
    running: RunningServer = new_server(COLONIES_REQUIRE_FRESHNESS="true")
    where: Options = {"host": running.host, "port": running.port, "tls": False, "key": running.server_key}
    async with AsyncClient(**where) as stale, AsyncClient(**where, fresh=True) as fresh:
        with pytest.raises(KolonyError):
            await stale.colonies.find()
        assert await fresh.colonies.find() == await fresh.colonies.find() == []


async def test_a_fresh_call_whose_reply_is_lost_is_made_anew(colony: TrialColony) -> None:
    async with (
        Proxy(colony.host, colony.port, lose_first("getcolonymsg", 2)) as proxy,
        AsyncClient(**options(colony, port=proxy.own_port, retry=QUICK, fresh=True)) as client,
    ):
        assert (await client.colonies.get()).name == colony.name


async def test_settings_come_from_the_environment(colony: TrialColony, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLONIES_SERVER_HOST", colony.host)
    monkeypatch.setenv("COLONIES_SERVER_PORT", str(colony.port))
    monkeypatch.setenv("COLONIES_TLS", "false")
    monkeypatch.setenv("COLONIES_COLONY_NAME", colony.name)
    monkeypatch.setenv("COLONIES_PRVKEY", colony.user_key.hex)
    async with AsyncClient.from_env() as client:
        assert (await client.colonies.get()).name == colony.name


async def test_a_server_without_tls_is_not_tried_again_and_again(colony: TrialColony) -> None:
    async with AsyncClient(**options(colony, tls=True)) as client:
        with pytest.raises(ConfigurationError, match="COLONIES_TLS=false"):
            await client.colonies.get()


async def test_a_server_that_starts_late_is_awaited(new_server: Any) -> None:
    running: RunningServer = new_server()
    running.stop()
    where: Options = {"host": running.host, "port": running.port, "tls": False, "key": running.server_key}
    async with AsyncClient(**where) as client:
        started = time.monotonic()
        finding = asyncio.create_task(client.colonies.find())
        again = await asyncio.to_thread(new_server, running.dsn, server_key=running.server_key, port=running.port)
        assert await finding == []
        assert time.monotonic() - started < 30
        assert again.port == running.port
