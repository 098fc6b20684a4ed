"""The colony that all clients work in: its members, crons and generators, and what they submit."""

from __future__ import annotations

import asyncio
import random
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import msgspec
from benchmarks.connections import Endpoint
from chaos.calls import Caller
from chaos.record import Record

from kolony.crypto import PrivateKey
from kolony.model.colonies import Colony as ColonyModel
from kolony.model.crons import BY_EXPRESSION, Cron, MissedPolicy
from kolony.model.executors import Executor as ExecutorModel
from kolony.model.functionspecs import Conditions, FunctionSpec
from kolony.model.generators import Generator
from kolony.model.users import User
from kolony.model.workflows import WorkflowSpec
from kolony.wire.colonies import AddColony
from kolony.wire.crons import AddCron, PauseCron
from kolony.wire.executors import AddExecutor, ApproveExecutor
from kolony.wire.generators import AddGenerator
from kolony.wire.message import Message
from kolony.wire.users import AddUser

NAME = "chaos"
WORKER, HERD, NOBODY = "worker", "herd", "nobody"
"""Types of executors; of the last there is none."""

WORK, FAIL, HANG = "work", "fail", "hang"
"""Functions: to succeed, to fail, and one at which every executor dies."""

CRON, PACK = "cron", "pack"
"""How the functions of crons and generators begin."""


@dataclass
class Colony:
    """Who is there, what was recorded, and whether it is over."""

    endpoints: Sequence[Endpoint]
    chance: random.Random
    record: Record
    server_key: PrivateKey
    workers: int = 4
    herd: int = 20
    owner_key: PrivateKey = field(default_factory=PrivateKey.generate)
    user_key: PrivateKey = field(default_factory=PrivateKey.generate)
    executor_keys: dict[str, list[PrivateKey]] = field(default_factory=dict)
    crons: dict[str, Cron] = field(default_factory=dict)
    generators: list[str] = field(default_factory=list)
    captured: deque[tuple[bytes, Message[Any]]] = field(default_factory=lambda: deque(maxlen=300))
    """Requests that were accepted, and change something each time they are."""
    backlog: int = 0
    """Processes that wait."""
    quiet: asyncio.Event = field(default_factory=asyncio.Event)
    """Set when nothing more is to be submitted."""

    def caller(self, key: PrivateKey) -> Caller:
        """A client with a key."""
        return Caller(key, self.endpoints, random.Random(self.chance.random()))

    def token(self) -> str:
        """What a process is recognised by, used once."""
        return f"{self.chance.getrandbits(96):024x}"

    def spec(self, token: str, funcname: str = WORK, *, executortype: str = WORKER, **fields: Any) -> FunctionSpec:
        """The work that goes by a token; it is tried often enough to outlast whatever happens."""
        dependencies = fields.pop("dependencies", [])
        usual = {"args": [token], "maxwaittime": -1, "maxexectime": self.chance.choice((2, 3, 4)), "maxretries": 100}
        return FunctionSpec(
            nodename=token,
            funcname=funcname,
            conditions=Conditions(colonyname=NAME, executortype=executortype, dependencies=dependencies),
            **usual | fields,
        )

    async def found(self) -> None:
        """Make the colony and its members."""
        server, owner = self.caller(self.server_key), self.caller(self.owner_key)
        await server.call(AddColony(colony=ColonyModel(colonyid=self.owner_key.identity, name=NAME)))
        await owner.call(AddUser(user=User(colonyname=NAME, userid=self.user_key.identity, name="user")))
        for kind, count in ((WORKER, self.workers), (HERD, self.herd)):
            self.executor_keys[kind] = [PrivateKey.generate() for _ in range(count)]
            for number, key in enumerate(self.executor_keys[kind]):
                name = f"{kind}-{number}"
                executor = ExecutorModel(executorid=key.identity, executorname=name, executortype=kind, colonyname=NAME)
                await owner.call(AddExecutor(executor=executor))
                await owner.call(ApproveExecutor(colonyname=NAME, executorname=name))
        for each in (server, owner):
            each.hang_up()

    async def plan(self) -> None:
        """Add crons and generators."""
        user = self.caller(self.user_key)
        every_second = {"interval": BY_EXPRESSION, "cronexpression": "* * * * * *", "missed": MissedPolicy.ALL.value}
        kinds: list[dict[str, Any]] = [
            every_second | {"missedlimit": 1000},
            every_second | {"missedlimit": 1000},
            {"interval": 1, "missed": MissedPolicy.ONCE.value},
            {"interval": 2, "missed": MissedPolicy.ONCE.value},
        ]
        for number, kind in enumerate(kinds):
            name = f"{CRON}-{number}"
            cron = Cron(colonyname=NAME, name=name, workflowspec=self._workflow(name), **kind)
            self.crons[name] = await user.call(AddCron(cron=cron))
        for number, trigger in enumerate((5, 8)):
            name = f"{PACK}-{number}"
            generator = Generator(
                colonyname=NAME, name=name, trigger=trigger, timeout=2, workflowspec=self._workflow(name)
            )
            self.generators.append((await user.call(AddGenerator(generator=generator))).generatorid)
        user.hang_up()

    async def rest(self) -> None:
        """Let the crons rest."""
        user = self.caller(self.user_key)
        for cron in self.crons.values():
            await user.call(PauseCron(cronid=cron.cronid))
        user.hang_up()

    def _workflow(self, funcname: str) -> str:
        nodes = [
            self.spec("first", funcname, args=[]),
            self.spec("then", f"{funcname}-then", args=[], dependencies=["first"]),
        ]
        return msgspec.json.encode(WorkflowSpec(colonyname=NAME, functionspecs=nodes)).decode()
