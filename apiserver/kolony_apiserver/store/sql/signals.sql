-- listen_for_signals: hear on this connection what servers tell one another.
listen kolony;

-- send_signals: tell all servers, once this transaction is committed.
select pg_notify('kolony', signal) from unnest(%(signals)s::text[]) as s (signal);
