-- attend_cluster: enter a server, or note that it is still there.
insert into servers as s (name, host, apiport, relayhost, relayport, secret)
values (%(name)s, %(host)s, %(apiport)s, %(relayhost)s, %(relayport)s, %(secret)s)
on conflict (name) do update
set host = excluded.host, apiport = excluded.apiport, relayhost = excluded.relayhost, relayport = excluded.relayport,
    secret = excluded.secret, seen = clock_timestamp();

-- find_servers: the servers that were there a moment ago.
select name, host, apiport, relayhost, relayport, secret from servers
where seen > clock_timestamp() - make_interval(secs => %(within)s)
order by started, name;

-- leave_cluster: forget a server.
delete from servers where name = %(name)s;

-- remove_lost_servers: forget the servers that have not been there for long.
delete from servers where seen < clock_timestamp() - make_interval(secs => %(within)s);

-- own_address: the address of this connection as the database sees it; empty for one on the same machine.
select coalesce(host(inet_client_addr()), '') as address;
