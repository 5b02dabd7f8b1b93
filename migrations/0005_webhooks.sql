-- Webhooks as they came, under the SHA-256 of their bytes: kept before they are answered, worked off after.
create table webhooks (
    digest bytea not null check (octet_length(digest) = 32),
    psp text collate "C" not null,
    received_at timestamptz not null,
    body bytea not null,
    -- received: to be worked off; processed; dead: somebody has to look at it.
    state text collate "C" not null check (state in ('received', 'processed', 'dead')),
    -- Why it is dead.
    reason text,
    -- The payment that it names, once that was read.
    payment_id uuid,
    -- How often it came.
    deliveries integer not null,
    -- A worker is at it until then.
    claimed_until timestamptz,
    constraint webhooks_pkey primary key (digest, psp)
);
create index webhooks_received on webhooks (received_at) where state = 'received';
create index webhooks_dead on webhooks (received_at) where state = 'dead';
create index webhooks_by_payment on webhooks (payment_id) where payment_id is not null;

grant select, insert, update on webhooks to runut_app;
grant select on webhooks to runut_query, runut_auditor;
