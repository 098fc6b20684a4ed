-- add_attribute: attach an attribute to a running process, by the executor that holds it.
insert into attributes (attributeid, targetid, attributetype, key, value)
select %(attributeid)s, p.processid, %(attributetype)s, %(key)s, %(value)s
from processes p
where p.processid = %(targetid)s and p.state = 1 and p.executorid = %(executorid)s
for no key update of p
returning attributeid;

-- get_attribute: one attribute with the colony and the state of its process.
select a.*, p.colonyname, p.state
from attributes a
join processes p on p.processid = a.targetid
where a.attributeid = %(attributeid)s;
