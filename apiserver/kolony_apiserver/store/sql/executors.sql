-- add_executor: a new executor; nothing comes back when the name was ever used in the colony.
insert into executors (
    colonyname, executorname, executorid, executortype, state, requirefuncreg, commissiontime, lastheardfromtime,
    locationname, capabilities, allocations, blueprintid, blueprintgen
) values (
    %(colonyname)s, %(executorname)s, %(executorid)s, %(executortype)s, 0, %(requirefuncreg)s, %(now)s,
    %(lastheardfromtime)s, %(locationname)s, %(capabilities)s, %(allocations)s, %(blueprintid)s, %(blueprintgen)s
)
on conflict (colonyname, executorname) do nothing
returning *;

-- replace_executor: the same record with a new executor in it, pending again.
update executors
set executorid = %(executorid)s, executortype = %(executortype)s, state = 0, commissiontime = %(now)s,
    lastheardfromtime = %(lastheardfromtime)s, locationname = %(locationname)s, capabilities = %(capabilities)s,
    allocations = %(allocations)s, blueprintid = %(blueprintid)s, blueprintgen = %(blueprintgen)s
where colonyname = %(colonyname)s and executorname = %(executorname)s
returning *;

-- get_executor: one executor by name.
select * from executors where colonyname = %(colony)s and executorname = %(name)s;

-- get_executor_by_id: one executor by identity, a registered one before a removed one.
select * from executors where executorid = %(executorid)s and colonyname = %(colony)s
order by state = 3, commissiontime
limit 1;

-- executor_colonies: the colonies in which an identity is an executor.
select colonyname from executors where executorid = %(executorid)s order by state = 3, commissiontime;

-- find_executors: the executors of a colony in all states.
select * from executors where colonyname = %(colony)s order by commissiontime, executorname;

-- set_executor_state: approve or reject an executor.
update executors set state = %(state)s where colonyname = %(colony)s and executorname = %(name)s
returning executorid;

-- lock_executor: wait for claims under way for an executor.
select executorid from executors where colonyname = %(colony)s and executorname = %(name)s for update;

-- remove_executor_functions: what a removed executor offered.
delete from functions where colonyname = %(colony)s and executorname = %(name)s;

-- return_executor_processes: put back what an executor runs.
with returned as (
    update processes
    set state = 0, executorid = '', executorname = '', starttime = null, endtime = null
    where processid = any (array(
        select processid from processes
        where colonyname = %(colony)s and state = 1 and executorid = %(executorid)s
        order by processid
        for no key update
    ))
    returning colonyname, classid, prioritytime
), counted as (
    insert into count_changes (colonyname, classid, state, change)
    select colonyname, classid, 1, -count(*) from returned group by colonyname, classid
    union all
    select colonyname, classid, 0, count(*) from returned group by colonyname, classid
)
select classid, min(prioritytime) as prioritytime from returned group by classid;

-- set_executor_allocations: replace the allocations of an executor.
update executors set allocations = %(allocations)s where colonyname = %(colony)s and executorname = %(name)s;

-- set_executor_capabilities: replace the capabilities of an executor.
update executors set capabilities = %(capabilities)s where colonyname = %(colony)s and executorname = %(name)s;

-- change_executor_id: a new key for an executor; processes keep the identity they were given to.
update executors set executorid = %(new)s where colonyname = %(colony)s and executorid = %(old)s and state <> 3;

-- note_contacts: when executors were last heard from; those that somebody changes right now are passed over. What was
-- heard before an executor was added was another's, which had its name.
with heard as materialized (
    select e.colonyname, e.executorname, c.heard
    from json_to_recordset(%(contacts)s::json) as c (colonyname text, executorname text, heard timestamptz)
    join executors e on e.colonyname = c.colonyname and e.executorname = c.executorname
    where e.state <> 3 and (e.lastheardfromtime is null or e.lastheardfromtime < c.heard)
      and e.commissiontime <= c.heard
    for no key update of e skip locked
)
update executors e
set lastheardfromtime = h.heard
from heard h
where e.colonyname = h.colonyname and e.executorname = h.executorname;

-- find_stale_executors: registered executors that were heard from, but not for a while. The lock leaves out those
-- of which something was heard meanwhile, and those that another server removes.
select colonyname, executorname, executorid from executors
where state <> 3 and lastheardfromtime < %(before)s
order by lastheardfromtime
limit %(limit)s
for update skip locked;
