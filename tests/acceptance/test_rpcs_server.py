"""The server itself: statistics, cluster, version, and a new key for its owner."""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import UTC, datetime

import pytest
from answers import refusal
from clocked import ClockedServer
from colonies import RunningServer, create_database

from kolony.crypto import PrivateKey

StartServer = Callable[..., RunningServer]


def test_statistics_are_filled(database_dsn: str) -> None:
    with ClockedServer(database_dsn) as server:
        colonies = [server.colony() for _ in range(2)]
        for colony in colonies:
            executor = colony.add_executor("e1")
            colony.add_executor("e2", approve=False)
            colony.add_executor("e3")
            colony.rpc.ok("removeexecutormsg", colony.colony_key, colonyname=colony.name, executorname="e3")
            for closing in ("closesuccessfulmsg", "closefailedmsg", "cancelprocessmsg"):
                colony.submit()
                colony.rpc.ok(closing, executor, processid=colony.assign(executor)["processid"])
            for _ in range(3):
                colony.submit()
            colony.assign(executor)
        statistics = server.rpc.ok("getstatisticsmsg", server.server_key)
        server.fold_counts()
        assert server.rpc.ok("getstatisticsmsg", server.server_key) == statistics
    assert statistics == {
        "colonies": 2,
        "executors": 4,  # without the removed ones
        "activeexecutors": 2,
        "unregisteredexecutors": 2,
        "waitingprocesses": 4,
        "runningprocesses": 2,
        "successfulprocesses": 2,
        "failedprocesses": 2,
        "cancelledprocesses": 2,
        "waitingworkflows": 0,
        "runningworkflows": 0,
        "successfulworkflows": 0,
        "failedworkflows": 0,
        "cancelledworkflows": 0,
    }


def test_a_single_server_is_its_own_leader(server: RunningServer) -> None:
    cluster = server.rpc.ok("getclustermsg", server.server_key)
    assert cluster["nodes"] == [cluster["leader"]]
    assert (cluster["leader"]["host"], cluster["leader"]["apiport"]) == (server.host, server.port)


def test_the_version_is_that_of_the_build(new_server: StartServer) -> None:
    build = {"buildversion": "1.2.3", "buildtime": "2026-02-12T14:10:23Z"}
    server = new_server(
        BUILD_VERSION=build["buildversion"], BUILD_TIME=build["buildtime"], COLONIES_SERVER_HTTP_TLS="true"
    )
    assert server.rpc.ok("versionmsg", None) == {**build, "msgtype": "versionmsg"}
    assert server.rpc.ok("getserverinfomsg", None) == {
        **build,
        "backends": [{"type": "http", "port": server.port, "host": server.host, "tls": True}],
    }


def test_without_a_build_time_the_info_shows_the_time(server: RunningServer) -> None:
    info = server.rpc.ok("getserverinfomsg", None)
    assert info["buildversion"] == "dev"
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", info["buildtime"])
    assert abs((datetime.fromisoformat(info["buildtime"]) - datetime.now(UTC)).total_seconds()) < 10
    assert info["backends"] == [{"type": "http", "port": server.port, "host": server.host}]


def test_a_new_key_counts_at_once_and_after_a_restart(new_server: StartServer, postgres_dsn: str) -> None:
    dsn = create_database(postgres_dsn)
    server, new = new_server(dsn), PrivateKey.generate()
    server.rpc.ok("changeserveridmsg", server.server_key, serverid=new.identity)
    refused = (403, "Access denied, not server owner")
    assert refusal(server.rpc.call("getcoloniesmsg", server.server_key)) == refused
    assert server.rpc.call("getcoloniesmsg", new).status == 200
    server.stop()
    # what the environment says counts only for a database that has no owner yet
    again = new_server(dsn, COLONIES_SERVER_ID=server.server_key.identity)
    assert refusal(again.rpc.call("getcoloniesmsg", server.server_key)) == refused
    assert again.rpc.call("getcoloniesmsg", new).status == 200


@pytest.mark.parametrize("serverid", ["s", "s" * 63, "s" * 65], ids=["1", "63", "65"])
def test_a_new_key_has_64_bytes(server: RunningServer, serverid: str) -> None:
    answer = server.rpc.call("changeserveridmsg", server.server_key, serverid=serverid)
    assert refusal(answer) == (400, "Failed to change colony Id, new server Id is not 64 characters")
    assert server.rpc.call("getcoloniesmsg", server.server_key).status == 200
