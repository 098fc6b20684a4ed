"""Servers that elect their leader by a Lease of Kubernetes, with the duration that is shipped."""

from __future__ import annotations

import http.client
import json
import re
import signal
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import psycopg
import pytest
from clocked import eventually
from clusters import Cluster
from colonies import RunningServer, free_port
from several import Servers

from kolony_apiserver.cluster.leases import KUBERNETES_DURATION

LEASE = KUBERNETES_DURATION

_AUDIT = """
create table claims (processid text, claimer text, leader text);
create function note_claim() returns trigger language plpgsql as $$ begin
    insert into claims
    select new.processid, current_setting('application_name'), 'kolony/' || holder from leadership;
    return new;
end $$;
create trigger note_claim after update of state on processes
for each row when (old.state = 0 and new.state = 1) execute function note_claim();
"""
"""Notes of each process that is handed out who did that, and who led at that moment."""


class Fleet(Servers):
    """Servers whose lease is in Kubernetes; each reaches the cluster through a gate of its own."""

    def __init__(self, start: Callable[..., RunningServer], dsn: str, access: Callable[..., Any], **settings: str):
        self.access: dict[str, Any] = {}
        self.monitors: dict[str, int] = {}

        def own(name: str) -> dict[str, str]:
            self.access[name], self.monitors[name] = access(), free_port()
            return {"KUBECONFIG": str(self.access[name].kubeconfig), "COLONIES_MONITOR_PORT": str(self.monitors[name])}

        super().__init__(start, dsn, own=own, COLONIES_LEASE="kubernetes", **settings)

    def leads(self, name: str) -> bool:
        """Whether a server takes itself for the leader."""
        connection = http.client.HTTPConnection("127.0.0.1", self.monitors[name], timeout=10)
        try:
            connection.request("GET", "/metrics")
            return "\ncolonies_leader 1.0\n" in connection.getresponse().read().decode()
        finally:
            connection.close()

    def term(self) -> int:
        with psycopg.connect(self.dsn) as connection:
            row = connection.execute("select term from leadership").fetchone()
        assert row is not None
        return int(row[0])

    def lease(self, cluster: Cluster, namespace: str) -> dict[str, Any]:
        shown = json.loads(cluster.kubectl("--namespace", namespace, "get", "lease", "kolony", "--output=json"))
        spec: dict[str, Any] = shown["spec"]
        return spec


@pytest.fixture
def fleet(new_server: Callable[..., RunningServer], database_dsn: str, new_access: Callable[..., Any]) -> Fleet:
    return Fleet(new_server, database_dsn, new_access)


@pytest.fixture
def pool() -> Iterator[ThreadPoolExecutor]:
    with ThreadPoolExecutor(8) as pool:
        yield pool


def test_one_of_three_leads_for_as_long_as_it_renews(fleet: Fleet, cluster: Cluster, namespace: str) -> None:
    assert [name for name in fleet.by_name if fleet.leads(name)] == [leader := fleet.leader()]
    first = fleet.lease(cluster, namespace)
    assert first["holderIdentity"].startswith(f"{leader}_")
    assert first["leaseDurationSeconds"] == LEASE <= 8
    for name in fleet.by_name:
        assert fleet.at(name).rpc.ok("getclustermsg", fleet.key)["leader"]["name"] == leader

    renewed = {first["renewTime"]}
    eventually(lambda: len(renewed) > 6 or renewed.add(fleet.lease(cluster, namespace)["renewTime"]))
    assert fleet.lease(cluster, namespace)["leaseTransitions"] == first["leaseTransitions"]
    assert fleet.term() == 1
    assert [name for name in fleet.by_name if fleet.leads(name)] == [leader]


def test_another_leads_soon_after_the_leader_was_killed(fleet: Fleet) -> None:
    key = fleet.colony.add_executor("e")
    leader, (follower, _) = fleet.leader(), fleet.followers()
    sent = fleet.at(follower).submit()
    fleet.kill(leader)
    killed = time.monotonic()
    assert fleet.assign(follower, key).payload["processid"] == sent["processid"]
    assert time.monotonic() - killed < LEASE + 2
    assert fleet.leader() not in ("", leader)
    assert fleet.term() == 2


def test_a_leader_that_is_told_to_stop_gives_way_at_once(fleet: Fleet) -> None:
    leader = fleet.leader()
    fleet.by_name[leader].process.send_signal(signal.SIGTERM)
    told = time.monotonic()
    fleet.new_leader(leader)
    assert time.monotonic() - told <= 0.5
    assert fleet.by_name[leader].process.wait() == 0


def test_a_leader_that_was_stopped_for_longer_than_its_lease_writes_nothing_in_its_old_term(
    fleet: Fleet, pool: ThreadPoolExecutor
) -> None:
    with psycopg.connect(fleet.dsn) as connection:
        connection.execute(_AUDIT)
    keys = [fleet.colony.add_executor(f"e{number}") for number in range(4)]
    leader, (follower, _) = fleet.leader(), fleet.followers()
    there = [pool.submit(fleet.assign, leader, key) for key in keys[:2]]
    first = fleet.at(follower).submit()
    eventually(lambda: any(call.done() for call in there))
    stopped = fleet.by_name[leader].process
    stopped.send_signal(signal.SIGSTOP)
    try:
        fleet.new_leader(leader)
        others = [pool.submit(fleet.assign, follower, key) for key in keys[2:]]
        sent = [fleet.at(follower).submit() for _ in range(2)]
        assert {call.result().payload["processid"] for call in others} == {each["processid"] for each in sent}
    finally:
        stopped.send_signal(signal.SIGCONT)
    last = fleet.at(follower).submit()
    served = {call.result().payload["processid"] for call in there}
    assert served == {first["processid"], last["processid"]}

    with psycopg.connect(fleet.dsn) as connection:
        claims = connection.execute("select claimer, leader from claims").fetchall()
    assert len(claims) == 4
    assert [claim for claim in claims if claim[0] != claim[1]] == []
    assert claims[0][0] == f"kolony/{leader}"
    assert not fleet.leads(leader)
    assert fleet.term() == 2


def test_a_leader_that_is_cut_off_steps_down_before_another_leads(fleet: Fleet) -> None:
    leader = fleet.leader()
    fleet.access[leader].gate.hold()
    eventually(lambda: not fleet.leads(leader), within=LEASE)
    assert fleet.leader() == leader, "nobody leads yet"
    assert fleet.term() == 1
    new = fleet.new_leader(leader)
    assert fleet.leads(new)
    fleet.access[leader].gate.open()
    key = fleet.colony.add_executor("e")
    sent = fleet.at(leader).submit()
    assert fleet.assign(leader, key).payload["processid"] == sent["processid"]
    assert fleet.term() == 2


def test_without_kubernetes_nobody_leads_and_calls_go_on(
    new_server: Callable[..., RunningServer], database_dsn: str, new_access: Callable[..., Any]
) -> None:
    fleet = Fleet(new_server, database_dsn, new_access, COLONIES_EXCLUSIVE_ASSIGN="false")
    key = fleet.colony.add_executor("e")
    leader = fleet.leader()

    def work() -> None:
        for name in fleet.by_name:
            there = fleet.at(name)
            sent = there.submit()
            assert there.assign(key)["processid"] == sent["processid"]
            there.rpc.ok("closesuccessfulmsg", key, processid=sent["processid"])

    for shut in ("hold", "refuse"):
        term = fleet.term()
        for access in fleet.access.values():
            getattr(access.gate, shut)()
        eventually(lambda: work() or not any(fleet.leads(name) for name in fleet.by_name), within=LEASE)
        work()
        assert fleet.term() == term, "nobody began another"
        for access in fleet.access.values():
            access.gate.open()
        eventually(lambda: any(fleet.leads(name) for name in fleet.by_name), within=LEASE + 2)
        assert fleet.term() > term
        assert "Kubernetes cannot be reached" in fleet.by_name[leader].log.read_text()


def test_a_server_starts_without_kubernetes_and_leads_when_it_is_there(
    new_server: Callable[..., RunningServer], database_dsn: str, new_access: Callable[..., Any]
) -> None:
    access = new_access()
    access.gate.refuse()
    server = new_server(database_dsn, COLONIES_LEASE="kubernetes", KUBECONFIG=str(access.kubeconfig))
    assert server.rpc.ok("getclustermsg", server.server_key)["term"] == 0
    access.gate.open()
    eventually(lambda: server.rpc.ok("getclustermsg", server.server_key)["term"] == 1)


def test_a_server_without_the_rights_does_not_start_and_says_which_it_needs(
    new_server: Callable[..., RunningServer], database_dsn: str, new_access: Callable[..., Any], namespace: str
) -> None:
    access = new_access(rights=False)
    with pytest.raises(RuntimeError, match="get, create and update on leases") as raised:
        new_server(database_dsn, COLONIES_LEASE="kubernetes", KUBECONFIG=str(access.kubeconfig))
    assert namespace in str(raised.value)
    assert json.loads(access.kubeconfig.read_text())["users"][0]["user"]["token"] not in str(raised.value)


def test_rights_that_are_taken_away_and_given_back(fleet: Fleet, cluster: Cluster, namespace: str) -> None:
    leader = fleet.leader()
    here = ["--namespace", namespace]
    bindings = json.loads(cluster.kubectl(*here, "get", "rolebindings", "--output=json"))
    cluster.kubectl(*here, "delete", "rolebindings", "--all")
    log = fleet.by_name[leader].log
    eventually(lambda: re.search("cluster: .*get, create and update on leases", log.read_text()))
    eventually(lambda: not any(fleet.leads(name) for name in fleet.by_name))
    fleet.at(leader).submit()
    for item in bindings["items"]:
        del item["metadata"]["resourceVersion"], item["metadata"]["uid"]
    cluster.kubectl(*here, "create", "--filename=-", given=json.dumps(bindings))
    eventually(lambda: any(fleet.leads(name) for name in fleet.by_name))
