"""The command line against a real server, with a worker that does what it asks for."""

from __future__ import annotations

import asyncio
import json
import queue
import re
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
import yaml
from colonies import Colony
from command import Finished, run_kolony

from kolony import Worker, current_process

PATIENCE = 30


class Shell:
    """A person with a colony's settings in the environment."""

    def __init__(self, colony: Colony) -> None:
        self._environment = {
            "COLONIES_SERVER_HOST": colony.host,
            "COLONIES_SERVER_PORT": str(colony.port),
            "COLONIES_TLS": "false",
            "COLONIES_COLONY_NAME": colony.name,
            "COLONIES_PRVKEY": colony.user_key.hex,
            "COLONIES_COLONY_PRVKEY": colony.colony_key.hex,
            "COLONIES_SERVER_PRVKEY": colony.server_key.hex,
        }

    def run(self, *args: str, **environment: str) -> Finished:
        return run_kolony(*args, **{**self._environment, **environment})

    def ok(self, *args: str) -> str:
        """The output of a command that has to succeed without a complaint."""
        done = self.run(*args)
        assert (done.code, done.err) == (0, "")
        return done.out

    def json(self, *args: str) -> Any:
        return json.loads(self.ok(*args, "-o", "json"))

    def submit(self, *args: str) -> str:
        return self.ok("submit", *args, "--type", "py").strip()


@pytest.fixture
def shell(colony: Colony) -> Shell:
    return Shell(colony)


@pytest.fixture
def release() -> threading.Event:
    """Lets the function ``hold`` go on."""
    return threading.Event()


@pytest.fixture
def held() -> queue.Queue[str]:
    """The processes that ``hold`` runs for."""
    return queue.Queue()


@pytest.fixture
def worker(colony: Colony, release: threading.Event, held: queue.Queue[str]) -> Iterator[Worker]:
    """A worker in the background."""
    worker = Worker(
        "w",
        "py",
        concurrency=2,
        host=colony.host,
        port=colony.port,
        tls=False,
        colony=colony.name,
        colony_key=colony.colony_key,
    )

    @worker.function
    def echo(*args: Any, **kwargs: Any) -> list[Any]:
        current_process().log(f"echoing {len(args)} arguments")
        return [*args, *kwargs.values()]

    @worker.function
    def give() -> str:
        return "given"

    @worker.function
    def take() -> list[Any]:
        return current_process().input

    @worker.function
    def fail() -> None:
        raise ValueError("no good")

    @worker.function
    def hold() -> str:
        current_process().log("holding")
        held.put(current_process().process.processid)
        release.wait(PATIENCE)
        current_process().log("released")
        return "held"

    with ThreadPoolExecutor(1) as pool:
        serving = pool.submit(lambda: asyncio.run(worker.serve()))
        yield worker
        release.set()
        worker.stop()
        serving.result(PATIENCE)


def test_a_submitted_function_is_shown_by_its_id(shell: Shell) -> None:
    submitted = shell.submit("echo", "hello", "--priority", "3", "--label", "l", "--kwarg", "k=[1]", "--env", "A=b")
    shown = shell.json("process", "get", submitted)
    assert (shown["processid"], shown["state"]) == (submitted, 0)
    spec = shown["spec"]
    assert (spec["args"], spec["kwargs"], spec["env"]) == (["hello"], {"k": [1]}, {"A": "b"})
    assert (spec["priority"], spec["label"], spec["maxexectime"]) == (3, "l", -1)
    assert shell.json("submit", "echo", "--type", "py")["spec"]["funcname"] == "echo"


def test_waiting_shows_what_happens_and_gives_the_output(shell: Shell, worker: Worker) -> None:
    done = shell.run("submit", "echo", "hello", "5", '{"a": 1}', "--type", "py", "--wait")
    assert (done.code, done.out) == (0, 'hello\n5\n{"a":1}\n')
    told = done.err.splitlines()
    assert told[0] == "running on w"
    assert told[1] == "echoing 3 arguments"
    assert told[2].startswith("success after ")


def test_waiting_for_a_failure_exits_with_1(shell: Shell, worker: Worker) -> None:
    done = shell.run("submit", "fail", "--type", "py", "--wait")
    assert (done.code, done.out) == (1, "")
    assert "ValueError: no good" in done.err.splitlines()[-1]
    assert "Traceback" in done.err
    shown = shell.run("submit", "fail", "--type", "py", "--wait", "-o", "json")
    assert (shown.code, json.loads(shown.out)["errors"]) == (1, ["ValueError: no good"])


def test_waiting_for_a_cancelled_process_exits_with_1(
    shell: Shell, colony: Colony, worker: Worker, held: queue.Queue[str]
) -> None:
    with ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(shell.run, "submit", "hold", "--type", "py", "--wait")
        colony.rpc.ok("cancelprocessmsg", colony.user_key, processid=held.get(timeout=PATIENCE))
        done = waiting.result(PATIENCE)
    assert (done.code, done.out) == (1, "")
    assert done.err.splitlines()[-1].startswith("cancelled")


def test_a_specification_from_a_file(shell: Shell, worker: Worker, tmp_path: Path) -> None:
    spec = {"funcname": "echo", "args": ["from", "file"], "conditions": {"executortype": "py"}}
    (tmp_path / "spec.json").write_text(json.dumps(spec))
    (tmp_path / "spec.yaml").write_text(yaml.safe_dump(spec))
    for name in ("spec.json", "spec.yaml"):
        done = shell.run("submit", "--spec", str(tmp_path / name), "--label", name, "-w", "-o", "yaml")
        shown = yaml.safe_load(done.out)
        assert (done.code, shown["out"], shown["spec"]["label"]) == (0, ["from", "file"], name)


def test_lists(shell: Shell) -> None:
    first, second, third = (shell.submit("echo", str(number), "--label", f"l{number}") for number in range(3))
    shell.ok("process", "cancel", third)
    table = shell.ok("process", "list").splitlines()
    assert table[0].split() == ["ID", "STATE", "FUNCTION", "ARGS", "TYPE", "INITIATOR", "LABEL", "AGE"]
    assert [row.split()[:7] for row in table[1:]] == [
        [first[:12], "waiting", "echo", "0", "py", "alice", "l0"],
        [second[:12], "waiting", "echo", "1", "py", "alice", "l1"],
        [third[:12], "cancelled", "echo", "2", "py", "alice", "l2"],
    ]
    listed = [process["processid"] for process in shell.json("process", "list")]
    assert listed == [first, second, third]
    for args, expected in (
        (("--state", "waiting"), [first, second]),
        (("--state", "cancelled", "--state", "failed"), [third]),
        (("--label", "l1"), [second]),
        (("--initiator", "alice"), [first, second, third]),
        (("--executortype", "other"), []),
        (("--count", "1"), [first, third]),
    ):
        assert [process["processid"] for process in shell.json("process", "list", *args)] == expected


def test_processes_are_found_by_their_first_digits(shell: Shell) -> None:
    submitted = shell.submit("echo")
    assert shell.json("process", "get", submitted[:16])["processid"] == submitted
    assert shell.ok("process", "cancel", submitted[:16]) == f"cancelled {submitted}\n"
    assert shell.ok("process", "remove", submitted[:16]) == f"removed {submitted}\n"
    assert shell.json("process", "list") == []
    missing = shell.run("process", "get", submitted[:16])
    assert missing.code == 1
    assert "64 digits" in missing.err


def test_a_process_for_people(shell: Shell, worker: Worker) -> None:
    done = json.loads(shell.run("submit", "echo", "hello", "--type", "py", "--wait", "-o", "json").out)
    rows = dict(line.split(maxsplit=1) for line in shell.ok("process", "get", done["processid"]).splitlines())
    assert rows["state"] == "success"
    assert rows["function"] == "echo"
    assert rows["output"] == '["hello"]'
    assert rows["took"].endswith("s")


def test_logs(shell: Shell, worker: Worker) -> None:
    done = json.loads(shell.run("submit", "echo", "1", "--type", "py", "--wait", "-o", "json").out)
    assert shell.ok("process", "logs", done["processid"]) == "echoing 1 arguments\n"
    entries = shell.json("process", "logs", done["processid"])
    assert [(entry["message"], entry["executorname"]) for entry in entries] == [("echoing 1 arguments", "w")]


def test_logs_are_followed_to_the_end(
    shell: Shell, worker: Worker, release: threading.Event, held: queue.Queue[str]
) -> None:
    submitted = shell.submit("hold")
    with ThreadPoolExecutor(1) as pool:
        following = pool.submit(shell.ok, "process", "logs", submitted, "--follow")
        held.get(timeout=PATIENCE)
        release.set()
        assert following.result(PATIENCE) == "holding\nreleased\n"


def diamond(folder: Path, *functions: str) -> str:
    """A file with a diamond of these functions, whose nodes are named a, b, c and d."""
    nodes = zip("abcd", functions, ([], ["a"], ["a"], ["b", "c"]), strict=True)
    specs = [
        {"nodename": name, "funcname": function, "conditions": {"executortype": "py", "dependencies": parents}}
        for name, function, parents in nodes
    ]
    (folder / "diamond.json").write_text(json.dumps(specs))
    (folder / "diamond.yaml").write_text(yaml.safe_dump({"functionspecs": specs}))
    return str(folder / "diamond.json")


def test_a_workflow_is_followed_to_its_end(shell: Shell, worker: Worker, tmp_path: Path) -> None:
    spec = diamond(tmp_path, "give", "take", "take", "take")
    done = shell.run("workflow", "submit", "--spec", spec, "--wait")
    heading, *tree = done.err.splitlines()
    assert (done.code, done.out) == (0, "given\ngiven\n")
    assert re.fullmatch(r"workflow [0-9a-f]{12} success after \S+: 4 success", heading)
    assert tree == [
        "└── a success",
        "    ├── b success",
        "    │   └── d success",
        "    └── c success",
        "        └── -> d",
    ]
    shown = shell.run("workflow", "submit", "--spec", spec.replace("json", "yaml"), "-w", "-o", "yaml")
    assert [node["data"]["label"] for node in yaml.safe_load(shown.out)["nodes"]] == ["a", "b", "d", "c"]


def test_a_workflow_that_fails_says_where_and_why(shell: Shell, worker: Worker, tmp_path: Path) -> None:
    done = shell.run("workflow", "submit", "--spec", diamond(tmp_path, "give", "take", "fail", "take"), "--wait")
    assert (done.code, done.out) == (1, "")
    assert " failed after " in done.err.splitlines()[0]
    assert "    └── c failed\n        ValueError: no good\n        process " in done.err
    listed = shell.json("workflow", "list", "--state", "failed")
    shown = shell.ok("workflow", "get", listed[0]["processgraphid"])
    assert "ValueError: no good" in shown


def test_workflows(shell: Shell, tmp_path: Path) -> None:
    first, second = (
        shell.ok("workflow", "submit", "--spec", diamond(tmp_path, *["echo"] * 4)).strip() for _ in range(2)
    )
    assert shell.json("workflow", "get", first)["processgraphid"] == first
    assert shell.ok("workflow", "get", first[:12]).splitlines()[:2] == [
        f"workflow {first[:12]} waiting: 4 waiting",
        "└── a waiting",
    ]
    assert shell.ok("workflow", "cancel", first[:12]) == f"cancelled {first}\n"
    table = [row.split()[:4] for row in shell.ok("workflow", "list").splitlines()]
    assert table == [
        ["ID", "STATE", "NODES", "INITIATOR"],
        [second[:12], "waiting", "4", "alice"],
        [first[:12], "cancelled", "4", "alice"],
    ]
    assert [each["processgraphid"] for each in shell.json("workflow", "list", "--state", "cancelled")] == [first]
    for each in (first, second):
        assert shell.ok("workflow", "remove", each) == f"removed {each}\n"
    assert shell.json("workflow", "list") == []
    missing = shell.run("workflow", "get", first[:12])
    assert (missing.code, missing.err.count("\n")) == (1, 1)


@pytest.mark.parametrize(
    "data, says",
    [
        ({"funcname": "echo"}, "`kolony submit --spec`"),
        ([{"prioritty": 1}], "prioritty"),
        ([{"funcname": "f"}], "Nodename is missing"),
        ([{"nodename": "a", "conditions": {"dependencies": ["z"]}}], "Node <a> depends on <z>"),
        ([{"nodename": "a", "conditions": {"dependencies": ["a"]}}], "node <a>"),
    ],
)
def test_a_file_that_is_no_workflow_is_refused(shell: Shell, tmp_path: Path, data: Any, says: str) -> None:
    (tmp_path / "odd.json").write_text(json.dumps(data))
    refused = shell.run("workflow", "submit", "--spec", str(tmp_path / "odd.json"))
    assert (refused.code, refused.out, refused.err.count("\n")) == (1, "", 1)
    assert says in refused.err
    assert shell.json("workflow", "list") == []


def test_executors(shell: Shell, colony: Colony) -> None:
    colony.add_executor("b", "cli", approve=False, locationname="home")
    colony.add_executor("a", "py")
    colony.add_executor("gone", "py")
    colony.rpc.ok("removeexecutormsg", colony.colony_key, colonyname=colony.name, executorname="gone")
    assert [line.split() for line in shell.ok("executor", "list").splitlines()] == [
        ["NAME", "TYPE", "STATE", "LOCATION", "LAST", "HEARD"],
        ["a", "py", "approved"],
        ["b", "cli", "pending", "home"],
    ]
    assert shell.ok("executor", "approve", "b") == "approved b\n"
    assert shell.ok("executor", "reject", "a") == "rejected a\n"
    states = {executor["executorname"]: executor["state"] for executor in shell.json("executor", "list", "--all")}
    assert states == {"a": 2, "b": 1, "gone": 3}
    assert [executor["executorname"] for executor in shell.json("executor", "list", "--type", "cli")] == ["b"]


@pytest.fixture
def node_file(tmp_path: Path) -> str:
    """A workflow of one node."""
    path = tmp_path / "workflow.yaml"
    path.write_text(yaml.safe_dump([{"nodename": "a", "funcname": "echo", "conditions": {"executortype": "py"}}]))
    return str(path)


def test_crons(shell: Shell, node_file: str) -> None:
    cronid = shell.ok("cron", "add", "--name", "c", "--spec", node_file, "--interval", "3600", "--waitprevious").strip()
    daily = shell.json(
        "cron", "add", "--name", "d", "--spec", node_file, "--cron", "@daily", "--timezone", "Asia/Tokyo",
        "--missed", "all", "--missedlimit", "7",
    )  # fmt: skip
    assert (daily["cronexpression"], daily["timezone"]) == ("@daily", "Asia/Tokyo")
    assert (daily["missed"], daily["missedlimit"]) == ("all", 7)
    assert [cron["cronid"] for cron in shell.json("cron", "list")] == [cronid, daily["cronid"]]
    rows = shell.ok("cron", "list").splitlines()
    assert rows[0].split() == ["NAME", "WHEN", "NEXT", "RUN", "LAST", "RUN", "INITIATOR", "ID"]
    assert rows[1].split()[:3] == ["c", "every", "3600s"]
    assert rows[2].split()[:3] == ["d", "@daily", "(Asia/Tokyo)"]

    # by name, by id, or by its first digits
    started = shell.ok("cron", "run", "c").strip()
    assert shell.json("workflow", "get", started)["initiatorname"] == "alice"
    for text in ("c", cronid, cronid[:10]):
        assert shell.json("cron", "get", text)["prevprocessgraphid"] == started
    assert f"last workflow  {started}" in shell.ok("cron", "get", "c")
    waits = shell.run("cron", "run", "c")
    assert (waits.code, waits.out, waits.err.startswith("nothing was started: ")) == (1, "", True)

    assert shell.ok("cron", "pause", "d") == f"paused {daily['cronid']}\n"
    assert "paused" in shell.ok("cron", "list").splitlines()[2]
    assert shell.ok("cron", "resume", "d") == f"resumed {daily['cronid']}\n"
    assert shell.ok("cron", "remove", "d") == f"removed {daily['cronid']}\n"
    # a few digits stand for no id: a slip of the finger would find another
    for text in ("d", cronid[:7]):
        missing = shell.run("cron", "get", text)
        assert (missing.code, missing.err) == (1, f"error: no cron has this name, or an id that begins so: {text}\n")


def test_generators(shell: Shell, node_file: str) -> None:
    added = shell.json("generator", "add", "--name", "g", "--spec", node_file, "--trigger", "5", "--timeout", "60")
    generatorid = added["generatorid"]
    assert shell.ok("generator", "pack", "g", "a", "b") == "packed 2\n"
    assert shell.json("generator", "get", generatorid[:10])["queuesize"] == 2
    shown = dict(line.split(maxsplit=1) for line in shell.ok("generator", "get", "g").splitlines())
    assert (shown["trigger"], shown["timeout"], shown["waiting"]) == ("5", "60s", "2")
    assert [row.split()[:3] for row in shell.ok("generator", "list").splitlines()[1:]] == [["g", "5", "60s"]]
    assert shell.json("generator", "list")[0]["generatorid"] == generatorid
    assert shell.ok("generator", "remove", "g") == f"removed {generatorid}\n"
    assert shell.json("generator", "list") == []


def test_colonies(shell: Shell, colony: Colony) -> None:
    assert {"colonyid": colony.colony_key.identity, "name": colony.name} in shell.json("colony", "list")
    assert f"{colony.name}  {colony.colony_key.identity}" in shell.ok("colony", "list").splitlines()


def test_the_cluster(shell: Shell) -> None:
    cluster = shell.json("cluster")
    [node] = cluster["nodes"]
    assert cluster["leader"] == node
    heading, line = shell.ok("cluster").splitlines()
    assert heading.split() == ["NAME", "API", "RELAY", "LEADS"]
    assert line.split()[:2] == [node["name"], f"{node['host']}:{node['apiport']}"]
    assert f"term {cluster['term']} since " in line


def test_flags_win_over_the_environment(shell: Shell, colony: Colony) -> None:
    flags = ("--host", colony.host, "--port", str(colony.port), "--insecure", "--colony", colony.name)
    wrong = {
        "COLONIES_SERVER_HOST": "nowhere.invalid",
        "COLONIES_SERVER_PORT": "1",
        "COLONIES_TLS": "true",
        "COLONIES_COLONY_NAME": "other",
    }
    assert shell.run(*flags, "process", "list", "-o", "json", **wrong) == Finished(0, "[]\n", "")


@pytest.mark.parametrize(
    "args, environment, says",
    [
        (("process", "list"), {"COLONIES_PRVKEY": "1" * 64}, "approved member"),
        (("process", "get", "f" * 64), {}, "not found"),
        (("executor", "approve", "nobody"), {}, "executor is nil"),
        (("submit", "f", "--type", "t", "--mem", "lots"), {}, "error converting memory"),
        (("--colony", "nowhere", "executor", "list"), {}, "nowhere"),
    ],
)
def test_a_refusal_is_one_line(shell: Shell, args: tuple[str, ...], environment: dict[str, str], says: str) -> None:
    failed = shell.run(*args, **environment)
    assert (failed.code, failed.out) == (1, "")
    assert says in failed.err
    assert failed.err.count("\n") == 1


def test_a_server_that_is_not_there_is_named(shell: Shell) -> None:
    failed = shell.run("--port", "1", "process", "list")
    assert failed.code == 1
    assert "no Colonies server answers at http://127.0.0.1:1" in failed.err
    assert "kolony dev" in failed.err
