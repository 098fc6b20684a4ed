"""What has to hold at the end: the tables compared with what the clients know."""

from __future__ import annotations

import json
from collections import Counter, defaultdict
from collections.abc import Sequence
from datetime import timedelta
from itertools import pairwise
from typing import NamedTuple

from chaos.audit import Audit
from chaos.colony import CRON, PACK
from chaos.record import Invariant, Record

SUCCESS, FAILED, CANCELLED = 2, 3, 4

_PROCESSES = """
select processid, state, attempt, retries, maxretries, workflowid, funcname, executorid, spec::json -> 'args', output,
       (select state from workflows w where w.workflowid = p.workflowid)
from processes p
"""
_FAILURES = """
select d.workflowid, d.childid from dependencies d
join processes p on p.processid = d.parentid join processes c on c.processid = d.childid
where p.state in (3, 4) and c.state <> p.state
"""
_WORKFLOWS = """
select w.workflowid, w.state, count(*) filter (where p.state = 2), count(*), w.size
from workflows w join processes p on p.workflowid = w.workflowid group by w.workflowid
having (w.state = 2) <> (count(*) filter (where p.state = 2) = w.size) or count(*) <> w.size
"""
_UNFINISHED = """
select 'process ' || processid || ' in state ' || state || ', attempt ' || attempt || ', class ' || classid
from processes where state < 2
union all select 'workflow ' || workflowid || ' in state ' || state from workflows where state < 2
union all select 'the end of ' || processid || ' is not passed on' from processes where not settled
union all select packed - taken || ' arguments of ' || generatorid from generator_queues where packed > taken
"""


class Row(NamedTuple):
    """A process as it is stored."""

    processid: str
    state: int
    attempt: int
    retries: int
    maxretries: int
    workflowid: str
    funcname: str
    executorid: str
    args: list[str]
    output: str
    workflowstate: int | None


async def check(audit: Audit, record: Record, *, strict_crons: Sequence[str]) -> None:
    """Note every breach that the tables show, once all has come to rest."""
    for invariant, detail in await audit.rows("select invariant, detail from chaos_breaches order by breachid"):
        record.breach(Invariant[invariant], detail)
    for [text] in await audit.rows(_UNFINISHED):
        record.breach(Invariant.STUCK, text)
    rows = {row[0]: Row(*row) for row in await audit.rows(_PROCESSES)}
    _check_submits(rows, record)
    for row in rows.values():
        _check_process(row, record)
    for workflowid, childid in await audit.rows(_FAILURES):
        record.breach(Invariant.ORDER, f"{childid} of {workflowid} was not failed with its parent")
    for workflowid, state, successful, count, size in await audit.rows(_WORKFLOWS):
        text = f"workflow {workflowid} of {size} is in state {state}: {successful} of {count} succeeded"
        record.breach(Invariant.ORDER, text)
    await _check_crons(audit, rows, record, strict_crons)
    _check_packs(rows, record)


def _check_submits(rows: dict[str, Row], record: Record) -> None:
    """Whatever was acknowledged is there, and once; what was refused is not."""
    stored: defaultdict[str, list[Row]] = defaultdict(list)
    for row in rows.values():
        if len(row.args) == 1 and not row.funcname.startswith((CRON, PACK)):
            stored[row.args[0]].append(row)
    known = dict(record.submitted)
    for workflowid, tokens in record.workflows.items():
        for token in tokens:
            known[token] = next((row.processid for row in stored[token] if row.workflowid == workflowid), "lost")
    for token, processid in known.items():
        if (processid or token in record.grown) and not stored[token]:
            record.breach(Invariant.LOST, f"{processid} of {token} was acknowledged")
        elif processid and processid not in {row.processid for row in stored[token]}:
            record.breach(Invariant.LOST, f"{token} was acknowledged as {processid} and is {stored[token]}")
        if len(stored[token]) > 1:
            record.breach(Invariant.DOUBLED, f"{token} is {[row.processid for row in stored[token]]}")
    for token in record.forbidden:
        if stored[token]:
            record.breach(Invariant.INTRUSION, f"{token} was refused and is {stored[token]}")


def _check_process(row: Row, record: Record) -> None:
    name = row.processid
    if not 0 <= row.state <= CANCELLED:
        record.breach(Invariant.LOST, f"{name} is in state {row.state}")
    swept = row.state == FAILED and row.workflowstate == FAILED
    if row.state == SUCCESS and json.loads(row.output) != [f"{name}#{row.attempt}"]:
        record.breach(Invariant.STALE_CLOSE, f"{name} ended in attempt {row.attempt} with {row.output}")
    if closed := record.closed.get(name):
        attempt, success = closed
        expected = SUCCESS if success else FAILED
        if row.attempt != attempt or (row.state != expected and not swept):
            text = f"{name} was closed as {expected} in attempt {attempt}, is {row.state} in attempt {row.attempt}"
            record.breach(Invariant.LOST, text)
    if name in record.swept and not swept:
        record.breach(Invariant.LOST, f"{name} was taken from its executor, and its workflow did not fail")
    if 0 <= row.maxretries < row.retries or row.retries > row.attempt:
        record.breach(Invariant.RETRIES, f"{name} was tried again {row.retries} times in {row.attempt} attempts")
    attempts = sorted(record.given.get(name, {}).items())
    if attempts and attempts[-1][0] > row.attempt:
        record.breach(Invariant.LOST, f"{name} was given out in attempt {attempts[-1][0]} and is in {row.attempt}")
    for (first, earlier), (second, later) in pairwise(attempts):
        if later.start < earlier.deadline:
            text = f"{name}: attempt {second} began at {later.start}, before {earlier.deadline} of attempt {first}"
            record.breach(Invariant.TWO_HOLDERS, text)


async def _check_crons(audit: Audit, rows: dict[str, Row], record: Record, strict: Sequence[str]) -> None:
    """Each slot has one workflow, and each workflow of a cron a slot."""
    names = dict(await audit.rows("select cronid, name from crons"))
    slots = await audit.rows("select cronid, slot, nextslot, workflowid from chaos_slots order by cronid, slot")
    for (cron, slot, following, _), (other, upcoming, _, _) in pairwise(slots):
        if cron != other:
            continue
        if upcoming == slot:
            record.breach(Invariant.SLOTS, f"{names[cron]} ran twice at {slot}")
        elif upcoming != following or (names[cron] in strict and upcoming - slot != timedelta(seconds=1)):
            record.breach(Invariant.SLOTS, f"{names[cron]} ran at {slot}, then at {upcoming} and not at {following}")
    runs = Counter(names[cron] for cron, *_ in slots)
    stored = Counter(row.funcname for row in rows.values())
    for name in names.values():
        if stored[name] != runs[name]:
            record.breach(Invariant.SLOTS, f"{name} has {stored[name]} workflows for {runs[name]} slots")


def _check_packs(rows: dict[str, Row], record: Record) -> None:
    """Each packed argument is in one workflow; one that nobody acknowledged is in at most one."""
    taken = Counter(arg for row in rows.values() if row.funcname.startswith(PACK) for arg in row.args)
    for arg, acknowledged in record.packed.items():
        if taken[arg] != 1 and (acknowledged or taken[arg]):
            record.breach(Invariant.PACKS, f"{arg} is in {taken[arg]} workflows")
    for arg in taken.keys() - record.packed.keys():
        record.breach(Invariant.PACKS, f"{arg} was never packed")
