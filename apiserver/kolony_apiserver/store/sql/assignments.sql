-- claim_processes: give waiting processes to the executors that wait, in one statement for all of them.
-- A seat is one waiting call; calls that can take the same processes form a group. Every group names the classes
-- it reaches, each with the prioritytime from which the search starts. Groups take in turn, each the smallest
-- prioritytimes that it reaches; seats of executors that may not work take nothing and keep nobody from it.
-- Executors are locked so that removing one waits for this claim and then finds what it was given; one that is
-- being removed is passed over, so that a claim waits for nobody. Answers a row per class that was searched, with
-- the prioritytime of what waits there next, joined to what was handed out of it.
with recursive seat as materialized (
    select s.seat, s.grp, s.executorid, s.executorname
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
    join colonies c on c.colonyname = s.colonyname
    where not c.paused
), party as materialized (
    select grp, (row_number() over (order by grp))::integer as no, count(*)::integer as seats,
           array_agg(seat order by seat) as seat
    from seat
    group by grp
), reach as materialized (
    select * from json_to_recordset(%(reach)s::json) as r (grp integer, classid bigint, low bigint)
), class as materialized (
    select r.classid, min(r.low) as low, sum(g.seats)::integer as seats
    from reach r
    join party g using (grp)
    group by r.classid
), head as materialized (
    select (row_number() over (order by h.prioritytime, h.processid))::integer as no, h.processid, h.classid
    from class k
    cross join lateral (
        select p.processid, p.classid, p.prioritytime
        from processes p
        where p.classid = k.classid and p.state = 0 and p.prioritytime >= k.low
        order by p.prioritytime
        limit k.seats
        for update skip locked
    ) h
), turn (no, mine, taken) as (
    select 0, '{}'::integer[], '{}'::integer[]
    union all
    select g.no, m.mine, t.taken || m.mine
    from turn t
    join party g on g.no = t.no + 1
    cross join lateral (
        select array(
            select h.no
            from head h
            where h.no <> all (t.taken) and h.classid in (select r.classid from reach r where r.grp = g.grp)
            order by h.no
            limit g.seats
        ) as mine
        offset 0
    ) m
), handed as (
    select h.processid, s.seat, s.executorid, s.executorname
    from turn t
    join party g using (no)
    cross join lateral unnest(t.mine) with ordinality as m (place, nth)
    join head h on h.no = m.place
    join seat s on s.seat = g.seat[m.nth]
), assigned as (
    update processes p
    set state = 1,
        attempt = p.attempt + 1,
        executorid = h.executorid,
        executorname = h.executorname,
        starttime = %(now)s,
        execdeadline = case when p.maxexectime > 0 then %(now)s + make_interval(secs => p.maxexectime) end
    from handed h
    where p.processid = h.processid
    returning h.seat, p.*,
              (select json_agg(a) from attributes a where a.targetid = p.processid) as attributes
), counted as (
    insert into count_changes (colonyname, classid, state, change)
    select colonyname, classid, s.state, s.sign * count(*)
    from assigned
    cross join (values (0, -1), (1, 1)) as s (state, sign)
    group by colonyname, classid, s.state, s.sign
), next as materialized (
    select k.classid,
           (select p.prioritytime
            from processes p
            where p.classid = k.classid and p.state = 0 and p.prioritytime >= k.low
            order by p.prioritytime
            limit 1
            offset (select count(*) from assigned a where a.classid = k.classid)) as nextprioritytime
    from class k
)
select n.classid as searched, n.nextprioritytime, a.*
from next n
left join assigned a on a.classid = n.classid;

-- release_process: put back a process whose executor went away before it learned of the assignment.
with released as (
    update processes p
    set state = 0, executorid = '', executorname = '', starttime = null, execdeadline = null
    where p.processid = %(processid)s and p.state = 1 and p.attempt = %(attempt)s
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

-- add_classes: the classes of these requirements, made where they are new.
-- The update changes nothing; it answers also with a class that another server made a moment ago.
with wanted as materialized (
    select * from json_to_recordset(%(classes)s::json) as w (
        no integer, colonyname text, digest text, requirements text
    )
), made as (
    insert into classes as k (colonyname, digest, requirements)
    select colonyname, digest, requirements from wanted order by colonyname, digest
    on conflict (colonyname, digest) do update set digest = k.digest
    returning classid, colonyname, digest
)
select w.no, m.classid
from wanted w
join made m on m.colonyname = w.colonyname and m.digest = w.digest;

-- probe_classes: what waits first in each of these classes.
select k.classid,
       (select p.prioritytime from processes p
        where p.classid = k.classid and p.state = 0 order by p.prioritytime limit 1) as head
from unnest(%(classids)s::bigint[]) as k (classid);

-- remove_empty_classes: classes in which nothing has waited or run for a while.
-- The lock makes a submit that uses the class right now finish first; the check comes in the statement after it.
select classid from classes k
where added < %(before)s
  and not exists (select from processes p where p.classid = k.classid and p.state = 0)
  and classid not in (select p.classid from processes p where p.state = 1)
order by classid
limit %(limit)s
for update skip locked;

-- remove_classes: the locked classes that are still empty.
delete from classes k
where k.classid = any (%(classids)s)
  and not exists (select from processes p where p.classid = k.classid and p.state = 0)
  and k.classid not in (select p.classid from processes p where p.state = 1)
returning k.classid;

-- pause_colony: hold back all assignments of a colony, or hand out again.
update colonies set paused = %(paused)s where colonyname = %(colony)s;

-- colony_is_paused: whether the assignments of a colony are held back.
select paused from colonies where colonyname = %(colony)s;

-- paused_colonies: the colonies whose assignments are held back.
select colonyname from colonies where paused;
