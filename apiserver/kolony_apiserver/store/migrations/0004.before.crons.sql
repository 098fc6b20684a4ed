-- Crons and generators, and the arguments that were packed for generators.

-- `due` is when the checker has to look at a cron: its next run, at once when that was never planned, and from time to
-- time when its expression has none.
create table crons (
    cronid                  text primary key,
    colonyname              text not null references colonies on delete cascade,
    name                    text not null,
    initiatorid             text not null,
    initiatorname           text not null,
    cronexpression          text not null,
    interval                bigint not null,
    random                  boolean not null,
    timezone                text not null,
    missed                  text not null,
    missedlimit             bigint not null,
    paused                  boolean not null default false,
    workflowspec            text not null,
    waitforprevprocessgraph boolean not null,
    prevprocessgraphid      text not null default '',
    nextrun                 timestamptz,
    lastrun                 timestamptz,
    due                     timestamptz not null,
    added                   timestamptz not null default clock_timestamp(),
    unique (colonyname, name)
);
create index crons_due on crons (due, cronid) where not paused;
create index crons_initiator on crons (colonyname, initiatorid);

create table generators (
    generatorid   text primary key,
    colonyname    text not null references colonies on delete cascade,
    name          text not null,
    initiatorid   text not null,
    initiatorname text not null,
    workflowspec  text not null,
    trigger       bigint not null,
    timeout       bigint not null,
    added         timestamptz not null default clock_timestamp(),
    unique (colonyname, name)
);
create index generators_initiator on generators (colonyname, initiatorid);

-- What changes with every argument: the numbers of the last one packed and the last one taken, so that nothing is ever
-- counted. The row is the lock of its generator. `deadline` is when what waits is taken though it is too little;
-- after a failure nothing is tried before `retry`.
create table generator_queues (
    generatorid text primary key references generators on delete cascade,
    colonyname  text not null,
    trigger     bigint not null,
    timeout     bigint not null,
    packed      bigint not null default 0,
    taken       bigint not null default 0,
    firstpack   timestamptz,
    lastrun     timestamptz,
    deadline    timestamptz,
    retry       timestamptz
) with (fillfactor = 70, autovacuum_vacuum_scale_factor = 0.02);
create index generator_queues_full on generator_queues (generatorid) where packed - taken >= trigger;
create index generator_queues_late on generator_queues (deadline) where packed > taken;

create table packs (
    generatorid text not null references generator_queues on delete cascade,
    number      bigint not null,
    arg         text not null,
    primary key (generatorid, number)
) with (autovacuum_vacuum_scale_factor = 0.02);
