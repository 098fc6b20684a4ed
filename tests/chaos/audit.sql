-- What the database itself notes while the servers write: breaches that nobody could see afterwards.

create table chaos_breaches (
    breachid  bigint generated always as identity primary key,
    invariant text not null,
    detail    text not null,
    noted     timestamptz not null default clock_timestamp()
);

-- The slots at which crons were run, and which slot was to come after each.
create table chaos_slots (
    cronid     text not null,
    slot       timestamptz not null,
    nextslot   timestamptz,
    workflowid text not null
);

-- Whether the server of this session leads. Its writes as leader keep its term from ending before they are committed,
-- so at this moment nobody else can; an empty holder has given up the term that it still has.
create function chaos_leads() returns boolean language sql volatile as $$
    select holder in ('', split_part(current_setting('application_name'), '/', 2)) from leadership
$$;

create function chaos_require_leader() returns trigger language plpgsql as $$
begin
    if not chaos_leads() then
        insert into chaos_breaches (invariant, detail)
        select 'OLD_TERM', format('%s wrote to %s while %s led in term %s',
                                  current_setting('application_name'), tg_table_name, holder, term)
        from leadership;
    end if;
    return new;
end
$$;

create trigger chaos_expired before update on processes for each row
when (new.retries > old.retries or (new.state = 3 and old.state < 2 and new.errors like '%time limit exceeded%'))
execute function chaos_require_leader();

create trigger chaos_ran before update on crons for each row
when (old.prevprocessgraphid is distinct from new.prevprocessgraphid)
execute function chaos_require_leader();

create trigger chaos_taken before update on generator_queues for each row
when (new.taken > old.taken)
execute function chaos_require_leader();

create function chaos_note_slot() returns trigger language plpgsql as $$
begin
    insert into chaos_slots (cronid, slot, nextslot, workflowid)
    values (old.cronid, old.nextrun, new.nextrun, new.prevprocessgraphid);
    return null;
end
$$;

create trigger chaos_slot after update on crons for each row
when (old.prevprocessgraphid is distinct from new.prevprocessgraphid)
execute function chaos_note_slot();

create function chaos_watch_process() returns trigger language plpgsql as $$
begin
    if old.state >= 2 and not (new.state = 3 and new.workflowid <> '') then
        insert into chaos_breaches (invariant, detail)
        values ('RETRIES', format('%s went from state %s to %s', new.processid, old.state, new.state));
    end if;
    if new.maxretries >= 0 and new.retries > new.maxretries then
        insert into chaos_breaches (invariant, detail)
        values ('RETRIES', format('%s is tried again %s times of %s', new.processid, new.retries, new.maxretries));
    end if;
    if new.state = 1 and new.workflowid <> '' and exists (
        select from dependencies d join processes p on p.processid = d.parentid
        where d.workflowid = new.workflowid and d.childid = new.processid and p.state <> 2
    ) then
        insert into chaos_breaches (invariant, detail)
        values ('ORDER', format('%s began before its parents succeeded', new.processid));
    end if;
    return new;
end
$$;

create trigger chaos_changed before update on processes for each row
when (new.state <> old.state or new.retries > old.retries)
execute function chaos_watch_process();
