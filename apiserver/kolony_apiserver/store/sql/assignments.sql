-- claim_processes: give waiting processes to the executors that wait, in one statement for all of them.
-- A seat is one waiting call; calls that search the same classes form a group. A search goes from one prioritytime to
-- another, beyond which something in a class that is not searched may come first. Each group takes the smallest
-- prioritytimes that it finds, in the order of its seats; seats of executors that may not work take nothing and keep
-- nobody from it. Of two groups that find the same process one gets it, and the other may look again.
-- Executors are locked so that removing one waits for this claim and then finds what it was given; one that is
-- being removed is passed over, so that a claim waits for nobody. A claim of the leader hands out nothing when its
-- term is over; others name no term. Answers a row per class that was searched, with the prioritytime of what waits
-- there next, joined to what was handed out of it.
with fence as materialized (
    select term from leadership where term = %(term)s::bigint for key share
), seat as materialized (
    select s.seat, s.grp, row_number() over (partition by s.grp order by s.seat) as nth, s.executorid, s.executorname
    from json_to_recordset(%(seats)s::json) as s (
        seat integer, grp integer, colonyname text, executorid text, executorname text
    )
    cross join lateral (
        select
        from executors e
        where e.colonyname = s.colonyname and e.executorname = s.executorname
          and e.executorid = s.executorid and e.state = 1
        for key share skip locked
    ) e
    where not (select c.paused from colonies c where c.colonyname = s.colonyname)
      and (%(term)s::bigint is null or exists (select from fence))
), search as materialized (
    select * from json_to_recordset(%(searches)s::json) as c (
        grp integer, classid bigint, low bigint, high bigint, most integer
    )
), head as materialized (
    select c.grp, row_number() over (partition by c.grp order by h.prioritytime, h.processid) as nth, h.processid
    from search c
    cross join lateral (
        select p.processid, p.prioritytime
        from processes p
        where p.classid = c.classid and p.state = 0 and p.prioritytime between c.low and c.high
        order by p.prioritytime
        limit c.most
        for update skip locked
    ) h
), assigned as (
    update processes p
    set state = 1,
        attempt = p.attempt + 1,
        executorid = s.executorid,
        executorname = s.executorname,
        starttime = %(now)s,
        execdeadline = case when p.maxexectime > 0 then %(now)s + make_interval(secs => p.maxexectime) end
    from head h
    join seat s using (grp, nth)
    where p.processid = h.processid
    returning s.seat, p.*,
              (select json_agg(a) from attributes a where a.targetid = p.processid) as attributes
), counted as (
    insert into count_changes (colonyname, classid, state, change)
    select colonyname, classid, s.state, s.sign * count(*)
    from assigned
    cross join (values (0, -1), (1, 1)) as s (state, sign)
    group by colonyname, classid, s.state, s.sign
), next as materialized (
    select c.classid,
           (select p.prioritytime
            from processes p
            where p.classid = c.classid and p.state = 0 and p.prioritytime >= c.low
            order by p.prioritytime
            limit 1
            offset (select count(*) from assigned a where a.classid = c.classid)) as nextprioritytime
    from search c
)
select n.classid as searched, n.nextprioritytime, a.*
from next n
left join assigned a on a.classid = n.classid;

-- release_process: put back a process whose executor went away before it learned of the assignment.
-- As in close_processes, the sum leaves only the key to find it by.
with released as (
    update processes p
    set state = 0, executorid = '', executorname = '', starttime = null, execdeadline = null
    where p.processid = %(processid)s and p.state + 0 = 1 and p.attempt = %(attempt)s
    returning p.colonyname, p.classid, p.prioritytime
), counted as (
    insert into count_changes (colonyname, classid, state, change)
    select colonyname, classid, 1, -1 from released
    union all
    select colonyname, classid, 0, 1 from released
)
select classid, prioritytime from released;

-- load_classes: requirement classes with the prioritytime of what waits in each.
select k.classid, k.colonyname, k.requirements,
       (select p.prioritytime from processes p
        where p.classid = k.classid and p.state = 0 order by p.prioritytime limit 1) as head
from classes k
where k.added >= %(since)s;

-- gone_classes: those of these classes that were removed.
select k.classid from unnest(%(classids)s::bigint[]) as k (classid)
where not exists (select from classes c where c.classid = k.classid);

-- add_classes: the classes of these requirements, made where they are new.
-- The update changes nothing; it answers also with a class that another server made a moment ago.
insert into classes as k (colonyname, digest, requirements)
select w.colonyname, w.digest, w.requirements
from json_to_recordset(%(classes)s::json) as w (colonyname text, digest text, requirements text)
order by w.colonyname, w.digest
on conflict (colonyname, digest) do update set digest = k.digest
returning classid, colonyname, digest;

-- probe_classes: what waits first in each of these classes.
select k.classid,
       (select p.prioritytime from processes p
        where p.classid = k.classid and p.state = 0 order by p.prioritytime limit 1) as head
from unnest(%(classids)s::bigint[]) as k (classid);

-- hold_classes: keep these classes from being removed until the transaction ends.
select classid from classes where classid = any (%(classids)s) order by classid for key share;

-- remove_empty_classes: classes in which nothing has waited or run for a while.
-- The lock makes a submit that uses the class right now finish first; the check comes in the statement after it.
select classid from classes k
where added < %(before)s
  and not exists (select from processes p where p.classid = k.classid and p.state = 0)
  and not exists (select from processes p where p.classid = -k.classid and p.state = 0)
  and classid not in (select p.classid from processes p where p.state = 1)
order by classid
limit %(limit)s
for update skip locked;

-- remove_classes: the locked classes that are still empty.
delete from classes k
where k.classid = any (%(classids)s)
  and not exists (select from processes p where p.classid = k.classid and p.state = 0)
  and not exists (select from processes p where p.classid = -k.classid and p.state = 0)
  and k.classid not in (select p.classid from processes p where p.state = 1)
returning k.classid;

-- pause_colony: hold back all assignments of a colony, or hand out again.
update colonies set paused = %(paused)s where colonyname = %(colony)s;

-- colony_is_paused: whether the assignments of a colony are held back.
select paused from colonies where colonyname = %(colony)s;

-- paused_colonies: the colonies whose assignments are held back.
select colonyname from colonies where paused;
