"""Users: adding, looking up, removing, and new keys."""

from __future__ import annotations

import base64
import json
from typing import Any

import pytest
from answers import refusal
from colonies import Answer, Colony, RunningServer, create_colony, envelope

from kolony.crypto import PrivateKey


def add(colony: Colony, name: str = "bob", key: PrivateKey | None = None, **fields: str) -> Answer:
    userid = (key or PrivateKey.generate()).identity
    user = {"colonyname": colony.name, "userid": userid, "name": name, **fields}
    return colony.rpc.call("addusermsg", colony.colony_key, user=user)


def is_member(colony: Colony, key: PrivateKey) -> bool:
    return colony.rpc.call("getcolonymsg", key, colonyname=colony.name).status == 200


def test_a_user_is_active_at_once(colony: Colony) -> None:
    key = PrivateKey.generate()
    added = add(colony, "bob", key, email="bob@example.com", phone="1").payload
    assert added == {
        "colonyname": colony.name,
        "userid": key.identity,
        "name": "bob",
        "email": "bob@example.com",
        "phone": "1",
    }
    of = {"colonyname": colony.name}
    assert colony.rpc.ok("getusermsg", key, **of, name="bob") == added
    assert colony.rpc.ok("getuserbyidmsg", key, **of, userid=key.identity) == added


def test_what_is_not_sent_is_empty(colony: Colony) -> None:
    user = {"colonyname": colony.name}
    added = colony.rpc.ok("addusermsg", colony.colony_key, user=user)
    assert added == {"colonyname": colony.name, "userid": "", "name": "", "email": "", "phone": ""}


def test_a_name_is_used_once_in_a_colony(server: RunningServer, colony: Colony) -> None:
    answer = add(colony, "alice")
    assert refusal(answer) == (400, f"A user with name <alice> already exists in Colony with name <{colony.name}>")
    assert add(colony, "Alice").status == 200
    assert add(create_colony(server), "bob").status == 200


def test_a_key_is_used_once_in_a_colony(server: RunningServer, colony: Colony) -> None:
    answer = add(colony, "bob", colony.user_key)
    text = f"A user with Id <{colony.user_key.identity}> already exists in Colony with name <{colony.name}>"
    assert refusal(answer) == (400, text)
    other = create_colony(server)
    assert add(other, "bob", colony.user_key).status == 200
    assert is_member(other, colony.user_key)


def test_users_are_listed_in_the_order_they_were_added(colony: Colony) -> None:
    for name in ("carol", "bob"):
        assert add(colony, name).status == 200
    listed = colony.rpc.ok("getusersmsg", colony.user_key, colonyname=colony.name)
    assert [user["name"] for user in listed] == ["alice", "carol", "bob"]


def test_a_colony_without_users_lists_null(colony: Colony) -> None:
    executor = colony.add_executor("e1")
    colony.rpc.ok("removeusermsg", colony.colony_key, colonyname=colony.name, name="alice")
    assert colony.rpc.ok("getusersmsg", executor, colonyname=colony.name) is None


def test_users_of_other_colonies_are_not_found(server: RunningServer, colony: Colony) -> None:
    other = create_colony(server)
    add(other, "bob")
    of = {"colonyname": colony.name}
    by_name = colony.rpc.call("getusermsg", colony.user_key, **of, name="bob")
    assert refusal(by_name) == (500, "Failed to get user, user is nil")
    by_id = colony.rpc.call("getuserbyidmsg", colony.user_key, **of, userid=other.user_key.identity)
    assert refusal(by_id) == (404, "Failed to get user by ID, user is nil")


def test_a_removed_user_is_out_and_its_name_is_free(colony: Colony) -> None:
    process = colony.submit()
    executor = colony.add_executor("e1")
    named = {"colonyname": colony.name, "name": "alice"}
    assert colony.rpc.ok("removeusermsg", colony.colony_key, **named) == {}
    assert not is_member(colony, colony.user_key)
    again = colony.rpc.call("removeusermsg", colony.colony_key, **named)
    assert refusal(again) == (400, "User with name <alice> not found")
    assert colony.rpc.ok("getprocessmsg", executor, processid=process["processid"]) == process
    assert add(colony, "alice", colony.user_key).status == 200
    assert is_member(colony, colony.user_key)


def test_an_owner_may_be_a_user_too(colony: Colony) -> None:
    assert not is_member(colony, colony.colony_key)
    add(colony, "owner", colony.colony_key)
    assert is_member(colony, colony.colony_key)
    colony.rpc.ok("removeusermsg", colony.colony_key, colonyname=colony.name, name="owner")
    assert not is_member(colony, colony.colony_key)
    colony.rpc.ok("pauseassignmentsmsg", colony.colony_key, colonyname=colony.name)


# New keys


def change(colony: Colony, key: PrivateKey, **fields: Any) -> Answer:
    return colony.rpc.call("changeuseridmsg", key, colonyname=colony.name, **fields)


def test_a_new_key_takes_effect_at_once(colony: Colony) -> None:
    new = PrivateKey.generate()
    text = f'{{"userid" : "{new.identity}", "colonyname":"{colony.name}", "msgtype":"changeuseridmsg", "x": 1.50}}'
    request = envelope(text.encode(), colony.user_key)
    status, reply = colony.rpc.post(json.dumps(request).encode())
    assert (status, base64.b64decode(json.loads(reply)["payload"])) == (200, text.encode())
    assert not is_member(colony, colony.user_key)
    assert colony.rpc.ok("getusermsg", new, colonyname=colony.name, name="alice")["userid"] == new.identity


@pytest.mark.parametrize("userid", ["u" * 63, "u" * 65], ids=["63", "65"])
def test_a_new_key_has_64_bytes(colony: Colony, userid: str) -> None:
    assert refusal(change(colony, colony.user_key, userid=userid)) == (
        400,
        "Failed to change user Id, new user Id is not 64 characters",
    )
    by_executor = change(colony, colony.add_executor("e1"), userid=userid)
    assert refusal(by_executor) == (400, "Failed to change user Id, user not found")


def test_a_key_in_use_is_no_new_key(colony: Colony) -> None:
    bob = PrivateKey.generate()
    add(colony, "bob", bob)
    assert refusal(change(colony, colony.user_key, userid=bob.identity))[0] == 400
    assert colony.rpc.ok("getusermsg", colony.user_key, colonyname=colony.name, name="bob")["userid"] == bob.identity


def test_the_same_user_elsewhere_keeps_its_key(server: RunningServer, colony: Colony) -> None:
    other = create_colony(server)
    add(other, "alice2", colony.user_key)
    assert change(colony, colony.user_key, userid=PrivateKey.generate().identity).status == 200
    assert is_member(other, colony.user_key)
