-- Lists are newest first; btrees are read backwards, so no `desc` is needed.
create unique index accounts_by_position on accounts (opened_position);
create index accounts_by_ledger on accounts (ledger, opened_position);
create index accounts_by_type on accounts (ledger, type, opened_position);
create index accounts_by_currency on accounts (ledger, currency, opened_position);
create index accounts_by_status on accounts (ledger, status, opened_position);
create unique index accounts_by_code on accounts (ledger, code);
create unique index entries_by_position on entries (position);
create index entries_by_ledger on entries (ledger, position);
create unique index entries_by_external_ref on entries (ledger, external_ref);
-- The statement of an account: one key range, wherever a page of it starts.
create unique index postings_by_account on postings (account_id, position, posting_index);
create index postings_by_position on postings (position, posting_index);
