"""The command about the servers."""

from __future__ import annotations

import typer
from msgspec import UNSET

from kolony.cli.context import connect_as_server_owner
from kolony.cli.output import Output, OutputOption, moment, show_list, show_one
from kolony.model.server import Cluster, Node


def show_cluster(ctx: typer.Context, output: OutputOption = Output.TABLE) -> None:
    """Show the servers, and which one leads, in which term and since when (needs the server owner's key)."""
    with connect_as_server_owner(ctx) as client:
        cluster = client.server.cluster()
    if output is not Output.TABLE:
        show_one(cluster, (), output)
        return
    columns = (
        ("NAME", lambda node: node.name),
        ("API", lambda node: f"{node.host}:{node.apiport}"),
        ("RELAY", lambda node: f"{node.host}:{node.relayport}" if node.relayport else ""),
        ("LEADS", lambda node: _leads(node, cluster)),
    )
    show_list(cluster.nodes or [], columns, output)


def _leads(node: Node, cluster: Cluster) -> str:
    """Whether a server leads, with its term and since when as far as the server tells."""
    if node != cluster.leader:
        return ""
    if cluster.term is UNSET or cluster.since is UNSET:
        return "yes"
    return f"term {cluster.term} since {moment(cluster.since)}"
