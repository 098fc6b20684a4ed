"""The server itself: its version, its listeners, and the cluster it belongs to."""

from __future__ import annotations

from datetime import datetime

from msgspec import UNSET

from kolony.model.base import Model, Sparse


class Node(Model):
    """One server of a cluster; ports that Kolony does not have are 0."""

    name: str = ""
    host: str = ""
    port: int = 0
    peerport: int = 0
    relayport: int = 0
    apiport: int = 0


class Cluster(Model):
    """The servers of a cluster and the one that leads, in which term and since when; ColonyOS tells no term."""

    nodes: list[Node] | None = None
    leader: Node = Node()
    term: Sparse[int] = UNSET
    since: Sparse[datetime] = UNSET


class Backend(Model):
    """One listener of a server."""

    type: str = "http"
    port: int = 0
    host: Sparse[str] = UNSET
    tls: Sparse[bool] = UNSET
    insecure: Sparse[bool] = UNSET


class ServerInfo(Model):
    """What a server says about itself without a signature."""

    buildversion: str = ""
    buildtime: str = ""
    backends: list[Backend] = []
