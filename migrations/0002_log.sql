-- The log. `log_id` leads every key, so that the same statements run on one Postgres and on a distributed one.

-- The compare-and-swap register: one row a log. An append moves it from the position it was decided at.
create table log_head (
    log_id smallint primary key,
    position bigint not null check (position >= 0),
    recorded_at timestamptz not null
) with (fillfactor = 10);
-- One row updated by every append: room for its versions on its page keeps the updates heap-only.

insert into log_head (log_id, position, recorded_at) values (1, 0, '1970-01-01T00:00:00Z');

-- Text that names things sorts by bytes ("C"): quicker to compare, and the same on every machine.
create table events (
    log_id smallint not null,
    position bigint not null check (position > 0),
    stream_id text collate "C" not null,
    version bigint not null check (version > 0),
    event_id uuid not null,
    event_type text collate "C" not null,
    schema_version smallint not null,
    merchant_id uuid not null,
    -- json, not jsonb: the exact bytes are kept, and the leaf hash is over them.
    data json not null,
    metadata json not null,
    recorded_at timestamptz not null,
    leaf_hash bytea not null check (octet_length(leaf_hash) = 32),
    constraint events_pkey primary key (log_id, position),
    constraint events_stream_version unique (log_id, stream_id, version)
);

-- 72 hours of requests and their answers. `response` is null while the request is under way.
create table idempotency_keys (
    log_id smallint not null,
    merchant_id uuid not null,
    key text collate "C" not null,
    fingerprint bytea not null check (octet_length(fingerprint) = 32),
    resource_id text collate "C" not null,
    status smallint,
    response text,
    -- The position of the append that set the answer; 0 where a rejection appended nothing to an empty log.
    position bigint not null,
    recorded_at timestamptz not null,
    constraint idempotency_keys_pkey primary key (log_id, merchant_id, key)
) with (fillfactor = 90);

create index idempotency_keys_by_age on idempotency_keys using brin (recorded_at);

-- What every account stands at, in minor units of its currency: the fold of the ledger events that name it,
-- written in the very statement that appends them. `position` is that of the last such event.
create table account_balances (
    log_id smallint not null,
    account_id uuid not null,
    debits_posted bigint not null check (debits_posted >= 0),
    credits_posted bigint not null check (credits_posted >= 0),
    debits_pending bigint not null check (debits_pending >= 0),
    credits_pending bigint not null check (credits_pending >= 0),
    position bigint not null,
    constraint account_balances_pkey primary key (log_id, account_id)
) with (fillfactor = 50);

-- Nothing in the log is ever changed or removed: neither by privilege nor by mistake.
create function refuse_change() returns trigger language plpgsql as $$
begin
    raise exception 'the log is append-only: % on % is refused', tg_op, tg_table_name
        using errcode = 'restrict_violation';
end
$$;

create trigger events_append_only before update or delete on events
    for each statement execute function refuse_change();
create trigger events_no_truncate before truncate on events
    for each statement execute function refuse_change();
create trigger log_head_no_delete before delete or truncate on log_head
    for each statement execute function refuse_change();
alter table events enable always trigger events_append_only;
alter table events enable always trigger events_no_truncate;
alter table log_head enable always trigger log_head_no_delete;

create function refuse_falling_head() returns trigger language plpgsql as $$
begin
    raise exception 'the head of the log may not fall: % to %', old.position, new.position
        using errcode = 'restrict_violation';
end
$$;

create trigger log_head_never_falls before update on log_head
    for each row
    when (new.position < old.position or new.recorded_at < old.recorded_at or new.log_id <> old.log_id)
    execute function refuse_falling_head();
alter table log_head enable always trigger log_head_never_falls;

-- A head that sees much traffic and a table of balances that does: vacuum them often, they are small.
alter table log_head set (autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 500);
alter table account_balances set (autovacuum_vacuum_scale_factor = 0.05);
