"""Colonies: adding, listing, removing with all that is in them, statistics, and a new key for the owner."""

from __future__ import annotations

import base64
import json
import secrets
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from answers import refusal
from clocked import ClockedServer
from colonies import Colony, RunningServer, create_colony, envelope

from kolony.crypto import PrivateKey


@pytest.fixture
def new_name() -> str:
    return f"colony-{secrets.token_hex(6)}"


@pytest.fixture
def clocked(database_dsn: str) -> Iterator[ClockedServer]:
    with ClockedServer(database_dsn) as server:
        yield server


def add(server: RunningServer, **colony: Any) -> Any:
    return server.rpc.call("addcolonymsg", server.server_key, colony=colony)


def listed(server: RunningServer, prefix: str) -> list[str]:
    colonies = server.rpc.ok("getcoloniesmsg", server.server_key) or []
    return [colony["name"] for colony in colonies if colony["name"].startswith(prefix)]


@pytest.mark.parametrize("colonyid", ["", "c" * 63, "c" * 65, "å" * 33], ids=["none", "63", "65", "66"])
def test_the_key_of_an_owner_has_64_bytes(server: RunningServer, new_name: str, colonyid: str) -> None:
    answer = add(server, name=new_name, colonyid=colonyid)
    assert refusal(answer) == (400, "Failed to add colony, invalid colony Id length")
    assert listed(server, new_name) == []


@pytest.mark.parametrize("colonyid", ["z" * 64, "å" * 32], ids=["no hex", "two bytes each"])
def test_what_the_64_bytes_are_is_not_looked_at(server: RunningServer, new_name: str, colonyid: str) -> None:
    assert add(server, name=new_name, colonyid=colonyid).payload == {"colonyid": colonyid, "name": new_name}


def test_a_name_is_used_once(server: RunningServer, new_name: str) -> None:
    assert add(server, name=new_name, colonyid="a" * 64).status == 200
    again = add(server, name=new_name, colonyid="b" * 64)
    assert refusal(again) == (400, f"A Colony with name <{new_name}> already exists")
    assert refusal(add(server, name=new_name, colonyid="b"))[1] == "Failed to add colony, invalid colony Id length"
    assert add(server, name=new_name.upper(), colonyid="b" * 64).status == 200
    assert listed(server, new_name) == [new_name]


def test_a_colony_has_a_name(server: RunningServer) -> None:
    assert refusal(add(server, name="", colonyid="a" * 64)) == (400, "Failed to add colony, colony name is empty")


def test_one_key_may_own_several_colonies(server: RunningServer, new_name: str) -> None:
    key = PrivateKey.generate()
    for name in (f"{new_name}-1", f"{new_name}-2"):
        # the answer is the colony just added, not the first of this owner
        assert add(server, name=name, colonyid=key.identity).payload == {"colonyid": key.identity, "name": name}
        server.rpc.ok("addusermsg", key, user={"colonyname": name, "name": "u", "userid": key.identity})
        assert server.rpc.ok("getcolonymsg", key, colonyname=name)["name"] == name


def test_colonies_are_listed_in_the_order_they_were_added(server: RunningServer, new_name: str) -> None:
    names = [f"{new_name}-{letter}" for letter in "cab"]
    for name in names:
        assert add(server, name=name, colonyid="a" * 64).status == 200
    assert listed(server, new_name) == names


def test_a_server_without_colonies_lists_null(clocked: ClockedServer) -> None:
    assert clocked.rpc.ok("getcoloniesmsg", clocked.server_key) is None


def test_only_what_is_right_is_looked_at_after_the_role(colony: Colony) -> None:
    answer = colony.rpc.call("addcolonymsg", colony.colony_key, colony=None)
    assert refusal(answer) == (403, "Access denied, not server owner")


# Removal


def fill(colony: Colony) -> PrivateKey:
    """One of everything in a colony; the key of its executor."""
    of = {"colonyname": colony.name}
    executor = colony.add_executor("e1")
    colony.rpc.ok("addfunctionmsg", executor, fun={**of, "executorname": "e1", "funcname": "f"})
    colony.rpc.ok("addlocationmsg", colony.colony_key, location={**of, "name": "home"})
    colony.rpc.ok("addexecutorlogmsg", executor, **of, executorname="e1", message="hello")
    for state in ("successful", "failed"):
        processid = colony.submit(env={"A": "1"}) and colony.assign(executor)["processid"]
        colony.rpc.ok(f"close{state}msg", executor, processid=processid)
    colony.rpc.ok("cancelprocessmsg", colony.user_key, processid=colony.submit()["processid"])
    colony.submit()
    colony.assign(executor)
    colony.submit(idempotencykey="once")
    colony.rpc.ok("pauseassignmentsmsg", colony.colony_key, **of)
    return executor


def test_nothing_is_left_of_a_removed_colony(colony: Colony) -> None:
    executor, of = fill(colony), {"colonyname": colony.name}
    owner = {"name": colony.name, "colonyid": colony.colony_key.identity}
    running = colony.rpc.ok("getprocessesmsg", colony.user_key, **of, state=1, count=1)[0]
    assert colony.rpc.ok("removecolonymsg", colony.server_key, **of) == {}

    gone = (403, f"Colony with name <{colony.name}> does not exists")
    for member in (executor, colony.user_key):
        assert refusal(colony.rpc.call("getcolonymsg", member, **of)) == gone
    lost = colony.rpc.call("closesuccessfulmsg", executor, processid=running["processid"])
    assert refusal(lost)[0] in (403, 500)

    colony.rpc.ok("addcolonymsg", colony.server_key, colony=owner)
    user = {**of, "userid": colony.user_key.identity, "name": "anna"}
    colony.rpc.ok("addusermsg", colony.colony_key, user=user)
    assert colony.rpc.ok("getusersmsg", colony.user_key, **of) == [{**user, "email": "", "phone": ""}]
    for listing in ("getexecutorsmsg", "getlocationsmsg", "getfunctionsmsg"):
        assert colony.rpc.ok(listing, colony.user_key, **of) is None
    assert colony.rpc.ok("searchlogsmsg", colony.user_key, **of, text="", days=1, count=9) is None
    counts = colony.rpc.ok("getcolonystatsmsg", colony.user_key, **of)
    assert {name: count for name, count in counts.items() if count} == {"colonies": 1}
    for state in range(5):
        assert colony.rpc.ok("getprocessesmsg", colony.user_key, **of, state=state, count=9) is None
    assert colony.rpc.ok("getpausestatusmsg", colony.user_key, **of)["ispaused"] is False


def test_a_colony_of_the_same_name_works_at_once(colony: Colony) -> None:
    fill(colony)
    colony.rpc.ok("removecolonymsg", colony.server_key, colonyname=colony.name)
    owner = {"name": colony.name, "colonyid": colony.colony_key.identity}
    colony.rpc.ok("addcolonymsg", colony.server_key, colony=owner)
    user = {"colonyname": colony.name, "userid": colony.user_key.identity, "name": "alice"}
    colony.rpc.ok("addusermsg", colony.colony_key, user=user)
    executor = colony.add_executor("e1")
    submitted = colony.submit(idempotencykey="once")
    assert colony.assign(executor)["processid"] == submitted["processid"]


def test_another_colony_stays(server: RunningServer, colony: Colony) -> None:
    other = create_colony(server)
    executor = fill(other)
    before = other.rpc.ok("getcolonystatsmsg", executor, colonyname=other.name)
    colony.rpc.ok("removecolonymsg", colony.server_key, colonyname=colony.name)
    assert other.rpc.ok("getcolonystatsmsg", executor, colonyname=other.name) == before


def test_a_colony_is_removed_once(colony: Colony) -> None:
    colony.rpc.ok("removecolonymsg", colony.server_key, colonyname=colony.name)
    again = colony.rpc.call("removecolonymsg", colony.server_key, colonyname=colony.name)
    assert refusal(again) == (400, f"Colony with name <{colony.name}> not found")


# Statistics


def test_the_statistics_of_a_colony(colony: Colony) -> None:
    executor = colony.add_executor("e1")
    for name in ("pending", "rejected", "removed"):
        colony.add_executor(name, approve=name != "pending")
    for name, change in (("rejected", "rejectexecutormsg"), ("removed", "removeexecutormsg")):
        colony.rpc.ok(change, colony.colony_key, colonyname=colony.name, executorname=name)
    for closing in ["closesuccessfulmsg"] * 3 + ["closefailedmsg"] * 2:
        colony.submit()
        colony.rpc.ok(closing, executor, processid=colony.assign(executor)["processid"])
    for _ in range(6):
        colony.submit()
    colony.assign(executor)
    colony.rpc.ok("cancelprocessmsg", colony.user_key, processid=colony.assign(executor)["processid"])
    assert colony.rpc.ok("getcolonystatsmsg", colony.user_key, colonyname=colony.name) == {
        "colonies": 1,
        "executors": 4,
        "activeexecutors": 1,
        "unregisteredexecutors": 1,
        "waitingprocesses": 4,
        "runningprocesses": 1,
        "successfulprocesses": 3,
        "failedprocesses": 2,
        "cancelledprocesses": 1,
        "waitingworkflows": 0,
        "runningworkflows": 0,
        "successfulworkflows": 0,
        "failedworkflows": 0,
        "cancelledworkflows": 0,
    }


# A new key for the owner


@pytest.fixture
def send_text(colony: Colony) -> Callable[[str, PrivateKey], tuple[int, bytes]]:
    """Sends a message to the letter; the reply's payload is left as it came."""

    def send(text: str, key: PrivateKey) -> tuple[int, bytes]:
        request = envelope(text.encode(), key)
        status, reply = colony.rpc.post(json.dumps(request).encode())
        return status, base64.b64decode(json.loads(reply)["payload"])

    return send


def test_a_new_owner_key_takes_effect_at_once(
    colony: Colony, send_text: Callable[[str, PrivateKey], tuple[int, bytes]]
) -> None:
    new = PrivateKey.generate()
    text = f'{{ "colonyid":"{new.identity}",  "colonyname":"{colony.name}" , "more":[1],"msgtype":"changecolonyidmsg"}}'
    assert send_text(text, colony.colony_key) == (200, text.encode())
    name = {"colonyname": colony.name}
    answer = colony.rpc.call("pauseassignmentsmsg", colony.colony_key, **name)
    assert refusal(answer) == (403, "Access denied, not colony owner")
    assert colony.rpc.ok("pauseassignmentsmsg", new, **name) == {}
    assert colony.rpc.ok("getcolonymsg", colony.user_key, **name)["colonyid"] == new.identity


@pytest.mark.parametrize("colonyid", ["c" * 63, "c" * 65], ids=["63", "65"])
def test_a_new_owner_key_has_64_bytes(colony: Colony, colonyid: str) -> None:
    fields = {"colonyname": colony.name, "colonyid": colonyid}
    answer = colony.rpc.call("changecolonyidmsg", colony.colony_key, **fields)
    assert refusal(answer) == (400, "Failed to change colony Id, new colony Id is not 64 characters")
    assert refusal(colony.rpc.call("changecolonyidmsg", colony.user_key, **fields))[0] == 403


def test_other_colonies_of_the_owner_keep_their_key(server: RunningServer, colony: Colony, new_name: str) -> None:
    assert add(server, name=new_name, colonyid=colony.colony_key.identity).status == 200
    new = PrivateKey.generate()
    colony.rpc.ok("changecolonyidmsg", colony.colony_key, colonyname=colony.name, colonyid=new.identity)
    assert colony.rpc.ok("pauseassignmentsmsg", colony.colony_key, colonyname=new_name) == {}
    assert refusal(colony.rpc.call("pauseassignmentsmsg", new, colonyname=new_name))[0] == 403
