"""Workflows for tests: drawn with names, and run node by node in the order that a test wants."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

import psycopg
from colonies import Answer, Colony
from psycopg import sql

from kolony.crypto import PrivateKey

WAITING, RUNNING, SUCCESSFUL, FAILED, CANCELLED = range(5)
UNSET = "0001-01-01T00:00:00Z"
DIAMOND = "a b:a c:a d:b,c"


def nodes(drawing: str, /, **fields: Any) -> list[dict[str, Any]]:
    """The function specifications of a drawing like ``a b:a c:a,b``: names, and behind a colon those of the parents.

    A node's executor type is its name. Further fields are given by name of the node, or as ``every``.
    """
    specs = []
    for word in drawing.split():
        name, _, parents = word.partition(":")
        further = {**fields.get("every", {}), **fields.get(name, {})}
        conditions = {"executortype": name, "dependencies": parents.split(",") if parents else []}
        conditions |= further.pop("conditions", {})
        specs.append({"nodename": name, "funcname": "work", "conditions": conditions, **further})
    return specs


def rows_by_table(dsn: str) -> dict[str, int]:
    """How many rows each table of a database has."""
    with psycopg.connect(dsn) as connection:
        tables = connection.execute("select tablename from pg_tables where schemaname = 'public'").fetchall()
        counts = {}
        for (table,) in tables:
            query = sql.SQL("select count(*) from {}").format(sql.Identifier(table))
            counts[str(table)] = int((connection.execute(query).fetchone() or (0,))[0])
        return counts


@dataclass
class Workplace:
    """A colony with an executor for each type that is asked for."""

    colony: Colony
    keys: dict[str, PrivateKey] = field(default_factory=dict)

    def key(self, executortype: str) -> PrivateKey:
        """The executor of a type."""
        if executortype not in self.keys:
            self.keys[executortype] = self.colony.add_executor(f"runs-{executortype}", executortype)
        return self.keys[executortype]

    def call(self, msgtype: str, key: PrivateKey | None = None, /, **fields: Any) -> Answer:
        """Send a message, as the user unless another key is given."""
        return self.colony.rpc.call(msgtype, key or self.colony.user_key, **fields)

    def ok(self, msgtype: str, key: PrivateKey | None = None, /, **fields: Any) -> Any:
        """Send a message that has to succeed, as the user unless another key is given."""
        return self.colony.rpc.ok(msgtype, key or self.colony.user_key, **fields)

    def spec(self, drawing: str, /, **fields: Any) -> dict[str, Any]:
        """The specification of a drawing."""
        return {"colonyname": self.colony.name, "functionspecs": nodes(drawing, **fields)}

    def submit(self, drawing: str, /, **fields: Any) -> Flow:
        """Submit a drawing."""
        return Flow(self, self.ok("submitworkflowspecmsg", spec=self.spec(drawing, **fields)), drawing)

    def process(self, processid: str) -> dict[str, Any]:
        """A process as it is now."""
        process: dict[str, Any] = self.ok("getprocessmsg", processid=processid)
        return process

    def statistics(self) -> dict[str, int]:
        """The counters of the colony that are not 0, but for those of colonies and executors."""
        counts = self.ok("getcolonystatsmsg", colonyname=self.colony.name)
        return {name: count for name, count in counts.items() if count and name.endswith(("processes", "workflows"))}


class Flow:
    """A workflow that was submitted from a drawing."""

    def __init__(self, place: Workplace, reply: dict[str, Any], drawing: str) -> None:
        names = [word.partition(":")[0] for word in drawing.split()]
        self.place = place
        self.reply = reply
        self.id = str(reply["processgraphid"])
        self.ids: dict[str, str] = dict(zip(names, reply["processids"] or [], strict=True))

    def get(self) -> dict[str, Any]:
        """The workflow as it is now."""
        workflow: dict[str, Any] = self.place.ok("getprocessgraphmsg", processgraphid=self.id)
        return workflow

    @property
    def state(self) -> int:
        return int(self.get()["state"])

    def process(self, name: str) -> dict[str, Any]:
        """A node as it is now."""
        return self.place.process(self.ids[name])

    def states(self) -> dict[str, int]:
        """The states of all nodes."""
        return {name: self.process(name)["state"] for name in self.ids}

    def names(self, processids: Iterable[str]) -> list[str]:
        """The names of nodes."""
        known = {processid: name for name, processid in self.ids.items()}
        return [known[processid] for processid in processids]

    def can_start(self, name: str) -> bool:
        """Whether the executor of a node gets anything to do; if so it runs it now."""
        answer = self.ask(name)
        assert answer.status in (200, 404), answer
        return answer.status == 200

    def ask(self, name: str) -> Answer:
        """Ask for work as the executor of a node."""
        return self.place.call("assignprocessmsg", self.place.key(name), colonyname=self.colonyname, timeout=-1)

    def start(self, name: str) -> dict[str, Any]:
        """Let a node be assigned."""
        process: dict[str, Any] = self.place.colony.assign(self.place.key(name))
        assert process["processid"] == self.ids[name]
        return process

    def close(self, name: str, *out: Any) -> Answer:
        """Try to close a node as successful."""
        return self.place.call(
            "closesuccessfulmsg", self.place.key(name), processid=self.ids[name], out=list(out) or None
        )

    def succeed(self, name: str, *out: Any) -> None:
        """Close a node that runs as successful."""
        answer = self.close(name, *out)
        assert (answer.status, answer.payload) == (200, {}), answer

    def fail(self, name: str, *errors: str) -> None:
        """Close a node that runs as failed."""
        key = self.place.key(name)
        assert self.place.ok("closefailedmsg", key, processid=self.ids[name], errors=list(errors)) == {}

    def run(self, name: str, *out: Any) -> dict[str, Any]:
        """Let a node be assigned and succeed; the process as it was assigned."""
        process = self.start(name)
        self.succeed(name, *out)
        return process

    def cancel(self) -> Answer:
        """Try to cancel the workflow."""
        return self.place.call("cancelprocessgraphmsg", processgraphid=self.id)

    def remove(self) -> Answer:
        """Try to remove the workflow."""
        return self.place.call("removeprocessgraphmsg", processgraphid=self.id)

    def try_to_add(self, name: str, parent: str, /, *, child: str = "", insert: bool = False, **fields: Any) -> Answer:
        """Try to add a node below one, as the executor of that one."""
        [spec] = nodes(name, **{name: fields})
        spec["conditions"].setdefault("colonyname", self.colonyname)
        message = {
            "processgraphid": self.id,
            "parentprocessid": self.ids[parent],
            "childprocessid": self.ids.get(child, child),
            "insert": insert,
            "spec": spec,
        }
        return self.place.call("addchildmsg", self.place.key(parent), **message)

    def add(self, name: str, parent: str, /, **options: Any) -> dict[str, Any]:
        """Add a node below one that runs; the new process."""
        answer = self.try_to_add(name, parent, **options)
        assert (answer.status, answer.error) == (200, False), answer
        process: dict[str, Any] = answer.payload
        self.ids[name] = str(process["processid"])
        return process

    @property
    def colonyname(self) -> str:
        return self.place.colony.name
