-- Processes, the requirement classes they wait in, and what belongs to them.

-- What matching reads of a process; processes that ask for the same share one row. The digest stands for the
-- requirements in the index, which would not hold a long list of executors.
create table classes (
    classid      bigint generated always as identity primary key,
    colonyname   text not null references colonies on delete cascade,
    digest       text not null,
    requirements text not null,
    added        timestamptz not null default clock_timestamp(),
    unique (colonyname, digest)
);

-- No foreign keys: an insert locks its class instead, once per batch (see sql/processes.sql), and removing a
-- colony deletes the classes before the processes.
create table processes (
    processid      text primary key,
    colonyname     text not null,
    classid        bigint not null,
    state          smallint not null,
    attempt        integer not null default 0,
    retries        integer not null default 0,
    prioritytime   bigint not null,
    submissiontime timestamptz not null,
    starttime      timestamptz,
    endtime        timestamptz,
    waitdeadline   timestamptz,
    execdeadline   timestamptz,
    maxwaittime    integer not null,
    maxexectime    integer not null,
    maxretries     integer not null,
    initiatorid    text not null,
    initiatorname  text not null,
    executorid     text not null default '',
    executorname   text not null default '',
    executortype   text not null,
    funcname       text not null,
    label          text not null,
    spec           text not null,
    input          text not null default '[]',
    output         text not null default '[]',
    errors         text not null default '[]'
) with (autovacuum_vacuum_scale_factor = 0.02, autovacuum_analyze_scale_factor = 0.05);

-- The queue: the head of a class is one probe.
create index processes_queue on processes (classid, prioritytime) where state = 0;
-- Lists by state, in the order the protocol gives them.
create index processes_waiting on processes (colonyname, prioritytime) where state = 0;
create index processes_running on processes (colonyname, starttime) where state = 1;
create index processes_ended on processes (colonyname, state, endtime) where state >= 2;
-- History, retention, and the oldest waiting process.
create index processes_submitted on processes (colonyname, state, submissiontime);
-- Limits.
create index processes_wait_deadline on processes (waitdeadline) where state = 0 and waitdeadline is not null;
create index processes_exec_deadline on processes (execdeadline) where state = 1 and execdeadline is not null;

create table attributes (
    attributeid   text primary key,
    targetid      text not null references processes on delete cascade,
    attributetype integer not null,
    key           text not null,
    value         text not null
);
create index attributes_target on attributes (targetid);

create table submissions (
    colonyname     text not null references colonies on delete cascade,
    initiatorid    text not null,
    idempotencykey text not null,
    processids     text[] not null,
    submitted      timestamptz not null,
    primary key (colonyname, initiatorid, idempotencykey)
);
create index submissions_age on submissions (submitted);

-- Counters: changes are appended, so that nobody waits for a hot row, and folded into the counts later.
create table count_changes (
    changeid   bigint generated always as identity primary key,
    colonyname text not null,
    classid    bigint not null,
    state      smallint not null,
    change     bigint not null
) with (autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 10000);
create index count_changes_colony on count_changes (colonyname, state) include (change);

create table colony_counts (
    colonyname text not null,
    state      smallint not null,
    count      bigint not null,
    primary key (colonyname, state)
);

create table class_counts (
    classid bigint not null,
    state   smallint not null,
    count   bigint not null,
    primary key (classid, state)
);

create table logs (
    logid        bigint generated always as identity primary key,
    colonyname   text not null references colonies on delete cascade,
    processid    text not null,
    executorname text not null,
    message      text not null,
    timestamp    bigint not null
);
create index logs_process on logs (processid, timestamp) where processid <> '';
create index logs_executor on logs (colonyname, executorname, timestamp);
create index logs_age on logs (colonyname, timestamp);

create table nonces (
    nonce text primary key,
    seen  timestamptz not null
);
create index nonces_age on nonces (seen);
