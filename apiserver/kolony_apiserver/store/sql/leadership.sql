-- read_leadership: the term, and who leads in it since when.
select term, holder, since from leadership;

-- take_term: begin the next term after the one that was read, unless somebody else did.
update leadership set term = term + 1, holder = %(holder)s, since = clock_timestamp()
where term = %(after)s
returning term, holder, since;

-- give_up_term: nobody leads until the next term.
update leadership set holder = '' where term = %(term)s;

-- end_blockers: end the sessions that a session waits for.
-- Whoever was stopped in the middle of a transaction of the leader would hold up all who follow.
select pg_terminate_backend(pid) from unnest(pg_blocking_pids(%(pid)s)) as b (pid);

-- hold_term: keep a term from ending before this transaction does; nothing comes back when it has ended.
select term from leadership where term = %(term)s for key share;

-- hold_lease: take a lease that nobody has, or renew it; nothing comes back, nor is written, when somebody else has it.
insert into leases as l (name, holder, expires)
select %(name)s, %(holder)s, clock_timestamp() + make_interval(secs => %(duration)s)
where not exists (
    select from leases o where o.name = %(name)s and o.holder <> %(holder)s and o.expires >= clock_timestamp()
)
on conflict (name) do update set holder = excluded.holder, expires = excluded.expires
where l.holder = excluded.holder or l.expires < clock_timestamp()
returning holder;

-- release_lease: let somebody else have a lease at once.
delete from leases where name = %(name)s and holder = %(holder)s;
