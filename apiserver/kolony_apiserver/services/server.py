"""Rules of the server itself."""

from __future__ import annotations

from datetime import UTC

from msgspec import UNSET

from kolony.model.colonies import Statistics
from kolony.model.server import Backend, Cluster, Node, ServerInfo
from kolony.wire import server as wire
from kolony_apiserver.services.context import Context, Parts
from kolony_apiserver.services.identities import require_given, require_identity


async def statistics(context: Context, message: wire.GetStatistics) -> Statistics:
    """Counts of the whole server."""
    return await context.store.server.statistics()


async def cluster(context: Context, message: wire.GetCluster) -> Cluster:
    """This server as the only member of its cluster, and its leader."""
    settings = context.parts.settings
    node = Node(name="kolony", host=settings.host, apiport=settings.port)
    return Cluster(nodes=[node], leader=node)


async def change_id(context: Context, message: wire.ChangeServerId) -> wire.ChangeServerId:
    """Give the server owner a new key."""
    require_identity(message.serverid, message.failure, "server Id")
    await context.store.server.change_server_id(message.serverid)
    await context.members_changed([context.caller.identity, message.serverid])
    return message


def require_id(message: wire.ChangeServerId) -> None:
    """Refuse a change of key that names none."""
    require_given(message.serverid, message.failure, "colony Id")


def version(parts: Parts) -> wire.VersionReply:
    """The version of the server, for anyone."""
    return wire.VersionReply(buildversion=parts.settings.build_version, buildtime=parts.settings.build_time)


def info(parts: Parts) -> ServerInfo:
    """Version and listeners of the server, for anyone."""
    settings = parts.settings
    return ServerInfo(
        buildversion=settings.build_version,
        buildtime=settings.build_time or f"{parts.clock.now().astimezone(UTC):%Y-%m-%dT%H:%M:%SZ}",
        backends=[Backend(port=settings.port, host=settings.host or UNSET, tls=settings.reports_tls or UNSET)],
    )
