-- lock_counts: let nobody else add up counters until this transaction ends.
select pg_advisory_xact_lock(hashtext('colony_counts'));

-- fold_counts: add up a number of changes into the counts. A class that is gone has none.
with taken as (
    delete from count_changes where changeid = any (array(
        select changeid from count_changes order by changeid limit %(limit)s for update skip locked
    ))
    returning colonyname, classid, state, change
), by_colony as (
    insert into colony_counts as c (colonyname, state, count)
    select colonyname, state, sum(change) from taken group by colonyname, state order by colonyname, state
    on conflict (colonyname, state) do update set count = c.count + excluded.count
), by_class as (
    insert into class_counts as c (classid, state, count)
    select classid, t.state, sum(t.change)
    from taken t
    join classes using (classid)
    group by classid, t.state
    order by classid, t.state
    on conflict (classid, state) do update set count = c.count + excluded.count
)
select count(*) from taken;

-- remove_class_counts: counts of classes that are gone.
delete from class_counts where classid = any (%(classids)s);

-- remove_stray_class_counts: counts of all classes that are gone.
delete from class_counts c where not exists (select from classes k where k.classid = c.classid);

-- count_states: how many processes of each colony are in each state, and workflows as 10 and up.
select colonyname, state, sum(count)::bigint as total
from (select colonyname, state, count from colony_counts union all select colonyname, state, change from count_changes) c
group by colonyname, state;

-- oldest_waiting: when the longest waiting process of each colony was submitted.
select c.colonyname, (
    select p.submissiontime from processes p
    where p.colonyname = c.colonyname and p.state = 0 order by p.submissiontime limit 1
) as submissiontime
from colonies c;

-- executor_silence: when the executor of each colony and type that is longest silent was last heard from.
select colonyname, executortype, min(lastheardfromtime) as heard from executors
where state = 1 and lastheardfromtime is not null
group by colonyname, executortype;
