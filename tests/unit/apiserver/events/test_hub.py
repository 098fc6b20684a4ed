"""Delivery of events inside a server: to everyone who wants them, and to nobody else."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from msgspec import Raw
from msgspec.structs import replace

from kolony.model.base import NO_TIME
from kolony.model.functionspecs import Conditions, FunctionSpec
from kolony.model.processes import Process, ProcessState
from kolony_apiserver.events.hub import (
    BACKLOG,
    Event,
    Hub,
    Queue,
    as_it_was,
    came_into,
    process_topic,
    type_topic,
)


def process(processid: str = "p1", state: int = ProcessState.WAITING, **conditions: Any) -> Process[Raw]:
    spec: FunctionSpec[Raw] = FunctionSpec(
        conditions=Conditions(**{"colonyname": "dev", "executortype": "cli", **conditions})
    )
    return Process(processid=processid, state=state, spec=spec)


def received(queue: Queue) -> list[tuple[str, int]]:
    """What a subscriber has been told: ids and states."""
    events = []
    while not queue.empty():
        event = queue.get_nowait()
        events.append((event.processid, event.state))
    return events


def test_a_process_is_followed_by_its_id_and_state() -> None:
    hub = Hub()
    with hub.subscribe(process_topic("dev", "p1", ProcessState.SUCCESS)) as queue:
        for each in (
            process("p1", ProcessState.RUNNING),
            process("p2", ProcessState.SUCCESS),
            process("p1", ProcessState.SUCCESS),
        ):
            hub.publish(each)
        assert received(queue) == [("p1", 2)]


def test_all_of_a_type_are_followed_in_one_colony_and_state() -> None:
    hub = Hub()
    with hub.subscribe(type_topic("dev", "cli", ProcessState.WAITING)) as queue:
        for each in (
            process("p1"),
            process("p2", executortype="cli1"),
            process("p3", colonyname="other"),
            process("p4", ProcessState.RUNNING),
            process("p5", locationname="umeå"),
        ):
            hub.publish(each)
        assert received(queue) == [("p1", 0), ("p5", 0)]


def test_every_subscriber_gets_every_event() -> None:
    hub = Hub()
    topic = type_topic("dev", "cli", ProcessState.WAITING)
    with (
        hub.subscribe(topic) as first,
        hub.subscribe(topic) as second,
        hub.subscribe(process_topic("dev", "p1", 0)) as third,
    ):
        hub.publish(process("p1"))
        hub.publish(process("p2"))
        assert received(first) == received(second) == [("p1", 0), ("p2", 0)]
        assert received(third) == [("p1", 0)]


def test_a_process_and_a_colony_of_the_same_name_are_not_confused() -> None:
    hub = Hub()
    with hub.subscribe(process_topic("dev", "dev", ProcessState.WAITING)) as queue:
        hub.publish(process("p1", colonyname="dev", executortype="cli"))
        assert received(queue) == []


def test_who_falls_behind_loses_the_oldest_and_holds_up_nobody() -> None:
    hub = Hub()
    topic = type_topic("dev", "cli", ProcessState.WAITING)
    with hub.subscribe(topic) as slow, hub.subscribe(topic) as quick:
        for number in range(BACKLOG + 3):
            hub.publish(process(f"p{number}"))
            assert received(quick) == [(f"p{number}", 0)]
        assert received(slow) == [(f"p{number}", 0) for number in range(3, BACKLOG + 3)]


def test_events_are_wanted_only_while_somebody_subscribes() -> None:
    hub = Hub()

    def wanted(**changes: Any) -> bool:
        event = {"processid": "p1", "colonyname": "dev", "executortype": "cli", "state": 2}
        return hub.wanted(Event(**{**event, **changes}))

    assert not wanted()
    with hub.subscribe(process_topic("dev", "p1", 2)):
        assert wanted()
        assert not wanted(processid="p2")
        assert not wanted(state=3)
    assert not wanted()
    with hub.subscribe(type_topic("dev", "cli", 2)):
        assert wanted(processid="p2")
        assert not wanted(colonyname="other")
        assert not wanted(executortype="gpu")
    assert not wanted()


def test_who_left_is_told_nothing_and_forgotten() -> None:
    hub = Hub()
    topic = process_topic("dev", "p1", ProcessState.WAITING)
    with hub.subscribe(topic) as stays:
        with pytest.raises(RuntimeError, match="gone"), hub.subscribe(topic) as leaves:
            raise RuntimeError("gone")
        hub.publish(process("p1"))
        assert received(leaves) == []
        assert received(stays) == [("p1", 0)]
    assert hub._queues == {}


def test_an_event_that_comes_again_is_delivered_once() -> None:
    """Until the process has been tried again: then it waits and runs once more."""
    hub = Hub()
    with hub.subscribe(process_topic("dev", "p1", ProcessState.WAITING)) as queue:
        first, again = process("p1"), replace(process("p1"), attempt=1)
        for each in (first, first, again, first, again):
            hub.publish(each)
        assert received(queue) == [("p1", 0), ("p1", 0)]


def test_who_follows_a_type_hears_nothing_from_before() -> None:
    hub = Hub()
    noon = datetime(2026, 1, 1, 12, tzinfo=UTC)
    with (
        hub.subscribe(type_topic("dev", "cli", ProcessState.WAITING), noon) as all_of_type,
        hub.subscribe(process_topic("dev", "p1", ProcessState.WAITING), noon) as one,
    ):
        hub.deliver(process("p1"), since=noon - timedelta(seconds=1))
        hub.deliver(process("p2"), since=noon)
        assert received(all_of_type) == [("p2", 0)]
        assert received(one) == [("p1", 0)]


def test_other_servers_are_told_of_what_is_published_and_not_of_what_is_delivered() -> None:
    class Others:
        def __init__(self) -> None:
            self.follow: list[tuple[str, int]] = []
            self.told: list[Event] = []

        def followed(self, followed: tuple[str, int]) -> None:
            self.follow.append(followed)

        def changed(self, event: Event) -> None:
            self.told.append(event)

    hub, others = Hub(), Others()
    hub.elsewhere = others
    hub.publish(process("p1"))
    hub.deliver(process("p2"))
    assert others.told == [Event("p1", "dev", "cli", 0)]
    with hub.subscribe(process_topic("dev", "p1", 2)):
        assert others.follow == [("dev", 2)]
        assert dict(hub.followed) == {("dev", 2): 1}
    assert not hub.followed


def test_a_process_is_shown_as_it_was() -> None:
    ran = replace(
        process("p1", ProcessState.SUCCESS),
        attempt=2,
        isassigned=True,
        assignedexecutorid="e1",
        submissiontime=datetime(2026, 1, 1, 1, tzinfo=UTC),
        starttime=datetime(2026, 1, 1, 2, tzinfo=UTC),
        endtime=datetime(2026, 1, 1, 3, tzinfo=UTC),
        output=[Raw(b"1")],
    )
    waited, running = as_it_was(ran, ProcessState.WAITING), as_it_was(ran, ProcessState.RUNNING)
    assert (waited.state, waited.attempt, waited.isassigned, waited.starttime, waited.output) == (
        0,
        1,
        False,
        NO_TIME,
        [],
    )
    assert (running.state, running.attempt, running.isassigned, running.endtime) == (1, 2, True, NO_TIME)
    assert as_it_was(ran, ProcessState.SUCCESS) is ran
    hours = [None if (time := came_into(ran, state)) is None else time.hour for state in range(5)]
    assert hours == [1, 2, 3, None, None]
