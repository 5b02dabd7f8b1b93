-- The position that the answer of a request of several appends rests on, if it is a later one than that of
-- its first append: what the request made is at `position` still.
alter table idempotency_keys add column shown_position bigint;

-- Requests under way and those whose process died: few, so that looking for them costs nothing.
create index idempotency_keys_unanswered on idempotency_keys (recorded_at) where response is null;

-- Which worker is at which payment, until when. It only saves work: what was done is in the log. So it need
-- not survive a crash, and every write to it costs no flush.
create unlogged table payment_leases (
    payment_id uuid primary key,
    worker uuid not null,
    until timestamptz not null,
    -- The version of the payment up to which a worker did all there was to do.
    handled_version bigint not null
) with (fillfactor = 50);

grant select, insert, update, delete on payment_leases to runut_app;
-- Workers claim from the queue that a projection keeps; it grants them that table alone.
grant usage on schema read to runut_app;
