-- add_cron: a new cron, to be looked at at once; nothing comes back when its name is taken in the colony.
insert into crons (
    cronid, colonyname, name, initiatorid, initiatorname, cronexpression, interval, random, timezone, missed,
    missedlimit, workflowspec, waitforprevprocessgraph, due
)
values (
    %(cronid)s, %(colonyname)s, %(name)s, %(initiatorid)s, %(initiatorname)s, %(cronexpression)s, %(interval)s,
    %(random)s, %(timezone)s, %(missed)s, %(missedlimit)s, %(workflowspec)s, %(waitforprevprocessgraph)s, %(now)s
)
on conflict (colonyname, name) do nothing
returning *;

-- cron_colony: the colony of a cron, for authorisation.
select colonyname from crons where cronid = %(cronid)s;

-- get_cron: one cron.
select * from crons where cronid = %(cronid)s and colonyname = %(colony)s;

-- find_crons: the crons of a colony, the oldest first.
select * from crons where colonyname = %(colony)s order by added, cronid limit %(count)s;

-- lock_cron: one cron, held until the end of the transaction.
select * from crons where cronid = %(cronid)s and colonyname = %(colony)s for no key update;

-- take_due_cron: one cron as it was found due, held until the end of the transaction; nothing comes back when somebody
-- else holds it, or moved it on.
select * from crons where cronid = %(cronid)s and due = %(due)s and not paused for no key update skip locked;

-- find_due_crons: crons to look at, those that are late first, after the last one found; without those that still wait
-- for the end of their last workflow, as there may be many, and for long.
select c.cronid, c.due
from crons c
left join workflows w on c.waitforprevprocessgraph and w.workflowid = c.prevprocessgraphid and w.state < 2
where not c.paused and c.due <= %(now)s and (c.due, c.cronid) > (%(lastdue)s::timestamptz, %(lastid)s)
  and w.workflowid is null
order by c.due, c.cronid
limit %(limit)s;

-- move_cron: when a cron is looked at next, and what it ran; only if it is still where it was.
update crons
set nextrun = %(nextrun)s, due = %(due)s, lastrun = coalesce(%(lastrun)s, lastrun),
    prevprocessgraphid = coalesce(%(prevprocessgraphid)s, prevprocessgraphid)
where cronid = %(cronid)s and nextrun is not distinct from %(slot)s
returning *;

-- update_cron: what a member says about a cron, instead of what was said before.
update crons
set name = %(name)s, initiatorid = %(initiatorid)s, initiatorname = %(initiatorname)s,
    cronexpression = %(cronexpression)s, interval = %(interval)s, random = %(random)s, timezone = %(timezone)s,
    missed = %(missed)s, missedlimit = %(missedlimit)s, workflowspec = %(workflowspec)s,
    waitforprevprocessgraph = %(waitforprevprocessgraph)s, nextrun = %(nextrun)s, due = %(due)s
where cronid = %(cronid)s and colonyname = %(colonyname)s
returning *;

-- pause_cron: a cron that rests has no next run; one that goes on is planned anew.
update crons set paused = %(paused)s, nextrun = null, due = %(now)s
where cronid = %(cronid)s and colonyname = %(colony)s and paused <> %(paused)s;

-- remove_cron: delete a cron.
delete from crons where cronid = %(cronid)s and colonyname = %(colony)s;

-- change_cron_initiator: a new key for the initiator of crons.
update crons set initiatorid = %(new)s where colonyname = %(colony)s and initiatorid = %(old)s;

-- lock_colony_crons: wait for runs under way in a colony, and hold back new ones.
select cronid from crons where colonyname = %(colony)s order by cronid for update;

-- cron_lag: when the cron that is longest overdue should have run; those that wait for their last workflow do not count.
select due from crons where not paused and not waitforprevprocessgraph and nextrun is not null order by due limit 1;
