"""Many at once in one workflow: every child is released once and never lost, and the states agree with each other."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from functools import partial
from random import Random
from secrets import randbelow
from threading import Barrier, Event
from typing import Any

import psycopg
import pytest
from clocked import ClockedServer
from colonies import Answer, Colony, KeptRpc, RunningServer, create_colony, create_database, start_server
from psycopg import sql
from workflows import CANCELLED, DIAMOND, FAILED, RUNNING, SUCCESSFUL, WAITING, Flow, Workplace

from kolony.crypto import PrivateKey

CONNECTIONS = 16
PARENTS = 200
ROUNDS = 15
UNPLANNED = ("the server failed", "the database failed", "the database is away")
STATE_NAMES = ("waiting", "running", "successful", "failed", "cancelled")


@pytest.fixture(scope="module")
def clocked(postgres_dsn: str) -> Iterator[ClockedServer]:
    with ClockedServer(create_database(postgres_dsn)) as server:
        yield server


@pytest.fixture
def place(colony: Colony) -> Workplace:
    return Workplace(colony)


def at_once(*calls: Callable[[], Any]) -> list[Any]:
    """The results of calls that begin at one moment."""
    barrier = Barrier(len(calls))

    def begin(call: Callable[[], Any]) -> Any:
        barrier.wait()
        return call()

    with ThreadPoolExecutor(len(calls)) as threads:
        return [future.result() for future in [threads.submit(begin, call) for call in calls]]


def require_true_counts(place: Workplace) -> None:
    """Compare the counters of the colony with a recount, row by row."""
    recount: Counter[str] = Counter()
    with psycopg.connect(place.colony.server.dsn) as connection:
        for table in ("processes", "workflows"):
            query = sql.SQL("select state, count(*) from {} where colonyname = %s group by state")
            rows = connection.execute(query.format(sql.Identifier(table)), [place.colony.name]).fetchall()
            recount.update({f"{STATE_NAMES[state]}{table}": count for state, count in rows})
    assert place.statistics() == dict(recount)


def fan_in(parents: int) -> str:
    names = [f"p{number}" for number in range(parents)]
    return f"{' '.join(names)} child:{','.join(names)}"


@pytest.mark.parametrize("round_", range(3))
def test_a_fan_in_closed_by_many_connections(place: Workplace, round_: int) -> None:
    flow = place.submit(fan_in(PARENTS), every={"conditions": {"executortype": "cli"}}, child=_of_type("child"))
    key, last = place.key("cli"), place.key("child")
    connections = [KeptRpc(place.colony.host, place.colony.port) for _ in range(CONNECTIONS)]
    names = {"colonyname": place.colony.name}

    def work(number: int) -> None:
        """Take a share of the parents; close them together with all others."""
        rpc, share = connections[number], range(number, PARENTS, CONNECTIONS)
        held = [rpc.ok("assignprocessmsg", key, **names, timeout=-1) for _ in share]
        barrier.wait()
        for process in held:
            nodename = process["spec"]["nodename"]
            rpc.ok("closesuccessfulmsg", key, processid=process["processid"], out=[nodename])

    barrier = Barrier(CONNECTIONS)
    with ThreadPoolExecutor(CONNECTIONS + 1) as threads:
        waits = threads.submit(place.colony.assign, last, 60)
        for each in [threads.submit(work, number) for number in range(CONNECTIONS)]:
            each.result()
        child = waits.result()
    for connection in connections:
        connection.close()
    assert child["processid"] == flow.ids["child"]
    assert child["in"] == [f"p{number}" for number in range(PARENTS)]
    assert not flow.can_start("child")
    flow.succeed("child")
    assert flow.state == SUCCESSFUL
    require_true_counts(place)


def _of_type(executortype: str) -> dict[str, Any]:
    parents = [f"p{number}" for number in range(PARENTS)]
    return {"conditions": {"executortype": executortype, "dependencies": parents}}


@pytest.mark.parametrize("parents", [2, 3, 8])
def test_the_last_parents_close_at_one_moment(place: Workplace, parents: int) -> None:
    for _ in range(ROUNDS):
        flow = place.submit(fan_in(parents))
        names = [f"p{number}" for number in range(parents)]
        for name in names:
            flow.start(name)
        closes = at_once(*[partial(flow.close, name, name) for name in names])
        assert {answer.status for answer in closes} == {200}
        assert flow.run("child")["in"] == names
        assert not flow.can_start("child")
        assert flow.state == SUCCESSFUL
    require_true_counts(place)


def test_the_same_close_many_times_releases_once(place: Workplace) -> None:
    for _ in range(ROUNDS):
        flow = place.submit("a z b:a,z")
        flow.start("a")
        flow.start("z")
        assert {answer.status for answer in at_once(*[partial(flow.close, "a", 1)] * 8)} == {200}
        assert not flow.can_start("b")
        flow.succeed("z")
        assert flow.run("b")["in"] == [1]
        assert flow.state == SUCCESSFUL
    require_true_counts(place)


def test_a_close_against_the_cancel_of_the_workflow(place: Workplace) -> None:
    for _ in range(ROUNDS):
        flow = place.submit("a b:a c:b")
        flow.start("a")
        closed, cancelled = at_once(partial(flow.close, "a"), flow.cancel)
        assert cancelled.status == 200
        outcome = {200: SUCCESSFUL, 400: CANCELLED}[closed.status]
        assert flow.states() == {"a": outcome, "b": CANCELLED, "c": CANCELLED}
        assert flow.state == CANCELLED
        assert not flow.can_start("b")
    require_true_counts(place)


def test_the_last_close_against_the_cancel_of_the_workflow(place: Workplace) -> None:
    for _ in range(ROUNDS):
        flow = place.submit("a b:a")
        flow.run("a")
        flow.start("b")
        closed, cancelled = at_once(partial(flow.close, "b"), flow.cancel)
        assert cancelled.status == 200
        assert flow.state == flow.process("b")["state"] == {200: SUCCESSFUL, 400: CANCELLED}[closed.status]
    require_true_counts(place)


def test_an_assignment_against_the_cancel_of_the_workflow(place: Workplace) -> None:
    for _ in range(ROUNDS):
        flow = place.submit("a b:a")
        place.key("a")
        assigned, cancelled = at_once(partial(flow.ask, "a"), flow.cancel)
        assert cancelled.status == 200
        assert assigned.status in (200, 404)
        assert flow.states() == {"a": CANCELLED, "b": CANCELLED}
        assert flow.state == CANCELLED
        assert flow.close("a").status == (400 if assigned.status == 200 else 403)
    require_true_counts(place)


def test_a_failure_against_the_success_of_a_sibling(place: Workplace) -> None:
    for _ in range(ROUNDS):
        flow = place.submit(DIAMOND)
        flow.run("a")
        flow.start("b")
        flow.start("c")
        _, closed = at_once(partial(flow.fail, "b"), partial(flow.close, "c"))
        assert closed.status in (200, 400)
        assert set(flow.states().values()) == {FAILED}
        assert flow.state == FAILED
        assert not flow.can_start("d")
    require_true_counts(place)


def test_failures_of_all_siblings(place: Workplace) -> None:
    for _ in range(ROUNDS):
        flow = place.submit("a b:a c:a d:a e:b,c,d")
        flow.run("a")
        for name in "bcd":
            flow.start(name)

        def fail(name: str, flow: Flow = flow) -> Answer:
            return place.call("closefailedmsg", place.key(name), processid=flow.ids[name], errors=["no"])

        answers = at_once(*[partial(fail, name) for name in "bcd"])
        assert {answer.status for answer in answers} <= {200, 400}
        assert set(flow.states().values()) == {FAILED}
    require_true_counts(place)


@pytest.mark.parametrize("how", ["below", "between", "above all"])
def test_a_close_against_a_child_that_is_added(place: Workplace, how: str) -> None:
    for _ in range(ROUNDS):
        flow = place.submit("a b:a")
        flow.start("a")
        options = {"child": "b" if how == "between" else "", "insert": how == "above all"}
        closed, added = at_once(
            partial(flow.close, "a", "A"),
            partial(flow.try_to_add, "n", "a", **options),
        )
        assert closed.status == 200
        assert added.status in (200, 400)
        if added.status == 200:
            flow.ids["n"] = added.payload["processid"]
            if how != "below":
                assert not flow.can_start("b")
            assert flow.run("n", "N")["in"] == ["A"]
        expected = {"below": ["A"], "between": ["A", "N"], "above all": ["N"]}[how]
        assert flow.run("b")["in"] == (expected if added.status == 200 else ["A"])
        assert flow.state == SUCCESSFUL
    require_true_counts(place)


def test_children_that_are_added_at_once(place: Workplace) -> None:
    flow = place.submit("a b:a")
    flow.start("a")
    answers = at_once(*[partial(flow.try_to_add, f"w{n}", "a", child="b") for n in range(CONNECTIONS)])
    workers = {f"w{number}": answer.payload["processid"] for number, answer in enumerate(answers)}
    flow.ids |= workers
    assert {answer.status for answer in answers} == {200}
    assert set(flow.process("b")["parents"]) == {flow.ids["a"], *workers.values()}
    assert set(flow.process("a")["children"]) == {flow.ids["b"], *workers.values()}
    flow.succeed("a")
    assert not flow.can_start("b")
    at_once(*[partial(flow.run, name, name) for name in workers])
    ordered = [flow.names([each])[0] for each in flow.process("b")["parents"]]
    assert ["a", *flow.run("b")["in"]] == ordered
    assert flow.state == SUCCESSFUL
    require_true_counts(place)


def test_a_child_that_is_added_against_the_cancel_of_the_workflow(place: Workplace) -> None:
    for _ in range(ROUNDS):
        flow = place.submit("a")
        flow.start("a")
        added, cancelled = at_once(partial(flow.try_to_add, "n", "a"), flow.cancel)
        assert cancelled.status == 200
        if added.status == 200:
            flow.ids["n"] = added.payload["processid"]
        else:
            assert added.status == 400
        assert set(flow.states().values()) == {CANCELLED}
        assert flow.state == CANCELLED
    require_true_counts(place)


def test_removing_a_failed_workflow_against_what_runs_in_it(place: Workplace) -> None:
    for _ in range(ROUNDS):
        flow = place.submit("leaf a b:a")
        flow.start("leaf")
        flow.start("a")
        flow.fail("leaf")
        removed, closed = at_once(flow.remove, partial(flow.close, "a"))
        assert removed.status == 200
        assert closed.status in (200, 500)
        assert not flow.can_start("b")
    assert place.statistics() == {}


@pytest.mark.parametrize("retries", [0, 1])
def test_a_close_at_the_moment_of_its_limit(clocked: ClockedServer, retries: int) -> None:
    place = Workplace(clocked.colony())
    for _ in range(2 * ROUNDS):
        flow = place.submit(DIAMOND, b={"maxexectime": 1, "maxretries": retries})
        flow.run("a")
        flow.start("b")
        flow.start("c")
        clocked.clock.advance(1.5)
        with ThreadPoolExecutor(2) as threads:
            closing = threads.submit(flow.close, "b", "B")
            threads.submit(clocked.apply_limits).result()
            closed = closing.result()
        if closed.status == 200 or retries:
            if closed.status != 200:
                assert (closed.status, flow.process("b")["state"], flow.state) == (403, WAITING, RUNNING)
                flow.run("b", "B")
            flow.succeed("c", "C")
            assert flow.run("d")["in"] == ["B", "C"]
            assert flow.state == SUCCESSFUL
        else:
            assert closed.status == 400
            assert set(flow.states().values()) == {FAILED}
            assert flow.state == FAILED
    require_true_counts(place)


def test_a_cancel_at_the_moment_of_a_limit(clocked: ClockedServer) -> None:
    place = Workplace(clocked.colony())
    for _ in range(ROUNDS):
        flow = place.submit("a b:a", a={"maxexectime": 1})
        flow.start("a")
        clocked.clock.advance(1.5)
        with ThreadPoolExecutor(2) as threads:
            cancelling = threads.submit(flow.cancel)
            threads.submit(clocked.apply_limits).result()
            assert cancelling.result().status == 200
        clocked.apply_limits()
        # Whichever came first: nothing goes on, and the parts agree with the whole.
        assert set(flow.states().values()) in ({FAILED}, {CANCELLED})
        assert flow.state == flow.process("a")["state"]
    require_true_counts(place)


# Two servers on one database


@pytest.fixture(scope="module")
def second(server: RunningServer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningServer]:
    """Another server on the database of the shared one."""
    running = start_server(server.dsn, tmp_path_factory.mktemp("second"), server_key=server.server_key)
    yield running
    running.stop()


def test_parents_closed_on_two_servers(server: RunningServer, second: RunningServer) -> None:
    place = Workplace(create_colony(server))
    for round_ in range(ROUNDS):
        flow = place.submit("a b child:a,b")
        flow.start("a")
        flow.start("b")

        def close(there: RunningServer, name: str, flow: Flow = flow) -> Answer:
            return there.rpc.call("closesuccessfulmsg", place.key(name), processid=flow.ids[name], out=[name])

        waits_at = (server, second)[round_ % 2]
        names = {"colonyname": place.colony.name, "timeout": 30}
        key = place.key("child")
        with ThreadPoolExecutor(1) as threads:
            waiting = threads.submit(waits_at.rpc.ok, "assignprocessmsg", key, **names)
            closes = at_once(partial(close, server, "a"), partial(close, second, "b"))
            assert {answer.status for answer in closes} == {200}
            child = waiting.result()
        assert (child["processid"], child["in"]) == (flow.ids["child"], ["a", "b"])
        assert not flow.can_start("child")
        flow.succeed("child")
        assert flow.state == SUCCESSFUL
    require_true_counts(place)


def test_everything_at_once_on_two_servers(server: RunningServer, second: RunningServer) -> None:
    """Executors close, fail, grow and forget what others submit, cancel and remove, and are lost themselves."""
    place = Workplace(create_colony(server))
    of = {"colonyname": place.colony.name}
    keys = [place.colony.add_executor(f"e{number}") for number in range(8)]
    of_all = {"conditions": {"executortype": "cli"}, "maxexectime": 1}
    drawings = ["a b:a c:a d:b,c", "a b c:a,b", "a b:a leaf:a c:b", "a b:a c:b d:c"]
    submitted: list[str] = []
    begun = Event()

    def ask(rpc: KeptRpc, msgtype: str, key: PrivateKey, **fields: Any) -> Answer:
        answer = rpc.call(msgtype, key, **fields)
        # an answer of the domain, never a failure of the server or the database
        assert not answer.error or not answer.message.startswith(UNPLANNED), answer
        return answer

    def submit(rpc: KeptRpc, choice: Random) -> None:
        for _ in range(40):
            spec = place.spec(choice.choice(drawings), every=of_all)
            answer = ask(rpc, "submitworkflowspecmsg", place.colony.user_key, spec=spec)
            submitted.append(answer.payload["processgraphid"])
            begun.set()

    def disturb(rpc: KeptRpc, choice: Random) -> None:
        begun.wait(30)
        for _ in range(40):
            msgtype = choice.choice(["cancelprocessgraphmsg", "removeprocessgraphmsg", "getprocessgraphmsg"])
            ask(rpc, msgtype, place.colony.user_key, processgraphid=choice.choice(submitted))
            if choice.random() < 0.2:
                name = f"e{choice.randrange(len(keys))}"
                for change in ("removeexecutormsg", "approveexecutormsg"):
                    ask(rpc, change, place.colony.colony_key, **of, executorname=name)
        ask(rpc, "removeallprocessgraphsmsg", place.colony.colony_key, **of, state=FAILED)

    def work(rpc: KeptRpc, choice: Random, key: PrivateKey) -> None:
        begun.wait(30)
        while (answer := ask(rpc, "assignprocessmsg", key, **of, timeout=2)).status != 404:
            if answer.status == 403:
                continue
            process = answer.payload
            if choice.random() < 0.3:
                names = {"processgraphid": process["processgraphid"], "parentprocessid": process["processid"]}
                ask(
                    rpc,
                    "addchildmsg",
                    key,
                    **names,
                    spec=place.colony.spec(maxexectime=1),
                    insert=choice.random() < 0.5,
                )
            if choice.random() < 0.05:
                continue
            if choice.random() < 0.15:
                ask(rpc, "closefailedmsg", key, processid=process["processid"], errors=["no"])
            else:
                ask(rpc, "closesuccessfulmsg", key, processid=process["processid"], out=[1])

    seed = randbelow(2**32)
    print(f"seed {seed}")
    works = [submit, submit, disturb, disturb, *(partial(work, key=key) for key in keys)]

    def begin(number: int) -> None:
        there = (server, second)[number % 2]
        with closing(KeptRpc(there.host, there.port)) as rpc:
            works[number](rpc, Random(seed + number))

    with ThreadPoolExecutor(len(works)) as threads:
        for each in [threads.submit(begin, number) for number in range(len(works))]:
            each.result()
    deadline = time.monotonic() + 30
    while not {"waitingprocesses", "runningprocesses"}.isdisjoint(place.statistics()):
        # what was returned or released since the last executor left
        assert time.monotonic() < deadline, place.statistics()
        begin(len(works) - 1)
    require_true_counts(place)
    for processgraphid in submitted:
        answer = place.call("getprocessgraphmsg", None, processgraphid=processgraphid)
        if answer.status == 200:
            require_sense(place, answer.payload)


def require_sense(place: Workplace, workflow: dict[str, Any]) -> None:
    """Nothing goes on in a workflow, and its state is that of its processes."""
    processes = [place.process(processid) for processid in workflow["processids"]]
    states = {process["state"] for process in processes}
    assert states <= {SUCCESSFUL, FAILED, CANCELLED}
    assert workflow["state"] == max(states)
    assert all(process["waitforparents"] is False for process in processes if process["state"] == SUCCESSFUL)
    if any(process["state"] == FAILED and process["children"] for process in processes):
        assert states == {FAILED}


def test_a_workflow_is_seen_alike_by_two_servers(server: RunningServer, second: RunningServer) -> None:
    place = Workplace(create_colony(server))
    flow = place.submit(DIAMOND)
    for name in "abcd":
        flow.start(name)
        second.rpc.ok("closesuccessfulmsg", place.key(name), processid=flow.ids[name])
        shown = second.rpc.ok("getprocessgraphmsg", place.colony.user_key, processgraphid=flow.id)
        assert shown == flow.get()
    assert flow.state == SUCCESSFUL
