-- Every account, its state and what was posted to it. Amounts are minor units of the account's currency.
create table accounts (
    account_id uuid not null,
    -- The ledger is its merchant's id; the nil UUID is the platform's own.
    ledger uuid not null,
    code text collate "C" not null,
    name text,
    type text collate "C" not null,
    currency text collate "C" not null,
    min_balance_minor bigint,
    status text collate "C" not null,
    -- Of the account's own stream: what an ETag shows. Postings do not change it.
    version bigint not null,
    opened_at timestamptz not null,
    opened_position bigint not null,
    -- Of the last event that changed anything in the row.
    updated_at timestamptz not null,
    updated_position bigint not null,
    debits_posted bigint not null,
    credits_posted bigint not null,
    -- Positive on the normal side of the account's type.
    balance_minor bigint not null,
    constraint accounts_pkey primary key (account_id)
) with (fillfactor = 50);
-- Half of each page is left free, so that a balance's update stays on its page and touches no index.

create table entries (
    entry_id uuid not null,
    ledger uuid not null,
    external_ref text collate "C" not null,
    description text,
    -- An object of texts under texts, in key order; {} where there are none.
    metadata json not null,
    reverses uuid,
    reversed_by uuid,
    posting_count smallint not null,
    -- Each account it posts to, once: with the position they find its postings.
    account_ids uuid[] not null,
    -- Of the entry's stream: 1, and 2 once reversed.
    version bigint not null,
    recorded_at timestamptz not null,
    position bigint not null,
    -- The id is derived from ledger and reference, so this finds an entry by its reference too.
    constraint entries_pkey primary key (entry_id)
);

create table postings (
    account_id uuid not null,
    position bigint not null,
    -- From 0, in the order in which the entry lists them.
    posting_index smallint not null,
    entry_id uuid not null,
    direction text collate "C" not null,
    amount_minor bigint not null,
    currency text collate "C" not null,
    -- The account's balance right after this posting, positive on the account's normal side.
    balance_after_minor bigint not null,
    recorded_at timestamptz not null
);

-- Sums of many accounts may exceed a bigint, hence numeric.
create table trial_balance (
    ledger uuid not null,
    currency text collate "C" not null,
    type text collate "C" not null,
    debits_posted numeric not null,
    credits_posted numeric not null,
    -- Of the last event that changed the row.
    position bigint not null,
    constraint trial_balance_pkey primary key (ledger, currency, type)
) with (fillfactor = 50);
