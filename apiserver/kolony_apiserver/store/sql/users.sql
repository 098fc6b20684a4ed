-- add_user: a new user; nothing comes back when the name or the identity is taken in the colony.
insert into users (colonyname, name, userid, email, phone)
values (%(colonyname)s, %(name)s, %(userid)s, %(email)s, %(phone)s)
on conflict do nothing
returning colonyname, userid, name, email, phone;

-- get_user: one user by name.
select colonyname, userid, name, email, phone from users where colonyname = %(colony)s and name = %(name)s;

-- get_user_by_id: one user by identity.
select colonyname, userid, name, email, phone from users where colonyname = %(colony)s and userid = %(userid)s;

-- find_users: the users of a colony, the oldest first.
select colonyname, userid, name, email, phone from users where colonyname = %(colony)s order by added, name;

-- remove_user: delete a user.
delete from users where colonyname = %(colony)s and name = %(name)s returning userid;

-- change_user_id: a new key for a user.
update users set userid = %(new)s where colonyname = %(colony)s and userid = %(old)s;
