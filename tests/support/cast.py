"""A colony with everyone in it: one of each kind of caller that the protocol tells apart, and things to call about."""

from __future__ import annotations

import secrets
from dataclasses import dataclass, field
from typing import Any

from colonies import Colony, RunningServer, create_colony

from kolony.crypto import PrivateKey

ABOUT_THEMSELVES = ("pending", "rejected", "removed")
"""Callers whose messages name themselves where a message names an executor."""


@dataclass
class Cast:
    """The callers by kind; `None` signs nothing."""

    home: Colony
    abroad: Colony
    keys: dict[str, PrivateKey | None] = field(default_factory=dict)
    rejected_runs: str = ""
    rejected_node: dict[str, str] = field(default_factory=dict)

    @classmethod
    def create(cls, server: RunningServer) -> Cast:
        """A new colony with its cast, and another one with strangers."""
        cast = cls(create_colony(server), create_colony(server))
        home, abroad = cast.home, cast.abroad
        cast.keys = {
            "nokey": None,
            "stranger": PrivateKey.generate(),
            "server": home.server_key,
            "owner": home.colony_key,
            **{name: home.add_executor(name) for name in ("executor", "other", "rejected", "removed")},
            "pending": home.add_executor("pending", approve=False),
            "user": home.user_key,
            "f-owner": abroad.colony_key,
            "f-executor": abroad.add_executor("executor"),
            "f-user": abroad.user_key,
        }
        cast.rejected_runs = cast.running(by="rejected")
        cast.rejected_node = cast.running_node(by="rejected")
        owner = {"colonyname": home.name}
        home.rpc.ok("rejectexecutormsg", home.colony_key, **owner, executorname="rejected")
        home.rpc.ok("removeexecutormsg", home.colony_key, **owner, executorname="removed")
        return cast

    def key(self, caller: str) -> PrivateKey:
        """The key of a caller that has one."""
        key = self.keys[caller]
        assert key is not None
        return key

    def named_by(self, caller: str) -> str:
        """The executor that a message of this caller is about."""
        return caller if caller in ABOUT_THEMSELVES else "executor"

    def colony_of(self, caller: str) -> str:
        """The colony in which this caller is somebody."""
        return self.abroad.name if caller.startswith("f-") else self.home.name

    def executor(self, caller: str) -> dict[str, str]:
        """The names of the executor that a message of this caller is about."""
        return {"colonyname": self.home.name, "executorname": self.named_by(caller)}

    def new_executor(self) -> dict[str, str]:
        """The names of an executor just added."""
        name = fresh("executor")
        self.home.add_executor(name, approve=False)
        return {"colonyname": self.home.name, "executorname": name}

    def waiting(self, executortype: str = "nobody") -> str:
        """A process that waits, by default for ever."""
        return str(self.home.submit(conditions={"executortype": executortype})["processid"])

    def running(self, by: str = "executor") -> str:
        """A process that the executor runs."""
        self.waiting("cli")
        return str(self.home.assign(self.key(by))["processid"])

    def runs_for(self, caller: str) -> str:
        """A process that runs, by the caller itself if it may still hold one though it is no member any more."""
        return self.rejected_runs if caller == "rejected" else self.running()

    def workflow(self, executortype: str = "nobody") -> dict[str, Any]:
        """A workflow of one node that waits, by default for ever; it comes before all other processes of its type."""
        node = {"nodename": "n", "priority": 50_000, "conditions": {"executortype": executortype}}
        spec = {"colonyname": self.home.name, "functionspecs": [node]}
        submitted: dict[str, Any] = self.home.rpc.ok("submitworkflowspecmsg", self.home.user_key, spec=spec)
        return submitted

    def running_node(self, by: str = "executor") -> dict[str, str]:
        """The ids of a workflow and of its node, which the executor runs."""
        self.workflow("cli")
        process = self.home.assign(self.key(by))
        return {"processgraphid": process["processgraphid"], "parentprocessid": process["processid"]}

    def runs_node_for(self, caller: str) -> dict[str, str]:
        """The ids of a node that runs, by the caller itself if it may still hold one though it is no member."""
        return self.rejected_node if caller == "rejected" else self.running_node()

    def function(self, caller: str = "executor", **fields: Any) -> dict[str, Any]:
        """A function of an executor, as it is sent."""
        return {**self.executor(caller), "executortype": "cli", "funcname": "echo", **fields}


def fresh(what: str) -> str:
    """A name that nobody uses."""
    return f"{what}-{secrets.token_hex(6)}"
