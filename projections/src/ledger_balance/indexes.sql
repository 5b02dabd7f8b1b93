-- Lists are newest first; btrees are read backwards, so no `desc` is needed. Codes and references need no
-- index: the ids are derived from them.
create unique index accounts_by_position on accounts (opened_position);
create index accounts_by_ledger on accounts (ledger, opened_position);
create index accounts_by_type on accounts (ledger, type, opened_position);
create index accounts_by_currency on accounts (ledger, currency, opened_position);
create index accounts_by_status on accounts (ledger, status, opened_position);
create unique index entries_by_position on entries (position);
create index entries_by_ledger on entries (ledger, position);
-- The statement of an account: one key range, wherever a page of it starts. The log makes its keys unique;
-- to have that checked again for each posting would cost a sixth of the time of copying them in.
create index postings_by_account on postings (account_id, position, posting_index);
