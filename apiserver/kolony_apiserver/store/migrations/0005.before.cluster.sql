-- Several servers on one database: which there are, which one leads, and in which term.

-- The one row of leadership is the fence of the leader: its writes lock it where the term is theirs. The term is a
-- key, so that a new one waits for them, while renewals of other columns wait for nobody.
create table leadership (
    single boolean primary key default true check (single),
    term   bigint not null unique,
    holder text not null default '',
    since  timestamptz
);
insert into leadership (term) values (0);

create table leases (
    name    text primary key,
    holder  text not null,
    expires timestamptz not null
);

-- Where the servers reach each other, and with which secret; each row is as old as the last sign of life.
create table servers (
    name      text primary key,
    host      text not null,
    apiport   integer not null,
    relayhost text not null,
    relayport integer not null,
    secret    text not null,
    started   timestamptz not null default clock_timestamp(),
    seen      timestamptz not null default clock_timestamp()
);
