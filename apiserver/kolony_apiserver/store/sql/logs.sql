-- add_process_log: an entry for a running process, by the executor that holds it.
insert into logs (colonyname, processid, executorname, message, timestamp)
select p.colonyname, p.processid, p.executorname, %(message)s, %(timestamp)s
from processes p
where p.processid = %(processid)s and p.state = 1 and p.executorid = %(executorid)s
returning logid;

-- add_executor_log: an entry of an executor about itself.
insert into logs (colonyname, processid, executorname, message, timestamp)
values (%(colony)s, '', %(executorname)s, %(message)s, %(timestamp)s);

-- find_process_logs: entries of a process newer than a time, oldest first.
select processid, colonyname, executorname, message, timestamp from logs
where processid = %(processid)s and processid <> '' and timestamp > %(since)s
order by timestamp
limit %(count)s;

-- find_latest_process_logs: the newest entries of a process, newest first.
select processid, colonyname, executorname, message, timestamp from logs
where processid = %(processid)s and processid <> ''
order by timestamp desc
limit %(count)s;

-- find_executor_logs: entries of an executor newer than a time, oldest first.
select processid, colonyname, executorname, message, timestamp from logs
where colonyname = %(colony)s and executorname = %(executorname)s and timestamp > %(since)s
order by timestamp
limit %(count)s;

-- find_latest_executor_logs: the newest entries of an executor, newest first.
select processid, colonyname, executorname, message, timestamp from logs
where colonyname = %(colony)s and executorname = %(executorname)s
order by timestamp desc
limit %(count)s;

-- search_logs: entries of a colony that match a pattern, oldest first.
select processid, colonyname, executorname, message, timestamp from logs
where colonyname = %(colony)s and timestamp > %(since)s and message like %(pattern)s
order by timestamp
limit %(count)s;
