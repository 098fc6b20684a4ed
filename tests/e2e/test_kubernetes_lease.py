"""The lease as an object of Kubernetes: one holds it, and loses it when it gives up or is silent for long enough."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest
from clusters import Cluster
from colonies import free_port
from native import kubeconfig
from storage import until

from kolony.errors import ConfigurationError, Unavailable
from kolony_apiserver.cluster.election import RENEWALS
from kolony_apiserver.cluster.kubernetes import KubernetesLease

NAME = "kolony"
LONG = 60.0
"""Seconds for leases whose end no test awaits; on a busy machine answers take their time."""

SHORT = 4.0


@pytest.fixture
async def new_lease(new_access: Callable[..., Any], namespace: str) -> AsyncIterator[Callable[..., KubernetesLease]]:
    """Makes contenders for one lease; they have one account unless another access is given."""
    access = new_access()
    made: list[KubernetesLease] = []

    def make(holder: str, *, duration: float = LONG, through: Path | None = None, **other: str) -> KubernetesLease:
        chosen = {"name": NAME, "namespace": "", **other}
        made.append(
            KubernetesLease(holder=holder, duration=duration, kubeconfig=str(through or access.kubeconfig), **chosen)
        )
        return made[-1]

    yield make
    for lease in made:
        await lease.close()


@pytest.fixture
def shown(cluster: Cluster, namespace: str) -> Callable[[], dict[str, Any]]:
    """What the object says."""

    def show() -> dict[str, Any]:
        lease = json.loads(cluster.kubectl("--namespace", namespace, "get", "lease", NAME, "--output=json"))
        spec: dict[str, Any] = lease["spec"]
        return spec

    return show


async def ask(*leases: KubernetesLease) -> list[bool]:
    return list(await asyncio.gather(*(lease.hold() for lease in leases)))


async def test_of_many_who_ask_at_once_one_holds(new_lease: Callable[..., KubernetesLease]) -> None:
    contenders = [new_lease(f"s{number}") for number in range(8)]
    first = await ask(*contenders)
    assert sum(first) == 1
    for _ in range(5):
        assert await ask(*contenders) == first


async def test_what_the_object_says(
    new_lease: Callable[..., KubernetesLease], shown: Callable[[], dict[str, Any]]
) -> None:
    first, second = new_lease("first", duration=2.5), new_lease("second")
    assert await first.hold()
    made = shown()
    assert made["holderIdentity"] == "first"
    assert made["leaseDurationSeconds"] == 3  # nobody may take it before the 2.5 seconds are over
    assert made["leaseTransitions"] == 0
    assert made["acquireTime"] == made["renewTime"]

    assert await first.hold()
    renewed = shown()
    assert renewed["renewTime"] > made["renewTime"]
    assert {**renewed, "renewTime": ""} == {**made, "renewTime": ""}

    await first.release()
    assert shown().get("holderIdentity", "") == ""
    assert await second.hold()
    taken = shown()
    assert taken["holderIdentity"] == "second"
    assert taken["leaseTransitions"] == 1
    assert taken["acquireTime"] == taken["renewTime"] > renewed["renewTime"]


async def test_of_those_who_wait_one_takes_over_when_it_ran_out_and_not_before(
    new_lease: Callable[..., KubernetesLease],
) -> None:
    holder, waiting = new_lease("holder", duration=SHORT), [new_lease(f"s{number}") for number in range(4)]
    assert await holder.hold()
    held = time.monotonic()
    answers: list[bool] = []

    async def taken() -> bool:
        answers[:] = await ask(*waiting)
        return any(answers)

    await until(taken)
    assert time.monotonic() - held >= SHORT
    assert sum(answers) == 1
    assert not await holder.hold()


async def test_a_lease_that_is_renewed_never_runs_out(new_lease: Callable[..., KubernetesLease]) -> None:
    holder, other = new_lease("holder", duration=SHORT), new_lease("other")
    begun = time.monotonic()
    while time.monotonic() - begun < 2 * SHORT:
        assert await holder.hold()
        assert not await other.hold()


async def test_no_clock_of_a_machine_decides(
    cluster: Cluster, namespace: str, new_lease: Callable[..., KubernetesLease]
) -> None:
    spec = {
        "holderIdentity": "elsewhere",
        "leaseDurationSeconds": 3,
        "acquireTime": "2001-01-01T00:00:00.000000Z",
        "renewTime": "2001-01-01T00:00:00.000000Z",
    }
    lease = {"apiVersion": "coordination.k8s.io/v1", "kind": "Lease", "metadata": {"name": NAME}, "spec": spec}
    cluster.kubectl("--namespace", namespace, "create", "--filename=-", given=json.dumps(lease))
    waiting = new_lease("waiting")
    seen = time.monotonic()
    assert not await waiting.hold()
    await until(waiting.hold)
    assert time.monotonic() - seen >= 3


async def test_a_release_lets_the_next_one_in_at_once(new_lease: Callable[..., KubernetesLease]) -> None:
    holder, other = new_lease("holder"), new_lease("other")
    assert await holder.hold()
    assert not await other.hold()
    await holder.release()
    assert await other.hold()
    await holder.release()  # of what it does not hold
    assert not await holder.hold()
    assert await other.hold()


async def test_a_renewal_that_was_under_way_when_another_took_over_is_lost(
    new_access: Callable[..., Any], new_lease: Callable[..., KubernetesLease]
) -> None:
    access = new_access()
    holder, other = new_lease("holder", through=access.kubeconfig, duration=SHORT), new_lease("other")
    assert await holder.hold()
    access.gate.hold()
    with pytest.raises(Unavailable):
        await holder.hold()
    await until(other.hold)
    access.gate.open()
    assert not await holder.hold()
    assert await other.hold()


async def test_without_an_answer_the_question_is_given_up_before_the_next_one(
    new_access: Callable[..., Any], new_lease: Callable[..., KubernetesLease]
) -> None:
    access = new_access()
    lease = new_lease("holder", through=access.kubeconfig, duration=SHORT)
    assert await lease.hold()
    access.gate.hold()
    for ask in (lease.hold, lease.release, lease.hold):
        with pytest.raises(Unavailable, match="cannot be reached"):
            async with asyncio.timeout(SHORT / RENEWALS):
                await ask()
    access.gate.open()
    assert await lease.hold()
    access.gate.refuse()
    with pytest.raises(Unavailable, match="cannot be reached"):
        await lease.hold()
    access.gate.open()
    assert await lease.hold()


async def test_without_the_rights_it_says_which(
    new_access: Callable[..., Any], new_lease: Callable[..., KubernetesLease], namespace: str
) -> None:
    lease = new_lease("holder", through=new_access(rights=False).kubeconfig)
    with pytest.raises(ConfigurationError, match="get, create and update on leases") as raised:
        await lease.hold()
    assert namespace in raised.value.message


async def test_credentials_that_are_replaced_are_read_again(
    new_access: Callable[..., Any], new_lease: Callable[..., KubernetesLease]
) -> None:
    access = new_access()
    right = access.kubeconfig.read_text()
    access.kubeconfig.write_text(right.replace('"token": "', '"token": "x'))
    lease = new_lease("holder", through=access.kubeconfig)
    with pytest.raises(ConfigurationError, match="credentials"):
        await lease.hold()
    access.kubeconfig.write_text(right)
    assert await lease.hold()


async def test_no_such_namespace(cluster: Cluster, new_lease: Callable[..., KubernetesLease]) -> None:
    lease = new_lease("holder", through=cluster.kubeconfig, namespace="kolony-nowhere")
    with pytest.raises(ConfigurationError, match="COLONIES_LEASE_NAMESPACE"):
        await lease.hold()


async def test_a_name_that_kubernetes_does_not_take(new_lease: Callable[..., KubernetesLease]) -> None:
    with pytest.raises(ConfigurationError, match="COLONIES_LEASE_NAME"):
        await new_lease("holder", name="Upper_Case").hold()


SECRET = "a-token-nobody-may-see"


@pytest.mark.parametrize(
    "text",
    [
        "",
        "not: [yaml",
        f"- {SECRET}",
        json.dumps({"users": [{"user": {"token": SECRET}}]}),
        json.dumps({**kubeconfig({}, {}), "users": [{"name": "kolony", "token": SECRET}]}),
        json.dumps({**kubeconfig({}, {"token": SECRET}), "clusters": []}),
        json.dumps(kubeconfig({"server": "https://localhost", "certificate-authority": "missing"}, {"token": SECRET})),
    ],
)
async def test_a_kubeconfig_that_is_none_says_so_and_shows_nothing(
    new_lease: Callable[..., KubernetesLease], tmp_path: Path, text: str
) -> None:
    file = tmp_path / "broken"
    file.write_text(text)
    with pytest.raises(ConfigurationError, match="KUBECONFIG") as raised:
        await new_lease("holder", through=file).hold()
    assert SECRET not in repr(raised.getrepr(chain=True))


async def test_no_api_at_the_address(new_lease: Callable[..., KubernetesLease], tmp_path: Path) -> None:
    file = tmp_path / "kubeconfig"
    file.write_text(json.dumps(kubeconfig({"server": f"https://127.0.0.1:{free_port()}"}, {})))
    with pytest.raises(Unavailable, match="cannot be reached"):
        await new_lease("holder", through=file).hold()
