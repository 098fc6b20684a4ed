-- Workflows: graphs of processes. The processes are rows among the others; here is what makes a graph of them.

create table workflows (
    workflowid     text primary key,
    colonyname     text not null references colonies on delete cascade,
    state          smallint not null default 0,
    initiatorid    text not null,
    initiatorname  text not null,
    submissiontime timestamptz not null,
    starttime      timestamptz,
    endtime        timestamptz,
    size           integer not null,
    successful     integer not null default 0
);
create index workflows_listed on workflows (colonyname, state, submissiontime);

-- ``nth`` is the place of the parent among those of its child, ``rank`` that of the child in its workflow.
create table dependencies (
    workflowid text not null,
    parentid   text not null,
    childid    text not null,
    nth        integer not null,
    rank       integer not null,
    primary key (workflowid, childid, nth)
);
create index dependencies_children on dependencies (workflowid, parentid, rank);

-- A process that waits for ``pendingparents`` has the id of its class with the sign turned, so that it is in no
-- queue. ``settled``: what follows from its end for its workflow was done.
alter table processes
    add column workflowid text not null default '',
    add column rank integer not null default 0,
    add column pendingparents integer not null default 0,
    add column settled boolean not null default true;
create index processes_of_workflow on processes (workflowid, rank) where workflowid <> '';
create index processes_unsettled on processes (endtime) where not settled and state >= 2;

-- Processes with what the protocol shows along with them.
create view shown_processes as
select p.*,
       (select json_agg(a) from attributes a where a.targetid = p.processid) as attributes,
       case when p.workflowid <> '' then (
           select array_agg(d.parentid order by d.nth) from dependencies d
           where d.workflowid = p.workflowid and d.childid = p.processid
       ) end as parents,
       case when p.workflowid <> '' then (
           select array_agg(d.childid order by d.rank) from dependencies d
           where d.workflowid = p.workflowid and d.parentid = p.processid
       ) end as children
from processes p;

-- Workflows with what is drawn of them, as of one moment: the processes with their states in the order of the
-- specification, and who waits for whom, the children of each in that order.
create view drawn_workflows as
select w.*,
       (select json_agg(json_build_array(p.processid, p.state) order by p.rank) from processes p
        where p.workflowid = w.workflowid and p.workflowid <> '') as nodes,
       (select json_agg(json_build_array(d.parentid, d.childid) order by d.parentid, d.rank, d.nth)
        from dependencies d where d.workflowid = w.workflowid) as edges
from workflows w;

-- A statement that a server had prepared for the rows of `processes` fails from now on, on its connection. So servers of
-- the version before connect anew.
do $$ begin
    perform pg_terminate_backend(pid) from pg_stat_activity
    where datname = current_database() and usename = current_user and application_name = 'kolony';
end $$;
