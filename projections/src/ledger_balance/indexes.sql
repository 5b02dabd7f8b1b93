-- Lists are newest first; btrees are read backwards, so no `desc` is needed. Codes and references need no
-- index: the ids are derived from them.
create unique index accounts_by_position on accounts (opened_position);
create index accounts_by_ledger on accounts (ledger, opened_position);
create index accounts_by_type on accounts (ledger, type, opened_position);
create index accounts_by_currency on accounts (ledger, currency, opened_position);
create index accounts_by_status on accounts (ledger, status, opened_position);
create index accounts_by_parent on accounts (parent, opened_position) where parent is not null;
create index accounts_uncleared on accounts (uncleared_since) where uncleared_since is not null;
create index accounts_uncleared_by_position on accounts (opened_position)
    where uncleared_since is not null;
create index accounts_uncleared_by_ledger on accounts (ledger, opened_position)
    where uncleared_since is not null;
create unique index entries_by_position on entries (position);
create index entries_by_ledger on entries (ledger, position);
create index entries_by_payment on entries (payment_id, position) where payment_id is not null;
create index entries_by_dispute on entries (dispute_id, position) where dispute_id is not null;
create index entries_dated on entries (ledger, position) where effective_at is not null;
create index entries_late on entries (ledger, position) where late_for is not null;
create index entries_by_metadata on entry_metadata (ledger, key, value, position);
-- The statement of an account: one key range, wherever a page of it starts. The log makes its keys unique;
-- to have that checked again for each posting would cost a sixth of the time of copying them in.
create index postings_by_account on postings (account_id, position, posting_index);
create unique index holds_by_position on holds (position);
create index holds_by_ledger on holds (ledger, position);
create index holds_by_status on holds (ledger, status, position);
create index holds_by_status_everywhere on holds (status, position);
create index account_holds_by_status on account_holds (account_id, status, position);
create index holds_due on holds (expires_at) where status = 'held' and expires_at is not null;
create unique index day_closes_by_position on day_closes (cut_off_position);
create index day_closes_by_ledger on day_closes (ledger, cut_off_position);
create index day_closes_open on day_closes (cut_off_position) where closed_position is null;
create unique index month_closes_by_position on month_closes (closed_position);
create index month_closes_by_ledger on month_closes (ledger, closed_position);
