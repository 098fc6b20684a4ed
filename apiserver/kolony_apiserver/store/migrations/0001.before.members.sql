-- The server, its colonies and their members.

create table server (
    single   boolean primary key default true check (single),
    serverid text not null
);

create table colonies (
    colonyname text primary key check (colonyname <> ''),
    colonyid   text not null,
    paused     boolean not null default false,
    added      timestamptz not null default now()
);

create table executors (
    colonyname        text not null references colonies on delete cascade,
    executorname      text not null,
    executorid        text not null,
    executortype      text not null,
    state             smallint not null,
    requirefuncreg    boolean not null,
    commissiontime    timestamptz not null,
    lastheardfromtime timestamptz,
    locationname      text not null,
    capabilities      text not null,
    allocations       text not null,
    blueprintid       text not null,
    blueprintgen      bigint not null,
    primary key (colonyname, executorname)
);
-- A key stands for one registered executor of a colony; removed ones (state 3) may share it.
create unique index executors_identity on executors (executorid, colonyname) where state <> 3;
create index executors_by_identity on executors (executorid);
create index executors_heard on executors (lastheardfromtime) where state <> 3;

create table users (
    colonyname text not null references colonies on delete cascade,
    name       text not null,
    userid     text not null,
    email      text not null,
    phone      text not null,
    added      timestamptz not null default clock_timestamp(),
    primary key (colonyname, name)
);
create unique index users_identity on users (userid, colonyname);

create table functions (
    functionid   text primary key,
    colonyname   text not null,
    executorname text not null,
    executortype text not null,
    funcname     text not null,
    description  text not null,
    args         text not null,
    locationname text not null,
    counter      bigint not null,
    minwaittime  double precision not null,
    maxwaittime  double precision not null,
    minexectime  double precision not null,
    maxexectime  double precision not null,
    avgwaittime  double precision not null,
    avgexectime  double precision not null,
    added        timestamptz not null default clock_timestamp(),
    foreign key (colonyname, executorname) references executors on delete cascade
);
create index functions_offered on functions (colonyname, executorname, funcname);

create table locations (
    colonyname  text not null references colonies on delete cascade,
    name        text not null,
    locationid  text not null,
    description text not null,
    longitude   double precision not null,
    latitude    double precision not null,
    added       timestamptz not null default clock_timestamp(),
    primary key (colonyname, name)
);

-- Who changed, in commit order: servers read on from the last version they saw and forget those identities.
-- The one row of membership serialises the writers, so that versions become visible in order.
create table membership (
    single  boolean primary key default true check (single),
    version bigint not null
);
insert into membership (version) values (0);

create table membership_changes (
    version  bigint not null,
    identity text not null,
    changed  timestamptz not null default now(),
    primary key (version, identity)
);
