"""Leases: what one server at a time can hold, and loses when it does not renew it."""

from __future__ import annotations

from typing import Protocol

from kolony.errors import ConfigurationError
from kolony_apiserver.settings import Settings
from kolony_apiserver.store.database import Database
from kolony_apiserver.store.leadership import LeaseWrites

ROW_DURATION = 2.0
"""Seconds for which a lease in the database lasts, unless the settings say otherwise."""

KUBERNETES_DURATION = 6.0
"""Seconds for which a lease in Kubernetes lasts, unless the settings say otherwise."""


class Lease(Protocol):
    """A lease, as one server sees it."""

    duration: float
    """Seconds for which it is held unless it is renewed."""

    async def hold(self) -> bool:
        """Take it if nobody has it, or renew it; whether it is held from now on."""

    async def release(self) -> None:
        """Let somebody else have it at once."""

    async def close(self) -> None:
        """Close the connection to whoever keeps it."""


class RowLease:
    """A lease as a row in PostgreSQL, which runs out by the clock of the database."""

    def __init__(self, database: Database, *, name: str, holder: str, duration: float) -> None:
        self.duration = duration
        self._writes = LeaseWrites(database)
        self._name = name
        self._holder = holder

    async def hold(self) -> bool:
        """Take it if nobody has it, or renew it; whether it is held from now on."""
        return await self._writes.hold(self._name, self._holder, duration=self.duration)

    async def release(self) -> None:
        """Let somebody else have it at once."""
        await self._writes.release(self._name, self._holder)

    async def close(self) -> None:
        """Close the connection."""
        await self._writes.close()


def lease_of(settings: Settings, database: Database, holder: str) -> Lease:
    """The lease that the settings choose."""
    if settings.lease == "database":
        duration = settings.lease_duration or ROW_DURATION
        return RowLease(database, name=settings.lease_name, holder=holder, duration=duration)
    try:
        # It takes a second to load.
        from kolony_apiserver.cluster.kubernetes import KubernetesLease
    except ModuleNotFoundError as error:
        raise ConfigurationError(
            f"COLONIES_LEASE=kubernetes needs the package {error.name}: pip install 'kolony[k8s]'"
        ) from error
    return KubernetesLease(
        name=settings.lease_name,
        namespace=settings.lease_namespace,
        holder=holder,
        duration=settings.lease_duration or KUBERNETES_DURATION,
        kubeconfig=settings.kubeconfig,
    )
