-- add_attribute: attach an attribute to a running process, by the executor that holds it.
with process as (
    select processid, workflowid from processes
    where processid = %(targetid)s and state = 1 and executorid = %(executorid)s
    for no key update
), added as (
    insert into attributes (attributeid, targetid, attributetype, key, value)
    select %(attributeid)s, processid, %(attributetype)s, %(key)s, %(value)s from process
)
select workflowid from process;

-- get_attribute: one attribute with the colony and the state of its process.
select a.*, p.colonyname, p.workflowid, p.state
from attributes a
join processes p on p.processid = a.targetid
where a.attributeid = %(attributeid)s;
