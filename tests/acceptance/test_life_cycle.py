"""The main job end to end: submit, assign, close, read the result."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

from colonies import Colony


def test_a_process_is_submitted_run_and_read(colony: Colony) -> None:
    executor = colony.add_executor("e1")
    submitted = colony.submit(args=["hello", 1.0, 12345678901234567890], kwargs={"k": [1e2]}, env={"A": "1"})
    assert submitted["state"] == 0
    assert submitted["spec"]["env"] == {"A": "1"}

    assigned = colony.assign(executor)
    assert assigned["processid"] == submitted["processid"]
    assert assigned["state"] == 1
    assert assigned["attempt"] == 1
    assert assigned["assignedexecutorid"] == executor.identity
    assert assigned["spec"]["args"] == ["hello", 1.0, 12345678901234567890]

    colony.rpc.ok("closesuccessfulmsg", executor, processid=assigned["processid"], out=["done", 2])
    read = colony.rpc.ok("getprocessmsg", colony.user_key, processid=assigned["processid"])
    assert read["state"] == 2
    assert read["out"] == ["done", 2]
    assert read["initiatorname"] == "alice"


def test_a_parked_executor_that_is_rejected_learns_of_it_at_once(colony: Colony) -> None:
    executor = colony.add_executor("e1")
    named = {"colonyname": colony.name, "executorname": "e1"}
    with ThreadPoolExecutor() as threads:
        parked = threads.submit(colony.rpc.call, "assignprocessmsg", executor, colonyname=colony.name, timeout=50)
        while colony.rpc.ok("getexecutormsg", colony.user_key, **named)["lastheardfromtime"].startswith("0001"):
            pass  # the server has not seen the call yet
        colony.rpc.ok("rejectexecutormsg", colony.colony_key, **named)
        assert parked.result(timeout=10).status == 404
    again = colony.rpc.call("assignprocessmsg", executor, colonyname=colony.name, timeout=50)
    assert again.status == 403
