"""Workflows in the database: the end of a process is passed on once, whoever ends it and whatever is cut short."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from datetime import timedelta

import pytest
from msgspec import Raw
from storage import Storage, Worker, ids, together

from kolony.model.processes import Process, ProcessState
from kolony.model.workflows import Workflow
from kolony_apiserver.store.processes import Change

DIAMOND = {"a": [], "b": ["a"], "c": ["a"], "d": ["b", "c"]}


@pytest.fixture
async def worker(storage: Storage) -> Worker:
    return await storage.add_executor("e")


async def run(storage: Storage, worker: Worker, classid: int, **fields: object) -> Process[Raw]:
    """Take the next process of a class and close it."""
    process = await storage.take(worker, classid)
    [ended] = await storage.close(storage.ending(worker, process, **fields), node=True)
    assert ended is not None
    return process


async def state(storage: Storage, workflow: Workflow) -> int:
    return int(await storage.value("select state from workflows where workflowid = %(id)s", id=workflow.processgraphid))


async def settle(storage: Storage, processids: Iterable[str]) -> list[Change]:
    async with storage.unit() as store:
        return await store.workflows.settle(list(processids), now=storage.clock.now())


async def test_outputs_become_inputs_in_the_order_of_the_parents(storage: Storage, worker: Worker) -> None:
    classid = await storage.add_class()
    workflow, nodes = await storage.add_workflow(classid, {"a": [], "b": [], "c": [], "d": ["c", "a", "b"]})
    taken = [await storage.take(worker, classid) for _ in range(3)]
    assert ids(taken) == [nodes[name] for name in "abc"]
    for process, output in zip(taken, ([Raw(b"1.0"), Raw(b'"]["')], [], [Raw(b'{"x": [1]}')]), strict=True):
        await storage.close(storage.ending(worker, process, output=output), node=True)
    last = await storage.take(worker, classid)
    assert last.processid == nodes["d"]
    assert [bytes(value) for value in last.input] == [b'{"x": [1]}', b"1.0", b'"]["']
    await storage.close(storage.ending(worker, last), node=True)
    assert await state(storage, workflow) == ProcessState.SUCCESS
    await storage.require_true_counts()


async def test_what_waits_for_parents_is_in_no_queue_and_counts_as_waiting(storage: Storage, worker: Worker) -> None:
    classid = await storage.add_class()
    await storage.add_workflow(classid, DIAMOND)
    await storage.take(worker, classid)
    assert await storage.claim(([worker], [classid])) == ({}, {classid: None})
    assert await storage.counted() == {("colony", 0): 3, ("colony", 1): 1}
    await storage.require_true_counts()


async def test_parents_that_end_together_are_each_counted(storage: Storage, worker: Worker) -> None:
    """From two servers, and many of them in each batch."""
    classid = await storage.add_class()
    parents = [f"p{number}" for number in range(40)]
    _workflow, nodes = await storage.add_workflow(classid, {key: [] for key in parents} | {"last": parents})
    given, _ = await storage.claim(([worker] * len(parents), [classid]))
    async with storage.another() as other:
        endings = [storage.ending(worker, process, output=[Raw(b"1")]) for process in given["e"]]
        closes = [(storage, other)[number % 2].close(ending, node=True) for number, ending in enumerate(endings)]
        assert all(await together(*closes))
    last = await storage.take(worker, classid)
    assert (last.processid, len(last.input)) == (nodes["last"], len(parents))
    await storage.require_true_counts()


async def test_an_end_is_passed_on_once(storage: Storage, worker: Worker) -> None:
    classid = await storage.add_class()
    _workflow, nodes = await storage.add_workflow(classid, DIAMOND)
    first = await run(storage, worker, classid)
    assert await settle(storage, [first.processid]) == []
    assert await storage.close(storage.ending(worker, first), node=True) == [None]
    second = await run(storage, worker, classid)
    await settle(storage, [first.processid, second.processid])
    assert await storage.value("select pendingparents from processes where processid = %(id)s", id=nodes["d"]) == 1
    assert await storage.value("select successful from workflows") == 2


async def test_an_end_that_was_not_passed_on_is_found(storage: Storage, worker: Worker) -> None:
    """A limit passes in a transaction of its own, and whoever applied it may be gone before the next."""
    classid = await storage.add_class()
    workflow, nodes = await storage.add_workflow(classid, DIAMOND, maxexectime=10)
    await storage.take(worker, classid)
    storage.clock.advance(11)
    async with storage.unit() as store:
        [expired] = await store.deadlines.expire_running(now=storage.clock.now(), limit=10)
    assert await state(storage, workflow) == ProcessState.WAITING
    async with storage.unit() as store:
        assert await store.workflows.unsettled(10) == [expired.processid]
    changes = await settle(storage, [expired.processid])
    assert {change.processid for change in changes} == set(nodes.values()) - {expired.processid}
    assert set((await storage.states()).values()) == {ProcessState.FAILED}
    assert await state(storage, workflow) == ProcessState.FAILED
    async with storage.unit() as store:
        assert await store.workflows.unsettled(10) == []
    await storage.require_true_counts()


async def test_a_success_that_came_too_late_does_not_pass_on_the_failure_by_half(
    storage: Storage, worker: Worker
) -> None:
    """The limit has ended the process, and its executor closes it before anybody passed on the failure."""
    classid = await storage.add_class()
    workflow, _nodes = await storage.add_workflow(classid, DIAMOND, maxexectime=10)
    process = await storage.take(worker, classid)
    storage.clock.advance(11)
    async with storage.unit() as store:
        [expired] = await store.deadlines.expire_running(now=storage.clock.now(), limit=10)
    assert await storage.close(storage.ending(worker, process), node=True) == [None]
    async with storage.unit() as store:
        unsettled = await store.workflows.unsettled(10)
    await settle(storage, unsettled)
    assert unsettled == [expired.processid]
    assert set((await storage.states()).values()) == {ProcessState.FAILED}
    assert await state(storage, workflow) == ProcessState.FAILED
    await storage.require_true_counts()


async def test_a_failure_fails_also_what_succeeded_and_what_runs(storage: Storage, worker: Worker) -> None:
    classid = await storage.add_class()
    _workflow, nodes = await storage.add_workflow(classid, DIAMOND)
    await run(storage, worker, classid)
    running = await storage.take(worker, classid)
    await run(storage, worker, classid, state=ProcessState.FAILED)
    assert await storage.states() == dict.fromkeys(nodes.values(), ProcessState.FAILED)
    assert await storage.close(storage.ending(worker, running), node=True) == [None]
    assert await storage.value("select count(*) from processes where endtime is null") == 0
    await storage.require_true_counts()


async def test_close_and_cancel_do_not_wait_in_a_circle(storage: Storage, worker: Worker) -> None:
    classid = await storage.add_class()
    for _ in range(20):
        workflow, nodes = await storage.add_workflow(classid, DIAMOND)
        process = await storage.take(worker, classid)

        async def cancel(workflowid: str = workflow.processgraphid) -> None:
            async with storage.unit() as store:
                locked = await store.workflows.lock(workflowid)
                assert locked is not None
                await store.workflows.cancel(workflowid, locked, now=storage.clock.now())

        async with asyncio.timeout(20):
            await together(storage.close(storage.ending(worker, process), node=True), cancel())
        states = await storage.states()
        assert states[nodes["d"]] == ProcessState.CANCELLED
        assert await state(storage, workflow) == ProcessState.CANCELLED
    await storage.require_true_counts()


async def test_the_class_of_what_waits_for_parents_stays(storage: Storage, worker: Worker) -> None:
    first, second = await storage.add_class(), await storage.add_class(cpu="1m")
    await storage.add_workflow(second, {"a": [], "b": ["a"]})
    process = await storage.take(worker, second)
    async with storage.stranger() as stranger:
        await stranger.execute("update processes set state = 2 where processid = %s", [process.processid])
        await stranger.commit()
    async with storage.unit() as store:
        before = storage.clock.now() + timedelta(days=365)
        assert await store.assignments.remove_empty_classes(before=before, limit=10) == [first]


async def test_large_workflows_are_stored_in_parts(storage: Storage, worker: Worker) -> None:
    classid = await storage.add_class()
    names = [f"n{number}" for number in range(12_000)]
    workflow, nodes = await storage.add_workflow(classid, {key: [] for key in names} | {"last": names})
    async with storage.unit() as store:
        found = await store.workflows.get("colony", workflow.processgraphid)
    assert found is not None
    assert found[0].rootprocessids == list(nodes.values())[:-1]
    assert found[0].processids == [nodes["n0"], nodes["last"], *[nodes[name] for name in names[1:]]]
