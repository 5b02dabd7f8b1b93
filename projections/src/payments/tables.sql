-- Every payment as it stands. Amounts are minor units of its currency.
create table payments (
    payment_id uuid not null,
    merchant_id uuid not null,
    state text collate "C" not null,
    amount_minor bigint not null,
    currency text collate "C" not null,
    customer text,
    reference text,
    -- Who authorized it, or else was asked last; null before the first attempt.
    psp text collate "C",
    -- Why it was not paid when that was last tried: what declined it, or the card's limit.
    decline_class text collate "C",
    -- Of the payment's stream: what an ETag shows.
    version bigint not null,
    created_at timestamptz not null,
    created_position bigint not null,
    -- Of the last event that changed anything in the row.
    updated_at timestamptz not null,
    updated_position bigint not null,
    -- The payment folded from its stream, as `domain` has it: attempts, captures and refunds included.
    aggregate json not null,
    constraint payments_pkey primary key (payment_id)
) with (fillfactor = 70);

-- Payments for which something is to be done, from `due_at` on. Workers claim rows of it by a lock; what is
-- to be done is in the log, and so is who did it.
create table payment_work (
    payment_id uuid not null,
    due_at timestamptz not null,
    -- Of the payment's stream, when this was found to be due.
    version bigint not null,
    -- Who is to do it; null where it may be any.
    psp text collate "C",
    -- Whose share of the places at a PSP it takes.
    merchant_id uuid not null,
    constraint payment_work_pkey primary key (payment_id)
);
create index payment_work_by_due on payment_work (due_at);

-- PSPs that were switched at some time, as they stand.
create table psps (
    psp text collate "C" not null,
    disabled boolean not null,
    reason text,
    version bigint not null,
    changed_at timestamptz not null,
    position bigint not null,
    constraint psps_pkey primary key (psp)
);
