-- get_server_id: the identity of the server owner.
select serverid from server;

-- init_server_id: the identity of the server owner, unless there is one.
insert into server (serverid) values (%(serverid)s) on conflict do nothing;

-- change_server_id: a new key for the server owner.
update server set serverid = %(serverid)s;

-- add_colony: one row per name; nothing comes back when the name is taken.
insert into colonies (colonyname, colonyid) values (%(colonyname)s, %(colonyid)s)
on conflict do nothing
returning colonyname, colonyid;

-- get_colony: one colony.
select colonyname, colonyid from colonies where colonyname = %(colony)s;

-- get_colonies: all colonies in the order they were added.
select colonyname, colonyid from colonies order by added, colonyname;

-- change_colony_id: a new key for the owner of a colony.
update colonies set colonyid = %(colonyid)s where colonyname = %(colony)s;

-- colony_identities: everyone who is something in a colony.
select colonyid as identity from colonies where colonyname = %(colony)s
union
select executorid from executors where colonyname = %(colony)s
union
select userid from users where colonyname = %(colony)s;

-- lock_colony_classes: wait for submits under way in a colony, and hold back new ones.
select classid from classes where colonyname = %(colony)s order by classid for update;

-- lock_colony_executors: wait for claims under way in a colony, and hold back new ones.
select executorname from executors where colonyname = %(colony)s order by executorname for update;

-- remove_colony: a colony with its members, classes, locations, logs and idempotency keys, by cascade.
delete from colonies where colonyname = %(colony)s;

-- remove_colony_processes: what the cascade does not reach.
delete from processes where colonyname = %(colony)s;

-- remove_colony_changes: changes of counters that were not added up yet.
delete from count_changes where colonyname = %(colony)s;

-- remove_colony_counts: counters of a colony.
delete from colony_counts where colonyname = %(colony)s;

-- colony_statistics: counts of one colony.
select 1 as colonies, e.executors, e.activeexecutors, e.unregisteredexecutors, p.*
from (
    select count(*) as executors,
           count(*) filter (where state = 1) as activeexecutors,
           count(*) filter (where state = 3) as unregisteredexecutors
    from executors
    where colonyname = %(colony)s
) e
cross join (
    select coalesce(sum(count) filter (where state = 0), 0)::bigint as waitingprocesses,
           coalesce(sum(count) filter (where state = 1), 0)::bigint as runningprocesses,
           coalesce(sum(count) filter (where state = 2), 0)::bigint as successfulprocesses,
           coalesce(sum(count) filter (where state = 3), 0)::bigint as failedprocesses,
           coalesce(sum(count) filter (where state = 4), 0)::bigint as cancelledprocesses,
           coalesce(sum(count) filter (where state = 10), 0)::bigint as waitingworkflows,
           coalesce(sum(count) filter (where state = 11), 0)::bigint as runningworkflows,
           coalesce(sum(count) filter (where state = 12), 0)::bigint as successfulworkflows,
           coalesce(sum(count) filter (where state = 13), 0)::bigint as failedworkflows,
           coalesce(sum(count) filter (where state = 14), 0)::bigint as cancelledworkflows
    from (
        select state, count from colony_counts where colonyname = %(colony)s
        union all
        select state, change from count_changes where colonyname = %(colony)s
    ) c
) p;

-- server_statistics: counts of the whole server; removed executors do not count as executors.
select c.colonies, e.executors, e.activeexecutors, e.unregisteredexecutors, p.*
from (select count(*) as colonies from colonies) c
cross join (
    select count(*) filter (where state <> 3) as executors,
           count(*) filter (where state = 1) as activeexecutors,
           count(*) filter (where state = 3) as unregisteredexecutors
    from executors
) e
cross join (
    select coalesce(sum(count) filter (where state = 0), 0)::bigint as waitingprocesses,
           coalesce(sum(count) filter (where state = 1), 0)::bigint as runningprocesses,
           coalesce(sum(count) filter (where state = 2), 0)::bigint as successfulprocesses,
           coalesce(sum(count) filter (where state = 3), 0)::bigint as failedprocesses,
           coalesce(sum(count) filter (where state = 4), 0)::bigint as cancelledprocesses,
           coalesce(sum(count) filter (where state = 10), 0)::bigint as waitingworkflows,
           coalesce(sum(count) filter (where state = 11), 0)::bigint as runningworkflows,
           coalesce(sum(count) filter (where state = 12), 0)::bigint as successfulworkflows,
           coalesce(sum(count) filter (where state = 13), 0)::bigint as failedworkflows,
           coalesce(sum(count) filter (where state = 14), 0)::bigint as cancelledworkflows
    from (select state, count from colony_counts union all select state, change from count_changes) c
) p;
