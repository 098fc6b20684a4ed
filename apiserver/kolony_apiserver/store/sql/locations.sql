-- add_location: a new location; nothing comes back when the name is taken in the colony.
insert into locations (colonyname, name, locationid, description, longitude, latitude)
values (%(colonyname)s, %(name)s, %(locationid)s, %(description)s, %(longitude)s, %(latitude)s)
on conflict do nothing
returning colonyname, name, locationid, description, longitude, latitude;

-- get_location: one location by name.
select colonyname, name, locationid, description, longitude, latitude
from locations where colonyname = %(colony)s and name = %(name)s;

-- find_locations: the locations of a colony, the oldest first.
select colonyname, name, locationid, description, longitude, latitude
from locations where colonyname = %(colony)s order by added, name;

-- remove_location: delete a location.
delete from locations where colonyname = %(colony)s and name = %(name)s;
