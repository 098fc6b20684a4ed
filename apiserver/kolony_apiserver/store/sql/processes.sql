-- submit_processes: store a batch of submissions, and say which of them were stored.
-- Locking the classes keeps a class, and with it the colony, from being removed under the batch. A submission
-- with a class that is gone or an idempotency key that was used stores nothing and is missing from the answer;
-- its processes stand or fall together. One that waits for parents names its class with the sign turned.
with call as materialized (
    select *
    from json_to_recordset(%(calls)s::json) as c (
        submission integer, processid text, colonyname text, classid bigint, prioritytime bigint,
        submissiontime timestamptz, waitdeadline timestamptz, maxwaittime integer, maxexectime integer,
        maxretries integer, initiatorid text, initiatorname text, executortype text, funcname text, label text,
        spec json, workflowid text, rank integer, pendingparents integer, input json, idempotencykey text,
        attributes json
    )
), class as materialized (
    select classid from classes where classid in (select abs(classid) from call) order by classid for key share
), missing as (
    select submission from call where abs(classid) not in (select classid from class)
), claimed as (
    insert into submissions (colonyname, initiatorid, idempotencykey, processids, submitted)
    select colonyname, initiatorid, idempotencykey, array_agg(processid order by processid), min(submissiontime)
    from call
    where idempotencykey <> '' and submission not in (select submission from missing)
    group by colonyname, initiatorid, idempotencykey, submission
    on conflict do nothing
    returning processids
), fit as materialized (
    select *
    from call
    where submission not in (select submission from missing)
      and (idempotencykey = '' or processid in (select unnest(processids) from claimed))
), stored as (
    insert into processes (
        processid, colonyname, classid, state, prioritytime, submissiontime, waitdeadline, maxwaittime, maxexectime,
        maxretries, initiatorid, initiatorname, executortype, funcname, label, spec, workflowid, rank, pendingparents,
        settled, input
    )
    select processid, colonyname, classid, 0, prioritytime, submissiontime, waitdeadline, maxwaittime, maxexectime,
           maxretries, initiatorid, initiatorname, executortype, funcname, label, spec::text, workflowid, rank,
           pendingparents, workflowid = '', input::text
    from fit
), environment as (
    insert into attributes (attributeid, targetid, attributetype, key, value)
    select a.attributeid, f.processid, a.attributetype, a.key, a.value
    from fit f
    cross join json_to_recordset(f.attributes) as a (attributeid text, attributetype integer, key text, value text)
), counted as (
    insert into count_changes (colonyname, classid, state, change)
    select colonyname, classid, 0, count(*) from fit group by colonyname, classid
)
select distinct submission from fit;

-- find_submission: the processes that an idempotency key stands for.
select processids from submissions
where colonyname = %(colony)s and initiatorid = %(initiatorid)s and idempotencykey = %(key)s;

-- remove_old_submissions: forget idempotency keys.
delete from submissions where ctid = any (array(
    select ctid from submissions where submitted < %(before)s order by submitted limit %(limit)s
));

-- process_home: the colony of a process, for authorisation, and its workflow.
select colonyname, workflowid from processes where processid = %(processid)s;

-- get_process: one process with its attributes.
select p.*
from shown_processes p
where p.processid = %(processid)s and p.colonyname = %(colony)s;

-- get_processes_by_id: some processes of a colony with their attributes.
select p.*
from shown_processes p
where p.processid = any (%(processids)s) and p.colonyname = %(colony)s
order by p.prioritytime, p.processid;

-- find_waiting_processes: the next to run first.
select p.*
from shown_processes p
where p.colonyname = %(colony)s and p.state = 0
  and (%(executortype)s = '' or p.executortype = %(executortype)s)
  and (%(initiator)s = '' or p.initiatorname = %(initiator)s)
  and (%(label)s = '' or p.label = %(label)s)
order by p.prioritytime
limit %(count)s;

-- find_running_processes: the longest running first.
select p.*
from shown_processes p
where p.colonyname = %(colony)s and p.state = 1
  and (%(executortype)s = '' or p.executortype = %(executortype)s)
  and (%(initiator)s = '' or p.initiatorname = %(initiator)s)
  and (%(label)s = '' or p.label = %(label)s)
order by p.starttime
limit %(count)s;

-- find_ended_processes: the last to end first.
select p.*
from shown_processes p
where p.colonyname = %(colony)s and p.state = %(state)s and p.state >= 2
  and (%(executortype)s = '' or p.executortype = %(executortype)s)
  and (%(initiator)s = '' or p.initiatorname = %(initiator)s)
  and (%(label)s = '' or p.label = %(label)s)
order by p.endtime desc
limit %(count)s;

-- find_process_history: processes submitted since a time, in the order of submission.
select p.*
from shown_processes p
where p.colonyname = %(colony)s and p.state = %(state)s and p.submissiontime >= %(since)s
  and (%(executorid)s = '' or p.executorid = %(executorid)s)
order by p.submissiontime;

-- find_submitted_since: the last that came into the queue, whatever became of them.
select p.*
from shown_processes p
where p.colonyname = %(colony)s and p.state in (0, 1, 2, 3, 4) and p.submissiontime >= %(since)s
  and p.executortype = %(executortype)s and (p.state > 0 or p.pendingparents = 0)
order by p.submissiontime desc
limit %(count)s;

-- find_started_since: the last that were assigned, whether they still run or not.
select p.*
from shown_processes p
where p.processid in (
    select processid from processes
    where colonyname = %(colony)s and state = 1 and starttime >= %(since)s and executortype = %(executortype)s
    union all
    select processid from processes
    where colonyname = %(colony)s and state in (2, 3, 4) and endtime >= %(since)s and starttime >= %(since)s
      and executortype = %(executortype)s
)
order by p.starttime desc
limit %(count)s;

-- find_ended_since: the last that ended in a state.
select p.*
from shown_processes p
where p.colonyname = %(colony)s and p.state = %(state)s and p.state >= 2 and p.endtime >= %(since)s
  and p.executortype = %(executortype)s
order by p.endtime desc
limit %(count)s;

-- close_processes: finish or fail running processes, each by the executor that holds it and in no other attempt.
-- A success counts in the statistics of the function that the executor registered under that name. The average
-- weighs the newest value by one half; over n closes at once that is a weighted sum, in which the first value
-- stands in for the average that is not there yet. A call that changed nothing is missing from the answer.
-- The sum keeps the planner from the index of what runs, which it would read whole where it thinks that little does.
with call as materialized (
    select *
    from json_to_recordset(%(calls)s::json) as c (
        no integer, processid text, executorid text, attempt integer, state smallint, output json, errors json
    )
), closed as (
    update processes p
    set state = c.state,
        endtime = %(now)s,
        output = coalesce(c.output::text, p.output),
        errors = coalesce(c.errors::text, p.errors)
    from call c
    where p.processid = c.processid and p.state + 0 = 1 and p.executorid = c.executorid
      and (c.attempt is null or c.attempt = p.attempt)
    returning c.no, p.colonyname, p.classid, p.state, p.executorname, p.executortype, p.funcname, p.submissiontime,
              p.starttime, p.endtime
), counted as (
    insert into count_changes (colonyname, classid, state, change)
    select colonyname, classid, 1, -count(*) from closed group by colonyname, classid
    union all
    select colonyname, 0, state, count(*) from closed group by colonyname, state
), run as (
    select colonyname, executorname, funcname,
           extract(epoch from starttime - submissiontime)::double precision as wait,
           extract(epoch from endtime - starttime)::double precision as exec,
           row_number() over function as nth,
           count(*) over (partition by colonyname, executorname, funcname) as runs
    from closed
    where state = 2
    window function as (partition by colonyname, executorname, funcname order by no)
), runs as (
    select colonyname, executorname, funcname, max(runs) as runs,
           min(wait) as minwait, max(wait) as maxwait, min(exec) as minexec, max(exec) as maxexec,
           min(wait) filter (where nth = 1) as firstwait, min(exec) filter (where nth = 1) as firstexec,
           sum(wait * 0.5 ^ (runs - nth + 1)) as sumwait, sum(exec * 0.5 ^ (runs - nth + 1)) as sumexec
    from run
    group by colonyname, executorname, funcname
    order by colonyname, executorname, funcname
), measured as (
    update functions f
    set counter = f.counter + r.runs,
        minwaittime = case when f.minwaittime > 0 then least(f.minwaittime, r.minwait) else r.minwait end,
        maxwaittime = greatest(f.maxwaittime, r.maxwait),
        minexectime = case when f.minexectime > 0 then least(f.minexectime, r.minexec) else r.minexec end,
        maxexectime = greatest(f.maxexectime, r.maxexec),
        avgwaittime = r.sumwait + case when f.avgwaittime > 0 then f.avgwaittime else r.firstwait end * 0.5 ^ r.runs,
        avgexectime = r.sumexec + case when f.avgexectime > 0 then f.avgexectime else r.firstexec end * 0.5 ^ r.runs
    from runs r
    where f.colonyname = r.colonyname and f.executorname = r.executorname and f.funcname = r.funcname
)
select no, colonyname, executortype, submissiontime, starttime, endtime from closed;

-- set_process_output: replace the output of a running process by the executor that holds it.
update processes set output = %(output)s
where processid = %(processid)s and colonyname = %(colony)s and state = 1 and executorid = %(executorid)s
  and (%(attempt)s::bigint is null or attempt = %(attempt)s);

-- cancel_process: cancel a process of no workflow that waits or runs.
with before as (
    select processid, state as was from processes
    where processid = %(processid)s and colonyname = %(colony)s and workflowid = ''
    for no key update
), cancelled as (
    update processes p set state = 4, endtime = %(now)s
    from before b
    where p.processid = b.processid and b.was in (0, 1)
    returning p.colonyname, p.classid, b.was
), counted as (
    insert into count_changes (colonyname, classid, state, change)
    select colonyname, classid, was, -1 from cancelled
    union all
    select colonyname, 0, 4, 1 from cancelled
)
select was from cancelled;

-- remove_process: delete a process of no workflow that does not run.
with removed as (
    delete from processes
    where processid = %(processid)s and colonyname = %(colony)s and state <> 1 and workflowid = ''
    returning colonyname, classid, state
), counted as (
    insert into count_changes (colonyname, classid, state, change)
    select colonyname, case when state < 2 then classid else 0 end, state, -1 from removed
)
select state from removed;

-- lock_running_processes: wait for closes under way in a colony, in the order in which they lock.
select processid from processes where colonyname = %(colony)s and state = 1 order by processid for update;

-- remove_processes: delete the processes of a colony in one state, or in any with -1, but for those of workflows.
with removed as (
    delete from processes
    where colonyname = %(colony)s and (%(state)s = -1 or state = %(state)s) and workflowid = ''
    returning colonyname, classid, state
)
insert into count_changes (colonyname, classid, state, change)
select colonyname, case when state < 2 then classid else 0 end, state, -count(*) from removed group by 1, 2, 3;
