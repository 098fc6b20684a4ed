"""Locations: a directory of places, which nothing else is checked against."""

from __future__ import annotations

from typing import Any

from answers import refusal
from colonies import Answer, Colony, RunningServer, create_colony


def add(colony: Colony, name: str = "home", **fields: Any) -> Answer:
    location = {"colonyname": colony.name, "name": name, **fields}
    return colony.rpc.call("addlocationmsg", colony.colony_key, location=location)


def test_a_location_is_stored_as_sent(colony: Colony) -> None:
    fields = {"locationid": "x", "description": "d", "long": -22.125, "lat": 65.5}
    added = add(colony, **fields).payload
    assert added == {"colonyname": colony.name, "name": "home", **fields}
    assert colony.rpc.ok("getlocationmsg", colony.user_key, colonyname=colony.name, name="home") == added


def test_what_is_not_sent_is_empty(colony: Colony) -> None:
    assert add(colony).payload == {
        "locationid": "",
        "name": "home",
        "colonyname": colony.name,
        "description": "",
        "long": 0,
        "lat": 0,
    }


def test_a_name_is_used_once_in_a_colony(server: RunningServer, colony: Colony) -> None:
    assert add(colony, locationid="same").status == 200
    answer = add(colony)
    assert refusal(answer) == (400, f"A location with name <home> already exists in Colony with name <{colony.name}>")
    assert add(colony, "Home", locationid="same").status == 200
    assert add(create_colony(server)).status == 200


def test_locations_are_listed_in_the_order_they_were_added(colony: Colony) -> None:
    of = {"colonyname": colony.name}
    assert colony.rpc.ok("getlocationsmsg", colony.user_key, **of) is None
    for name in "cab":
        add(colony, name)
    assert [each["name"] for each in colony.rpc.ok("getlocationsmsg", colony.user_key, **of)] == ["c", "a", "b"]


def test_a_removed_location_keeps_its_place_in_executors(colony: Colony) -> None:
    add(colony)
    executor = colony.add_executor("e1", locationname="home")
    named = {"colonyname": colony.name, "name": "home"}
    assert colony.rpc.ok("removelocationmsg", colony.colony_key, **named) == {}
    again = colony.rpc.call("removelocationmsg", colony.colony_key, **named)
    assert refusal(again) == (400, "Location with name <home> not found")
    assert refusal(colony.rpc.call("getlocationmsg", colony.user_key, **named)) == (
        404,
        "Failed to get location, location is nil",
    )
    submitted = colony.submit(conditions={"locationname": "home"})
    assert colony.assign(executor)["processid"] == submitted["processid"]
    assert add(colony).status == 200
