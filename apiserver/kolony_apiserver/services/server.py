"""Rules of the server itself."""

from __future__ import annotations

from datetime import UTC

from msgspec import UNSET

from kolony.model.colonies import Statistics
from kolony.model.server import Backend, Cluster, Node, ServerInfo
from kolony.wire import server as wire
from kolony_apiserver.services.context import Context, Parts
from kolony_apiserver.services.identities import require_given, require_identity
from kolony_apiserver.store.servers import Member


async def statistics(context: Context, message: wire.GetStatistics) -> Statistics:
    """Counts of the whole server."""
    return await context.store.server.statistics()


async def cluster(context: Context, message: wire.GetCluster) -> Cluster:
    """The servers, and who leads them in which term."""
    roster = context.parts.roster
    await roster.refresh()
    leader, leadership = roster.leader, roster.leadership
    return Cluster(
        nodes=[_node(member) for member in roster.members],
        leader=Node() if leader is None else _node(leader),
        term=leadership.term,
        since=UNSET if leader is None or leadership.since is None else leadership.since,
    )


def _node(member: Member) -> Node:
    return Node(name=member.name, host=member.host, apiport=member.apiport, relayport=member.relayport)


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
