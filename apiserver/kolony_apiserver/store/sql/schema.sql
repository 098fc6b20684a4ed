-- lock_schema: hold back other servers that start now, until this connection ends.
select pg_advisory_lock(%(key)s);
