"""Processes in the database. Submit and close go through batches; see `kolony_apiserver.store.batch`."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta
from typing import Any, NamedTuple, Protocol

import msgspec
from msgspec import Raw

from kolony.crypto import Identity
from kolony.model.attributes import Attribute, AttributeType, attribute_id
from kolony.model.base import NO_TIME, ColonyName
from kolony.model.functionspecs import FunctionSpec
from kolony.model.processes import Process, ProcessState
from kolony_apiserver.store.batch import Batch
from kolony_apiserver.store.database import Database, Lane, Query, Row, records
from kolony_apiserver.store.repository import Repository

SPEC = msgspec.json.Decoder(FunctionSpec[Raw])
_VALUES = msgspec.json.Decoder(list[Raw])
_ERRORS = msgspec.json.Decoder(list[str])
_EMPTY = "[]"


class Home(NamedTuple):
    """Where a process belongs for good; ``workflowid`` is empty outside workflows."""

    colonyname: ColonyName
    workflowid: str


class Submission(msgspec.Struct, frozen=True, kw_only=True):
    """Processes to store together: all of them or none."""

    processes: Sequence[Process[Raw]]
    classids: Sequence[int]
    idempotencykey: str = ""


class Ending(msgspec.Struct, frozen=True, kw_only=True):
    """The end of a process, as the executor that holds it reports it."""

    processid: str
    executorid: Identity
    state: ProcessState
    attempt: int | None = None
    output: list[Raw] | None = None
    errors: list[str] | None = None


class Change(NamedTuple):
    """A process that something else changed: it ended, or waits, in its class unless that is 0 or less."""

    processid: str
    colonyname: ColonyName
    executortype: str
    state: int
    classid: int
    prioritytime: int

    @property
    def is_queued(self) -> bool:
        """Whether an executor can take it now."""
        return self.state == ProcessState.WAITING and self.classid > 0


class Ended(msgspec.Struct, frozen=True, kw_only=True):
    """What became of a process that was closed; one of those that are closed together has what they changed."""

    colonyname: ColonyName
    executortype: str
    submissiontime: datetime
    starttime: datetime
    endtime: datetime
    changes: Sequence[Change] = ()


class _Record(msgspec.Struct, frozen=True, kw_only=True):
    submission: int
    processid: str
    colonyname: str
    classid: int
    prioritytime: int
    submissiontime: datetime
    waitdeadline: datetime | None
    maxwaittime: int
    maxexectime: int
    maxretries: int
    initiatorid: str
    initiatorname: str
    executortype: str
    funcname: str
    label: str
    spec: FunctionSpec[Raw]
    workflowid: str
    rank: int
    pendingparents: int
    input: list[Raw]
    idempotencykey: str
    attributes: list[Attribute]


Arrival = tuple[int, int]
"""The class and the prioritytime of a process that waits."""


class Takers(Protocol):
    """Those who wait for processes."""

    def arrived(self, classid: int, prioritytime: int, *, told: bool = False) -> None:
        """Tell them of a process that is committed; those on other servers too, unless they were told."""

    async def handover(self, arrivals: Iterable[Arrival]) -> Query | None:
        """A claim for them to make in the transaction that stores these, or `None`."""

    def notice(self, arrivals: Iterable[Arrival]) -> Query | None:
        """A notice for those on other servers to make in the transaction that stores these, or `None`."""

    def handed_over(self, rows: Sequence[Row], stored: Iterable[Arrival]) -> None:
        """Give out what was claimed, and tell of the rest that was stored; all is committed."""

    def not_handed_over(self) -> None:
        """Leave them where they are: the transaction failed."""


class ProcessWrites:
    """The batches that submit and close.

    Where somebody waits for what is submitted, the same transaction hands it out: one commit less until it runs.
    """

    def __init__(self, database: Database, takers: Takers) -> None:
        self._takers = takers
        self._submit_lane: Lane = database.lane()
        self._close_lane: Lane = database.lane()
        self._node_lane: Lane = database.lane()
        self._start_lane: Lane = database.lane()
        self._submissions: Batch[Submission, bool] = Batch(self._store)
        self._endings: Batch[tuple[Ending, datetime], Ended | None] = Batch(self._close)
        self._node_endings: Batch[tuple[Ending, datetime], Ended | None] = Batch(self._close_nodes)
        self._starts: Batch[tuple[Process[Raw], datetime], Process[Raw]] = Batch(self._start_nodes)

    async def submit(self, submission: Submission) -> bool:
        """Store new processes; false when a class of theirs is gone or their idempotency key was used."""
        return await self._submissions.add(submission)

    async def close(self, ending: Ending, now: datetime, *, node: bool = False) -> Ended | None:
        """End a running process; `None` when this executor does not hold it in this attempt.

        The end of a ``node`` of a workflow is passed on in the same transaction. Other processes do not wait for the
        locks of workflows.
        """
        return await (self._node_endings if node else self._endings).add((ending, now))

    async def start(self, node: Process[Raw], now: datetime) -> Process[Raw]:
        """Note in its workflow that a process runs; the process with its parents and children."""
        return await self._starts.add((node, now))

    async def finish(self) -> None:
        """Wait for what is under way, then close the connections."""
        await self._submissions.finish()
        await self._endings.finish()
        await self._node_endings.finish()
        await self._starts.finish()
        for lane in (self._submit_lane, self._close_lane, self._node_lane, self._start_lane):
            await lane.close()

    async def _store(self, submissions: Sequence[Submission]) -> list[bool]:
        calls = submission_records(submissions)
        arrivals = [(call.classid, call.prioritytime) for call in calls]
        claim = await self._takers.handover(arrivals)
        notice = self._takers.notice(arrivals) if claim is None else None
        try:
            answers = await self._submit_lane.together(_storing(calls), *filter(None, (claim, notice)))
        except BaseException:
            if claim is not None:
                self._takers.not_handed_over()
            raise
        submitted = {row["submission"] for row in answers[0]}
        stored = [(call.classid, call.prioritytime) for call in calls if call.submission in submitted]
        # Before the answers to the submits are made: who waits for work does not wait for those.
        if claim is not None:
            self._takers.handed_over(answers[1], stored)
        else:
            for arrival in stored:
                self._takers.arrived(*arrival, told=notice is not None)
        return [number in submitted for number in range(len(submissions))]

    async def _close(self, endings: Sequence[tuple[Ending, datetime]]) -> list[Ended | None]:
        [rows] = await self._close_lane.together(_closing(endings))
        return _ended(endings, rows)

    async def _close_nodes(self, endings: Sequence[tuple[Ending, datetime]]) -> list[Ended | None]:
        highest = max(ending.state for ending, _ in endings)
        processids = [ending.processid for ending, _ in endings]
        lock, *settle = settlement(processids, max(now for _, now in endings), highest=highest)
        _, rows, *changes = await self._node_lane.together(lock, _closing(endings), *settle)
        changed = [Change(**row) for answer in changes for row in answer]
        for change in changed:
            if change.is_queued:
                self._takers.arrived(change.classid, change.prioritytime)
        ended = _ended(endings, rows)
        first = next((number for number, each in enumerate(ended) if each is not None), None)
        if first is not None and (each := ended[first]) is not None:
            ended[first] = msgspec.structs.replace(each, changes=changed)
        return ended

    async def _start_nodes(self, starts: Sequence[tuple[Process[Raw], datetime]]) -> list[Process[Raw]]:
        calls = [{"processid": node.processid, "processgraphid": node.processgraphid} for node, _ in starts]
        rows = await self._start_lane.all("start_nodes", calls=records(calls), now=max(now for _, now in starts))
        found = {row["processid"]: related(row) for row in rows}
        return [msgspec.structs.replace(node, **found.get(node.processid, {})) for node, _ in starts]


def _storing(calls: Sequence[_Record]) -> Query:
    return Query("submit_processes", {"calls": records(calls)})


def _closing(endings: Sequence[tuple[Ending, datetime]]) -> Query:
    calls = [msgspec.structs.asdict(ending) | {"no": number} for number, (ending, _) in enumerate(endings)]
    # Processes are locked in this order, here as by everyone who locks several, so that nobody waits in a circle.
    calls.sort(key=lambda call: str(call["processid"]))
    return Query("close_processes", {"calls": records(calls), "now": max(now for _, now in endings)})


def _ended(endings: Sequence[object], rows: Sequence[dict[str, Any]]) -> list[Ended | None]:
    ended = {row.pop("no"): Ended(**row) for row in rows}
    return [ended.get(number) for number in range(len(endings))]


def settlement(processids: Sequence[str], now: datetime, *, highest: int = ProcessState.CANCELLED) -> tuple[Query, ...]:
    """The queries that lock the workflows of ended processes and pass on their ends, up to the ``highest`` state.

    The first comes before anything that locks processes of workflows; the others answer with what they changed.
    """
    ids = {"processids": list(processids)}
    settling = ids | {"now": now}
    succeed = Query("settle_processes", settling | {"highest": int(highest)})
    lock = Query("lock_workflows", ids)
    return (lock, succeed) if highest == ProcessState.SUCCESS else (lock, succeed, Query("fail_workflows", settling))


class Processes(Repository):
    """Processes outside the hot path."""

    async def submission(self, colony: str, initiatorid: str, key: str) -> list[str] | None:
        """The ids of the processes that an idempotency key stands for."""
        found: list[str] | None = await self.session.value(
            "find_submission", colony=colony, initiatorid=initiatorid, key=key
        )
        return found

    async def add(self, calls: Sequence[_Record]) -> None:
        """Store processes, whose classes are held, in this transaction."""
        storing = _storing(calls)
        await self.session.run(storing.name, **storing.parameters)

    async def home(self, processid: str) -> Home | None:
        """The colony of a process and its workflow, found by key alone."""
        return await self.session.one("process_home", lambda row: Home(**row), processid=processid)

    async def get(self, colony: str, processid: str) -> Process[Raw] | None:
        """One process of a colony."""
        return await self.session.one("get_process", process_from, colony=colony, processid=processid)

    async def get_many(self, colony: str, processids: list[str]) -> list[Process[Raw]]:
        """Several processes of a colony, in the order of the queue."""
        return await self.session.all("get_processes_by_id", process_from, colony=colony, processids=processids)

    async def find(
        self, colony: str, *, state: int, count: int, executortype: str = "", initiator: str = "", label: str = ""
    ) -> list[Process[Raw]]:
        """Processes in one state: waiting ones in queue order, running ones oldest first, ended ones newest first."""
        query = {0: "find_waiting_processes", 1: "find_running_processes"}.get(state, "find_ended_processes")
        return await self.session.all(
            query,
            process_from,
            colony=colony,
            state=state,
            count=count,
            executortype=executortype,
            initiator=initiator,
            label=label,
        )

    async def history(self, colony: str, *, state: int, since: datetime, executorid: str) -> list[Process[Raw]]:
        """Processes in one state submitted since a time, in the order of submission."""
        return await self.session.all(
            "find_process_history", process_from, colony=colony, state=state, since=since, executorid=executorid
        )

    async def changed_since(
        self, colony: str, *, executortype: str, state: int, since: datetime, count: int
    ) -> list[Process[Raw]]:
        """The last processes for an executor type that came into a state since a time, also if they left it again."""
        query = {0: "find_submitted_since", 1: "find_started_since"}.get(state, "find_ended_since")
        return await self.session.all(
            query, process_from, colony=colony, executortype=executortype, state=state, since=since, count=count
        )

    async def set_output(
        self, colony: str, processid: str, *, executorid: str, attempt: int | None, output: list[Raw]
    ) -> bool:
        """Replace the output of a running process; false when this executor does not run it, or in another attempt."""
        changed = await self.session.run(
            "set_process_output",
            colony=colony,
            processid=processid,
            executorid=executorid,
            attempt=attempt,
            output=msgspec.json.encode(output).decode(),
        )
        return changed > 0

    async def cancel(self, colony: str, processid: str, *, now: datetime) -> bool:
        """Cancel a process; false when it neither waits nor runs."""
        return await self.session.value("cancel_process", colony=colony, processid=processid, now=now) is not None

    async def remove(self, colony: str, processid: str) -> bool:
        """Delete a process; false when it runs or is gone."""
        return await self.session.value("remove_process", colony=colony, processid=processid) is not None

    async def remove_all(self, colony: str, state: int) -> None:
        """Delete the processes of a colony in one state, or in any with -1."""
        if state == -1:
            await self.lock_running(colony)
        await self.session.run("remove_processes", colony=colony, state=state)

    async def lock_running(self, colony: str) -> None:
        """Lock the processes that run, as closes do, so that deleting them does not wait for a close that waits too."""
        await self.session.run("lock_running_processes", colony=colony)


def process_from(row: Row) -> Process[Raw]:
    """A process as the protocol shows it, from its row with ``attributes``.

    The environment is read back from the attributes, which may have grown since the submit.
    """
    spec = SPEC.decode(row["spec"])
    attributes = [] if row["attributes"] is None else _attributes(row)
    if environment := {each.key: each.value for each in attributes if each.attributetype == AttributeType.ENV}:
        spec = msgspec.structs.replace(spec, env=environment)
    output, errors, given = row["output"], row["errors"], row["input"]
    return Process(
        processid=row["processid"],
        initiatorid=row["initiatorid"],
        initiatorname=row["initiatorname"],
        assignedexecutorid=row["executorid"],
        isassigned=row["executorid"] != "",
        state=row["state"],
        prioritytime=row["prioritytime"],
        submissiontime=row["submissiontime"],
        starttime=row["starttime"] or NO_TIME,
        endtime=row["endtime"] or NO_TIME,
        waitdeadline=row["waitdeadline"] or NO_TIME,
        execdeadline=row["execdeadline"] or NO_TIME,
        retries=row["retries"],
        attributes=attributes,
        spec=spec,
        waitforparents=row["pendingparents"] > 0,
        processgraphid=row["workflowid"],
        **related(row),
        input=_VALUES.decode(given) if given != _EMPTY else [],
        output=_VALUES.decode(output) if output != _EMPTY else [],
        errors=_ERRORS.decode(errors) if errors != _EMPTY else [],
        attempt=row["attempt"],
    )


def related(row: Row) -> dict[str, list[str]]:
    """Parents and children of a process, from a row that may have them."""
    return {name: found for name in ("parents", "children") if (found := row.get(name))}


def _attributes(row: Row) -> list[Attribute]:
    return [
        Attribute(
            attributeid=each["attributeid"],
            targetid=each["targetid"],
            targetcolonyname=row["colonyname"],
            targetprocessgraphid=row["workflowid"],
            state=row["state"],
            attributetype=each["attributetype"],
            key=each["key"],
            value=each["value"],
        )
        for each in row["attributes"]
    ]


def environment_of(process: Process[Raw], colony: str) -> list[Attribute]:
    """The attributes that hold the environment of a new process."""
    return [
        Attribute(
            attributeid=attribute_id(process.processid, key, AttributeType.ENV),
            targetid=process.processid,
            targetcolonyname=colony,
            targetprocessgraphid=process.processgraphid,
            attributetype=AttributeType.ENV,
            key=key,
            value=value,
        )
        for key, value in process.spec.env.items()
    ]


def wait_deadline(submitted: datetime, maxwaittime: int) -> datetime:
    """When a process has waited too long; `NO_TIME` without a limit."""
    return submitted + timedelta(seconds=maxwaittime) if maxwaittime > 0 else NO_TIME


def submission_records(submissions: Sequence[Submission], *, rank: int = 0) -> list[_Record]:
    """The records of the processes to store; ``rank`` is the place of the first in its workflow."""
    return [
        _record(number, submission, process, classid, rank + place)
        for number, submission in enumerate(submissions)
        for place, (process, classid) in enumerate(zip(submission.processes, submission.classids, strict=True))
    ]


def _record(number: int, submission: Submission, process: Process[Raw], classid: int, rank: int) -> _Record:
    spec = process.spec
    conditions = spec.conditions
    return _Record(
        submission=number,
        processid=process.processid,
        colonyname=conditions.colonyname,
        classid=classid,
        prioritytime=process.prioritytime,
        submissiontime=process.submissiontime,
        waitdeadline=process.waitdeadline if spec.maxwaittime > 0 else None,
        maxwaittime=spec.maxwaittime,
        maxexectime=spec.maxexectime,
        maxretries=spec.maxretries,
        initiatorid=process.initiatorid,
        initiatorname=process.initiatorname,
        executortype=conditions.executortype,
        funcname=spec.funcname,
        label=spec.label,
        spec=spec,
        workflowid=process.processgraphid,
        rank=rank,
        pendingparents=len(process.parents),
        input=process.input,
        idempotencykey=submission.idempotencykey,
        attributes=process.attributes,
    )
