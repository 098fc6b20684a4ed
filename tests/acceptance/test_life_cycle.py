"""The main job end to end: submit, assign, close, read the result."""

from __future__ import annotations

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
