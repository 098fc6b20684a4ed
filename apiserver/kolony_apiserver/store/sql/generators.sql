-- add_generator: a new generator with its queue; nothing comes back when its name is taken in the colony.
with added as (
    insert into generators (
        generatorid, colonyname, name, initiatorid, initiatorname, workflowspec, trigger, timeout
    )
    values (
        %(generatorid)s, %(colonyname)s, %(name)s, %(initiatorid)s, %(initiatorname)s, %(workflowspec)s, %(trigger)s,
        %(timeout)s
    )
    on conflict (colonyname, name) do nothing
    returning generatorid, colonyname, trigger, timeout
)
insert into generator_queues (generatorid, colonyname, trigger, timeout)
select generatorid, colonyname, trigger, timeout from added
returning generatorid;

-- generator_colony: the colony of a generator, for authorisation.
select colonyname from generators where generatorid = %(generatorid)s;

-- get_generator: one generator and its queue.
select g.*, q.packed, q.taken, q.firstpack, q.lastrun
from generators g
join generator_queues q using (generatorid)
where g.generatorid = %(generatorid)s and g.colonyname = %(colony)s;

-- resolve_generator: one generator by name.
select g.*, q.firstpack, q.lastrun
from generators g
join generator_queues q using (generatorid)
where g.colonyname = %(colony)s and g.name = %(name)s;

-- find_generators: the generators of a colony, the oldest first.
select g.*, q.firstpack, q.lastrun
from generators g
join generator_queues q using (generatorid)
where g.colonyname = %(colony)s
order by g.added, g.generatorid
limit %(count)s;

-- remove_generator: delete a generator with what waits in it.
delete from generators where generatorid = %(generatorid)s and colonyname = %(colony)s;

-- pack_generators: append a batch of arguments to their generators, numbered in the order of the batch; says of which
-- the generator is there. Several queues are locked in the order of their keys, so that nobody waits in a circle. An
-- argument with an idempotency key is stored once for its generator and caller.
with call as materialized (
    select *
    from json_to_recordset(%(calls)s::json) as c (
        no integer, generatorid text, arg text, initiatorid text, idempotencykey text
    )
), queue as materialized (
    select generatorid, colonyname, packed
    from generator_queues
    where generatorid in (select generatorid from call)
    order by generatorid
    for no key update
), claimed as (
    insert into submissions (colonyname, initiatorid, idempotencykey, processids, submitted)
    select q.colonyname, c.initiatorid, 'pack ' || c.generatorid || ' ' || c.idempotencykey, array[c.no::text], %(now)s
    from call c
    join queue q using (generatorid)
    where c.idempotencykey <> ''
    order by 1, 2, 3
    on conflict do nothing
    returning processids[1]::integer as no
), pack as materialized (
    select c.generatorid, c.arg, q.packed + row_number() over (partition by c.generatorid order by c.no) as number
    from call c
    join queue q using (generatorid)
    where c.idempotencykey = '' or c.no in (select no from claimed)
), stored as (
    insert into packs (generatorid, number, arg) select generatorid, number, arg from pack
), counted as (
    update generator_queues q
    set packed = p.last,
        firstpack = coalesce(q.firstpack, %(now)s),
        deadline = case
            when q.timeout > 0 and q.firstpack is null then %(now)s + make_interval(secs => q.timeout)
            else q.deadline
        end
    from (select generatorid, max(number) as last from pack group by generatorid) p
    where q.generatorid = p.generatorid
)
select no from call join queue using (generatorid);

-- find_due_generators: generators that have enough arguments, or have waited long enough with fewer, after the last one
-- found.
select generatorid from generator_queues
where packed - taken >= trigger and generatorid > %(lastid)s and (retry is null or retry <= %(now)s)
union
select generatorid from generator_queues
where packed > taken and deadline < %(now)s and generatorid > %(lastid)s and (retry is null or retry <= %(now)s)
order by generatorid
limit %(limit)s;

-- take_due_generator: a generator that is due, held until the end of the transaction, and how many arguments it takes
-- now; nothing comes back when somebody else holds it, or took what was due.
select g.*, q.taken, q.firstpack, q.lastrun, least(q.trigger, q.packed - q.taken) as due
from generator_queues q
join generators g using (generatorid)
where q.generatorid = %(generatorid)s
  and (q.packed - q.taken >= q.trigger or (q.packed > q.taken and q.deadline < %(now)s))
  and (q.retry is null or q.retry <= %(now)s)
for no key update of q skip locked;

-- take_packs: the next arguments of a generator, in order; they are gone with this transaction.
with queue as (
    update generator_queues
    set taken = taken + %(count)s::bigint,
        lastrun = %(now)s,
        deadline = case when timeout > 0 then %(now)s + make_interval(secs => timeout) end,
        retry = null
    where generatorid = %(generatorid)s and taken = %(taken)s::bigint and packed - taken >= %(count)s::bigint
    returning generatorid
), taken as (
    delete from packs p
    using queue q
    where p.generatorid = q.generatorid
      and p.number > %(taken)s::bigint and p.number <= %(taken)s::bigint + %(count)s::bigint
    returning p.number, p.arg
)
select arg from taken order by number;

-- put_off_generator: leave a generator that failed alone for a while.
update generator_queues set retry = %(retry)s where generatorid = %(generatorid)s;

-- change_generator_initiator: a new key for the initiator of generators.
update generators set initiatorid = %(new)s where colonyname = %(colony)s and initiatorid = %(old)s;

-- lock_colony_generators: wait for packs and runs under way in a colony, and hold back new ones.
select q.generatorid
from generators g
join generator_queues q using (generatorid)
where g.colonyname = %(colony)s
order by q.generatorid
for update of q;

-- pending_packs: how many arguments wait in the generators of each colony.
select colonyname, sum(packed - taken)::bigint as pending from generator_queues group by colonyname;
