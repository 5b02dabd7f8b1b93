-- Every account, its state and what was posted to it. Amounts are minor units of the account's currency.
create table accounts (
    account_id uuid not null,
    -- The ledger is its merchant's id; the nil UUID is the platform's own.
    ledger uuid not null,
    code text collate "C" not null,
    name text,
    type text collate "C" not null,
    -- The side that makes the balance grow: the type's, but for contra accounts.
    normal_side text collate "C" not null,
    currency text collate "C" not null,
    -- The account above it in the chart of accounts, and how many there are above it in all.
    parent uuid,
    depth smallint not null,
    -- An object of texts under texts, in key order; {} where there are none.
    metadata json not null,
    min_balance_minor bigint,
    max_balance_minor bigint,
    -- A balance further from zero than this for longer than so many hours is a reason for an alert.
    clearing_threshold_minor bigint,
    clearing_max_age_hours integer,
    status text collate "C" not null,
    -- Of the account's own stream: what an ETag shows. Postings do not change it.
    version bigint not null,
    opened_at timestamptz not null,
    opened_position bigint not null,
    -- Of the last event that changed anything in the row.
    updated_at timestamptz not null,
    updated_position bigint not null,
    -- Sums over all time may exceed a bigint, here and below.
    debits_posted numeric(39, 0) not null,
    credits_posted numeric(39, 0) not null,
    debits_pending numeric(39, 0) not null,
    credits_pending numeric(39, 0) not null,
    -- Positive on the normal side.
    balance_minor numeric(39, 0) not null,
    -- Since when the balance is further from zero than the threshold; null while it is not.
    uncleared_since timestamptz,
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
    -- When it takes effect, where that is not when it was recorded; and what it was meant for, where the
    -- books of that day were closed.
    effective_at timestamptz,
    late_for timestamptz,
    payment_id uuid,
    dispute_id uuid,
    -- The most it was to move, where it moved what was available.
    up_to_minor bigint,
    reverses uuid,
    replaces uuid,
    hold_id uuid,
    -- The entries that reversed parts of it, and the one that reversed the last of it.
    reversals uuid[],
    reversed_by uuid,
    posting_count smallint not null,
    -- Each account it posts to, once: with the position they find its postings.
    account_ids uuid[] not null,
    -- Of the entry's stream: 1, and one more with each reversal.
    version bigint not null,
    recorded_at timestamptz not null,
    position bigint not null,
    -- The id is derived from ledger and reference, so this finds an entry by its reference too.
    constraint entries_pkey primary key (entry_id)
);

-- The metadata of entries, to find them by.
create table entry_metadata (
    ledger uuid not null,
    key text collate "C" not null,
    value text collate "C" not null,
    position bigint not null,
    entry_id uuid not null
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
    balance_after_minor numeric(39, 0) not null,
    recorded_at timestamptz not null
);

-- The postings of entries that take effect at a time of their own; all others do when they are recorded.
create table dated_postings (
    account_id uuid not null,
    position bigint not null,
    posting_index smallint not null,
    effective_at timestamptz not null,
    direction text collate "C" not null,
    amount_minor bigint not null,
    -- The sums of all rows of the account up to this one, by position.
    debits_after_minor numeric(39, 0) not null,
    credits_after_minor numeric(39, 0) not null,
    constraint dated_postings_pkey primary key (account_id, position, posting_index)
);

-- The same added up by days, hours, minutes, seconds and instants (width 0) of their effective time, so that a
-- sum up to any time is one of few rows.
create table dated_sums (
    account_id uuid not null,
    width_seconds integer not null,
    starts_at timestamptz not null,
    debits_minor numeric(39, 0) not null,
    credits_minor numeric(39, 0) not null,
    constraint dated_sums_pkey primary key (account_id, width_seconds, starts_at)
) with (fillfactor = 50);

-- What a trial balance by effective time has more than one by recorded time, by the time from which on: a posting
-- that is dated counts from its effective time on, and no longer from the time it was recorded. Widths as above.
create table dated_ledger_sums (
    ledger uuid not null,
    width_seconds integer not null,
    starts_at timestamptz not null,
    currency text collate "C" not null,
    type text collate "C" not null,
    debits numeric(39, 0) not null,
    credits numeric(39, 0) not null,
    constraint dated_ledger_sums_pkey primary key (ledger, width_seconds, starts_at, currency, type)
) with (fillfactor = 50);

create table holds (
    hold_id uuid not null,
    ledger uuid not null,
    external_ref text collate "C" not null,
    description text,
    metadata json not null,
    payment_id uuid,
    dispute_id uuid,
    -- What it held at first and what it holds now, as postings are stored in events.
    postings json not null,
    outstanding json not null,
    account_ids uuid[] not null,
    -- The entries that posted it.
    entries uuid[] not null,
    status text collate "C" not null,
    expires_at timestamptz,
    version bigint not null,
    recorded_at timestamptz not null,
    position bigint not null,
    updated_at timestamptz not null,
    updated_position bigint not null,
    constraint holds_pkey primary key (hold_id)
);

-- The holds on each account, by the hold's position and status: a page of them is one range of an index.
create table account_holds (
    account_id uuid not null,
    position bigint not null,
    status text collate "C" not null,
    constraint account_holds_pkey primary key (account_id, position)
);

-- What was held on an account after each event that changed it.
create table holdings (
    account_id uuid not null,
    position bigint not null,
    debits_pending numeric(39, 0) not null,
    credits_pending numeric(39, 0) not null,
    constraint holdings_pkey primary key (account_id, position)
);

create table trial_balance (
    -- The greatest UUID stands for all ledgers together, whose sums are too many rows to add up for an answer.
    ledger uuid not null,
    currency text collate "C" not null,
    type text collate "C" not null,
    debits_posted numeric(39, 0) not null,
    credits_posted numeric(39, 0) not null,
    -- Of the last event that changed the row.
    position bigint not null,
    constraint trial_balance_pkey primary key (ledger, currency, type)
) with (fillfactor = 50);

-- The rows of the trial balance as they stood at the end of each segment of the log, of 1,024 positions, that
-- changed them.
create table trial_balance_marks (
    ledger uuid not null,
    currency text collate "C" not null,
    type text collate "C" not null,
    segment bigint not null,
    debits_posted numeric(39, 0) not null,
    credits_posted numeric(39, 0) not null,
    constraint trial_balance_marks_pkey primary key (ledger, currency, type, segment)
);

-- The days of the books that were cut off, and closed.
create table day_closes (
    ledger uuid not null,
    day date not null,
    cut_off_at timestamptz not null,
    cut_off_position bigint not null,
    closed_at timestamptz,
    closed_position bigint,
    accounts bigint,
    -- As in the event.
    totals json,
    previous text,
    digest text,
    constraint day_closes_pkey primary key (ledger, day)
);

create table month_closes (
    ledger uuid not null,
    month text collate "C" not null,
    digest text not null,
    closed_at timestamptz not null,
    closed_position bigint not null,
    constraint month_closes_pkey primary key (ledger, month)
);
