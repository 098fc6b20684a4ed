-- expire_waiting: fail processes that waited too long.
with expired as (
    update processes p
    set state = 3, endtime = %(now)s, errors = %(errors)s
    where p.processid = any (array(
        select processid from processes
        where state = 0 and waitdeadline is not null and waitdeadline < %(now)s
        order by waitdeadline
        limit %(limit)s
        for no key update skip locked
    ))
    returning p.processid, p.colonyname, p.classid, p.executortype
), counted as (
    insert into count_changes (colonyname, classid, state, change)
    select colonyname, classid, 0, -count(*) from expired group by colonyname, classid
    union all
    select colonyname, 0, 3, count(*) from expired group by colonyname
)
select processid, colonyname, executortype, 3 as state, 0::bigint as classid, 0::bigint as prioritytime from expired;

-- expire_running: take back processes that ran too long: queued again while they may be retried, failed otherwise.
with expired as (
    update processes p
    set state = case when p.maxretries < 0 or p.retries < p.maxretries then 0 else 3 end,
        retries = p.retries + case when p.maxretries < 0 or p.retries < p.maxretries then 1 else 0 end,
        executorid = case when p.maxretries < 0 or p.retries < p.maxretries then '' else p.executorid end,
        executorname = case when p.maxretries < 0 or p.retries < p.maxretries then '' else p.executorname end,
        errors = case when p.maxretries < 0 or p.retries < p.maxretries then p.errors else %(errors)s end,
        endtime = %(now)s,
        waitdeadline = case
            when p.maxwaittime > 0 and (p.maxretries < 0 or p.retries < p.maxretries)
            then %(now)s + make_interval(secs => p.maxwaittime)
            else p.waitdeadline
        end
    where p.processid = any (array(
        select processid from processes
        where state = 1 and execdeadline is not null and execdeadline < %(now)s
        order by execdeadline
        limit %(limit)s
        for no key update skip locked
    ))
    returning p.processid, p.colonyname, p.classid, p.executortype, p.state, p.prioritytime
), counted as (
    insert into count_changes (colonyname, classid, state, change)
    select colonyname, classid, 1, -count(*) from expired group by colonyname, classid
    union all
    select colonyname, case when state = 0 then classid else 0 end, state, count(*) from expired group by 1, 2, 3
)
select processid, colonyname, executortype, state, classid, prioritytime from expired;

-- remove_old_processes: delete successful processes of a colony submitted before a time, but for those of workflows.
with removed as (
    delete from processes where processid = any (array(
        select processid from processes
        where colonyname = %(colony)s and state = 2 and submissiontime < %(before)s and workflowid = ''
        order by submissiontime
        limit %(limit)s
        for update skip locked
    ))
    returning colonyname
), counted as (
    insert into count_changes (colonyname, classid, state, change)
    select colonyname, 0, 2, -count(*) from removed group by colonyname
)
select count(*) from removed;

-- remove_old_logs: delete entries of a colony written before a time.
delete from logs where logid = any (array(
    select logid from logs where colonyname = %(colony)s and timestamp < %(before)s order by timestamp limit %(limit)s
));

-- use_nonces: remember nonces; answers those that were seen before.
with used as (
    select distinct nonce from string_to_table(%(nonces)s, ',') as n (nonce)
), new as (
    insert into nonces (nonce, seen)
    select nonce, %(now)s from used
    on conflict do nothing
    returning nonce
)
select nonce from used where nonce not in (select nonce from new);

-- remove_old_nonces: forget nonces that are too old to be accepted again.
delete from nonces where nonce = any (array(
    select nonce from nonces where seen < %(before)s order by seen limit %(limit)s
));
