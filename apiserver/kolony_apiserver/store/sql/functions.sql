-- add_function: what an executor offers; the same name may be offered again under another id.
insert into functions (
    functionid, colonyname, executorname, executortype, funcname, description, args, locationname, counter,
    minwaittime, maxwaittime, minexectime, maxexectime, avgwaittime, avgexectime
)
select %(functionid)s, e.colonyname, e.executorname, %(executortype)s, %(funcname)s, %(description)s, %(args)s,
       e.locationname, %(counter)s, %(minwaittime)s, %(maxwaittime)s, %(minexectime)s, %(maxexectime)s,
       %(avgwaittime)s, %(avgexectime)s
from executors e
where e.colonyname = %(colonyname)s and e.executorname = %(executorname)s
returning *;

-- find_functions: what one executor offers, or all of a colony.
select * from functions
where colonyname = %(colony)s and (%(executorname)s = '' or executorname = %(executorname)s)
order by added, functionid;

-- function_owner: the colony of a function, and the identity of the executor that offers it.
select f.colonyname, e.executorid
from functions f
join executors e using (colonyname, executorname)
where f.functionid = %(functionid)s;

-- remove_function: stop offering a function.
delete from functions where functionid = %(functionid)s and colonyname = %(colony)s;
