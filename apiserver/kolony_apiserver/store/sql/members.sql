-- find_authority: everything that an identity is: the server owner, owner of colonies, executor, user.
select 'server' as role, '' as colonyname, '' as name, '' as type, '' as location, 0 as state
from server where serverid = %(identity)s
union all
select 'owner', colonyname, '', '', '', 0 from colonies where colonyid = %(identity)s
union all
select 'user', colonyname, name, '', '', 0 from users where userid = %(identity)s
union all
select 'executor', colonyname, executorname, executortype, locationname, state
from executors where executorid = %(identity)s;

-- note_membership_change: let all servers forget these identities.
with next as (
    update membership set version = version + 1 returning version
)
insert into membership_changes (version, identity)
select version, identity from next cross join (select distinct unnest(%(identities)s::text[]) as identity) i;

-- membership_changes_since: identities that changed after a version, the current version, and the time.
select m.version, clock_timestamp() as now,
       (select count(distinct c.version) from membership_changes c where c.version > %(version)s) as changes,
       array(select c.identity from membership_changes c where c.version > %(version)s) as identities
from membership m;

-- remove_old_membership_changes: forget changes that every server has long seen.
delete from membership_changes where changed < %(before)s;
