"""The leader's lease as a Lease object of Kubernetes (``coordination.k8s.io/v1``).

The object is free when it does not exist, when it names no holder, or when this process has seen it unchanged, by
its own monotonic clock, for as long as it says that it lasts: the clocks of machines are never compared. Whoever
writes the object names the version that was read, so of several that find it free one gets it.

The client of Kubernetes takes a second to load, so this module is imported only where it is used.
"""

from __future__ import annotations

import asyncio
import math
import time
from collections.abc import AsyncIterator, Awaitable
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path

import aiohttp
import yaml
from kubernetes.aio import config
from kubernetes.aio.client import (
    ApiClient,
    Configuration,
    CoordinationV1Api,
    V1Lease,
    V1LeaseSpec,
    V1ObjectMeta,
)
from kubernetes.aio.client.exceptions import (
    ApiException,
    ConflictException,
    NotFoundException,
    UnauthorizedException,
)

from kolony.errors import ConfigurationError, KolonyError, ServerError, Unavailable

_POD = Path("/var/run/secrets/kubernetes.io/serviceaccount")
"""Where a pod finds its service account."""

_PATIENCE = 1 / 6
"""The part of the lease's time after which a question is given up: a renewal must not keep the next one waiting."""


class KubernetesLease:
    """A lease that is held by writing one's name into a Lease object, again and again."""

    def __init__(self, *, name: str, namespace: str, holder: str, duration: float, kubeconfig: str) -> None:
        """Without a kubeconfig it is found with the service account of the pod, or else where kubectl looks.

        Without a namespace it is in that of the pod, or of the context in the kubeconfig.
        """
        self.duration = duration
        self._kubeconfig = kubeconfig
        self._name = name
        self._namespace = namespace
        self._holder = holder
        self._client: ApiClient | None = None
        self._seen = V1LeaseSpec()
        self._since = 0.0

    async def hold(self) -> bool:
        """Take the lease or renew it; whether this process holds it now.

        Raises:
            KolonyError: Kubernetes cannot be asked, or does not let us; nobody knows who holds the lease.
        """
        async with self._leases() as leases:
            lease = await self._read(leases)
            if lease is None:
                made = V1Lease(metadata=V1ObjectMeta(name=self._name), spec=self._renewed(V1LeaseSpec()))
                return await _wins(leases.create_namespaced_lease(self._namespace, made))
            spec = lease.spec or V1LeaseSpec()
            if not (self._is_ours(spec) or self._is_free(spec)):
                return False
            lease.spec = self._renewed(spec)
            return await _wins(leases.replace_namespaced_lease(self._name, self._namespace, lease))

    async def release(self) -> None:
        """Let the next one have the lease at once, if this process holds it."""
        async with self._leases() as leases:
            lease = await self._read(leases)
            if lease is None or lease.spec is None or not self._is_ours(lease.spec):
                return
            lease.spec.holder_identity = ""
            lease.spec.lease_duration_seconds = 1
            lease.spec.renew_time = _now()
            await _wins(leases.replace_namespaced_lease(self._name, self._namespace, lease))

    async def close(self) -> None:
        """Close the connections."""
        client, self._client = self._client, None
        if client is not None:
            await client.close()

    def _is_ours(self, spec: V1LeaseSpec) -> bool:
        return spec.holder_identity == self._holder

    def _is_free(self, spec: V1LeaseSpec) -> bool:
        now = time.monotonic()
        if spec != self._seen:
            self._seen, self._since = spec, now
        return not spec.holder_identity or now - self._since >= (spec.lease_duration_seconds or self.duration)

    def _renewed(self, spec: V1LeaseSpec) -> V1LeaseSpec:
        """What the object says once it is ours."""
        now = _now()
        if self._is_ours(spec):
            acquired, transitions = spec.acquire_time, spec.lease_transitions
        else:
            acquired, transitions = now, (spec.lease_transitions or 0) + (spec.acquire_time is not None)
        return V1LeaseSpec(
            holder_identity=self._holder,
            lease_duration_seconds=math.ceil(self.duration),
            acquire_time=acquired,
            renew_time=now,
            lease_transitions=transitions,
        )

    async def _read(self, leases: CoordinationV1Api) -> V1Lease | None:
        try:
            return await leases.read_namespaced_lease(self._name, self._namespace)
        except NotFoundException:
            return None

    @asynccontextmanager
    async def _leases(self) -> AsyncIterator[CoordinationV1Api]:
        """The API, for less time than there is between two renewals; its errors become ours."""
        try:
            async with asyncio.timeout(self.duration * _PATIENCE):
                yield CoordinationV1Api(self._client or await self._connect())
        except ApiException as error:
            if isinstance(error, UnauthorizedException):
                await self.close()  # the credentials may have been replaced: the next one reads them again
            raise self._explained(error) from error
        except (aiohttp.ClientError, OSError) as error:
            # What such an error says may hold the address of a proxy, with its password.
            raise Unavailable(f"the API of Kubernetes cannot be reached ({type(error).__name__})") from None

    async def _connect(self) -> ApiClient:
        configuration = Configuration()
        try:
            namespace = "" if self._kubeconfig else _pod_access(configuration)
            if not namespace:
                place = self._kubeconfig or config.KUBE_CONFIG_DEFAULT_LOCATION
                loader = await config.load_kube_config(place, client_configuration=configuration)
                namespace = loader.current_context["context"].get("namespace") or "default"
            self._client = ApiClient(configuration)
        except (config.ConfigException, yaml.YAMLError, OSError, TypeError, ValueError):
            # What such an error says may hold a part of the file, with its token.
            raise ConfigurationError(
                "no usable access to Kubernetes: run in a pod with a service account, or set KUBECONFIG to a valid file"
            ) from None
        self._namespace = self._namespace or namespace
        return self._client

    def _explained(self, error: ApiException) -> KolonyError:
        where = f"the Lease {self._name!r} in namespace {self._namespace!r}"
        if error.status == 401:
            return ConfigurationError(
                "Kubernetes does not know our credentials: check the service account or KUBECONFIG"
            )
        if error.status == 403:
            return ConfigurationError(
                f"Kubernetes refuses access to {where}: the service account needs the verbs get, create and update"
                " on leases of coordination.k8s.io there"
            )
        if error.status == 404:
            return ConfigurationError(f"there is no namespace {self._namespace!r}: set COLONIES_LEASE_NAMESPACE")
        if error.status == 422:
            return ConfigurationError(f"Kubernetes does not take {where}: check COLONIES_LEASE_NAME")
        if error.status == 429 or (error.status or 0) >= 500:
            return Unavailable(f"the API of Kubernetes is overloaded or down ({error.status} {error.reason})")
        return ServerError(f"Kubernetes answered {error.status} {error.reason} when asked for {where}")


def _pod_access(configuration: Configuration) -> str:
    """Use the service account of the pod; its namespace, or nothing when this is no pod."""
    if not _POD.exists():
        return ""
    config.load_incluster_config(client_configuration=configuration)
    return (_POD / "namespace").read_text().strip()


async def _wins(writing: Awaitable[V1Lease]) -> bool:
    """Whether a write was the first after what was read."""
    try:
        await writing
    except ConflictException:
        return False
    return True


def _now() -> datetime:
    """The time as Kubernetes reads it, which is never without a fraction."""
    now = datetime.now(UTC)
    return now.replace(microsecond=now.microsecond or 1)
