-- add_workflow: a workflow without its processes; nothing comes back when its idempotency key was used.
with claimed as (
    insert into submissions (colonyname, initiatorid, idempotencykey, processids, submitted)
    select %(colony)s, %(initiatorid)s, %(key)s, array[%(workflowid)s], %(now)s
    where %(key)s <> ''
    on conflict do nothing
    returning idempotencykey
), added as (
    insert into workflows (workflowid, colonyname, initiatorid, initiatorname, submissiontime, size)
    select %(workflowid)s, %(colony)s, %(initiatorid)s, %(initiatorname)s, %(now)s, %(size)s
    where %(key)s = '' or exists (select from claimed)
    returning workflowid, colonyname
), counted as (
    insert into count_changes (colonyname, classid, state, change) select colonyname, 0, 10, 1 from added
)
select workflowid from added;

-- add_dependencies: who waits for whom in a workflow.
insert into dependencies (workflowid, parentid, childid, nth, rank)
select %(workflowid)s, d.parentid, d.childid, d.nth, d.rank
from json_to_recordset(%(dependencies)s::json) as d (parentid text, childid text, nth integer, rank integer);

-- workflow_colony: the colony of a workflow, for authorisation.
select colonyname from workflows where workflowid = %(workflowid)s;

-- workflow_state: the state of a workflow.
select state from workflows where workflowid = %(workflowid)s;

-- get_workflow: one workflow with its graph.
select * from drawn_workflows where workflowid = %(workflowid)s and colonyname = %(colony)s;

-- find_workflows: workflows in one state with their graphs, the newest first.
select * from drawn_workflows
where colonyname = %(colony)s and state = %(state)s
order by submissiontime desc
limit %(count)s;

-- get_graph: the graph of a workflow.
select nodes, edges from drawn_workflows where workflowid = %(workflowid)s;

-- find_labels: the names of the nodes of a workflow.
select processid, spec::json ->> 'nodename' as label from processes
where workflowid = %(workflowid)s and workflowid <> '';

-- find_leaf_outputs: the outputs of the processes of a workflow that have no children.
select p.processid, p.output from processes p
where p.workflowid = %(workflowid)s and p.workflowid <> ''
  and not exists (select from dependencies d where d.workflowid = p.workflowid and d.parentid = p.processid);

-- start_nodes: note that processes of workflows run, and answer with their parents and children.
with call as materialized (
    select * from json_to_recordset(%(calls)s::json) as c (processid text, processgraphid text)
), waiting as materialized (
    select workflowid from workflows
    where workflowid = any (array(select processgraphid from call)) and state = 0
    order by workflowid
    for update
), started as (
    update workflows set state = 1, starttime = %(now)s
    where workflowid = any (array(select workflowid from waiting))
    returning colonyname
), counted as (
    insert into count_changes (colonyname, classid, state, change)
    select colonyname, 0, s.state, s.change from started cross join (values (10, -1), (11, 1)) as s (state, change)
)
select p.processid, p.parents, p.children
from call c
join shown_processes p on p.processid = c.processid;

-- lock_workflows: let nobody else change the workflows of these processes until this transaction ends.
-- Everyone who locks several, or processes of theirs as well, locks the workflows first and in this order.
select workflowid from workflows
where workflowid = any (array(select p.workflowid from processes p where p.processid = any (%(processids)s)))
order by workflowid
for update;

-- lock_workflow: let nobody else change a workflow until this transaction ends.
select state, size from workflows where workflowid = %(workflowid)s for update;

-- settle_processes: pass on what the end of processes means for their workflows, which are locked; once each.
-- A success is one parent less to wait for; a child that waits for no other enters the queue, and its input is what
-- its parents put out, in their order. Answers with all children of those that succeeded.
-- A failure is passed on only together with fail_workflows: without it that of another, who ended the same process,
-- would count as passed on. As in close_processes, the sum leaves only the key to find processes by.
with ended as materialized (
    update processes set settled = true
    where processid = any (%(processids)s) and not settled and state + 0 between 2 and %(highest)s
    returning processid, workflowid, state
), step as materialized (
    select d.workflowid, d.childid, count(*)::integer as parents
    from ended e
    join dependencies d on d.workflowid = e.workflowid and d.parentid = e.processid
    where e.state = 2
    group by d.workflowid, d.childid
), child as (
    update processes c
    set pendingparents = c.pendingparents - s.parents,
        classid = case when c.pendingparents = s.parents and c.state = 0 then abs(c.classid) else c.classid end,
        input = case
            when c.pendingparents = s.parents and c.state = 0 then (
                select '[' || coalesce(string_agg(nullif(substr(p.output, 2, length(p.output) - 2), ''), ',' order by d.nth), '')
                       || ']'
                from dependencies d
                join processes p on p.processid = d.parentid
                where d.workflowid = s.workflowid and d.childid = s.childid
            )
            else c.input
        end
    from step s
    where c.processid = s.childid
    returning c.processid, c.colonyname, c.executortype, c.classid, c.prioritytime, c.state, c.pendingparents
), result as materialized (
    select e.workflowid, w.colonyname, w.state as was, e.successful, e.failed,
           case
               when e.failed > 0 then 3
               when w.state < 2 and w.successful + e.successful = w.size then 2
               when w.state = 0 then 1
               else w.state
           end as state
    from (
        select workflowid, count(*) filter (where state = 2)::integer as successful,
               count(*) filter (where state = 3)::integer as failed
        from ended
        group by workflowid
    ) e
    cross join lateral (select * from workflows where workflowid = e.workflowid limit 1) w
), changed as (
    update workflows w
    set successful = w.successful + r.successful,
        state = r.state,
        starttime = case when r.state in (1, 2) then coalesce(w.starttime, %(now)s) else w.starttime end,
        endtime = case when r.state >= 2 then coalesce(w.endtime, %(now)s) end
    from result r
    where w.workflowid = r.workflowid and w.workflowid = any (array(select workflowid from result))
), counted as (
    insert into count_changes (colonyname, classid, state, change)
    select colonyname, -classid, 0, -count(*) from child where pendingparents = 0 and state = 0 group by 1, 2
    union all
    select colonyname, classid, 0, count(*) from child where pendingparents = 0 and state = 0 group by 1, 2
    union all
    select r.colonyname, 0, s.state, s.change
    from result r
    cross join lateral (values (10 + r.was, -1), (10 + r.state, 1)) as s (state, change)
    where r.state <> r.was
)
select processid, colonyname, executortype, state, classid, prioritytime from child;

-- fail_workflows: fail whatever has not failed in the workflows, which are locked, of failed processes with children.
with ended as materialized (
    select processid, workflowid from processes
    where processid = any (%(processids)s) and state + 0 = 3 and workflowid <> ''
), failed as materialized (
    select distinct e.workflowid
    from ended e
    cross join lateral (
        select from dependencies d where d.workflowid = e.workflowid and d.parentid = e.processid limit 1
    ) d
), node as materialized (
    select processid from processes where workflowid = any (array(select workflowid from failed)) and workflowid <> ''
), before as materialized (
    select processid, colonyname, classid, state from processes
    where processid = any (array(select processid from node)) and state <> 3
    order by processid
    for no key update
), swept as (
    update processes
    set state = 3, settled = true, endtime = coalesce(endtime, %(now)s)
    where processid = any (array(select processid from before))
    returning processid, colonyname, executortype
), counted as (
    insert into count_changes (colonyname, classid, state, change)
    select colonyname, case when state < 2 then classid else 0 end, state, -count(*) from before group by 1, 2, 3
    union all
    select colonyname, 0, 3, count(*) from before group by 1
)
select processid, colonyname, executortype, 3 as state, 0::bigint as classid, 0::bigint as prioritytime from swept;

-- find_unsettled: processes whose end was not passed on, since whoever ended them went away.
select processid from processes where not settled and state >= 2 order by endtime limit %(limit)s;

-- cancel_nodes: cancel what waits or runs of a workflow, which is locked.
with before as materialized (
    select processid, colonyname, classid, state from processes
    where workflowid = %(workflowid)s and workflowid <> '' and state < 2
    order by processid
    for no key update
), cancelled as (
    update processes set state = 4, endtime = %(now)s, settled = true
    where processid = any (array(select processid from before))
    returning processid, colonyname, executortype
), counted as (
    insert into count_changes (colonyname, classid, state, change)
    select colonyname, classid, state, -count(*) from before group by 1, 2, 3
    union all
    select colonyname, 0, 4, count(*) from before group by 1
)
select processid, colonyname, executortype, 4 as state, 0::bigint as classid, 0::bigint as prioritytime from cancelled;

-- cancel_workflow: note that a workflow, which is locked, was cancelled.
with before as (
    select workflowid, state from workflows where workflowid = %(workflowid)s
), cancelled as (
    update workflows w set state = 4, endtime = %(now)s
    from before b
    where w.workflowid = b.workflowid
    returning w.colonyname, b.state as was
)
insert into count_changes (colonyname, classid, state, change)
select colonyname, 0, s.state, s.change
from cancelled
cross join lateral (values (10 + was, -1), (14, 1)) as s (state, change)
where was <> 4;

-- lock_found_workflows: workflows of a colony in some states, submitted before a time; locked.
select workflowid from workflows
where workflowid = any (array(
    select workflowid from workflows
    where colonyname = %(colony)s and state = any (%(states)s) and submissiontime < %(before)s
    limit %(limit)s
))
order by workflowid
for update;

-- remove_nodes: delete the processes of workflows, which are locked.
with removed as (
    delete from processes where workflowid = any (%(workflowids)s) and workflowid <> ''
    returning colonyname, classid, state
)
insert into count_changes (colonyname, classid, state, change)
select colonyname, case when state < 2 then classid else 0 end, state, -count(*) from removed group by 1, 2, 3;

-- remove_dependencies: forget who waits for whom in workflows, which are locked.
delete from dependencies where workflowid = any (%(workflowids)s);

-- remove_workflows: delete workflows, which are locked.
with removed as (
    delete from workflows where workflowid = any (%(workflowids)s) returning colonyname, state
)
insert into count_changes (colonyname, classid, state, change)
select colonyname, 0, 10 + state, -count(*) from removed group by 1, 3;

-- grow_workflow: count one more process in a workflow, which is locked.
update workflows set size = size + 1 where workflowid = %(workflowid)s;

-- put_before: let a process that waits for parents wait for one more.
with child as (
    update processes set pendingparents = pendingparents + 1
    where processid = %(childid)s and workflowid = %(workflowid)s and state = 0 and pendingparents > 0
    returning processid, workflowid, rank
)
insert into dependencies (workflowid, parentid, childid, nth, rank)
select c.workflowid, %(parentid)s, c.processid, 1 + (
           select max(d.nth) from dependencies d where d.workflowid = c.workflowid and d.childid = c.processid
       ), c.rank
from child c
returning childid;

-- hand_over_children: make the children of one process those of another.
with old as (
    delete from dependencies where workflowid = %(workflowid)s and parentid = %(from_parent)s
    returning workflowid, childid, rank
), child as materialized (
    select workflowid, childid, rank, count(*)::integer as parents from old group by workflowid, childid, rank
), less as (
    update processes p set pendingparents = p.pendingparents - c.parents + 1
    from child c
    where p.processid = c.childid and c.parents > 1
)
insert into dependencies (workflowid, parentid, childid, nth, rank)
select c.workflowid, %(to_parent)s, c.childid, 1 + (
           select max(d.nth) from dependencies d where d.workflowid = c.workflowid and d.childid = c.childid
       ), c.rank
from child c;

-- remove_colony_dependencies: what removing a colony does not reach.
delete from dependencies where workflowid in (select workflowid from workflows where colonyname = %(colony)s);

-- lock_colony_workflows: wait for closes under way in the workflows of a colony, and hold back new ones.
select workflowid from workflows where colonyname = %(colony)s order by workflowid for update;
