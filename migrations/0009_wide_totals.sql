-- Totals of accounts of 128 bits: what is added up for ever does not end at 2^63 − 1 minor units. Single amounts
-- stay 64 bits wide.
--
-- This rewrites the table and locks it meanwhile, a second or so for each million accounts; appends wait.
--
-- A process of an older version that runs beside this schema goes on with the accounts that it has in memory. It
-- cannot read the totals of others, so it answers 503 for what they are needed for, and writes nothing wrong as
-- long as totals fit into 64 bits. Its arithmetic ends there: stop such processes right after this, and before
-- newer ones take in amounts that go beyond.
alter table account_balances
    alter column debits_posted type numeric(39, 0),
    alter column credits_posted type numeric(39, 0),
    alter column debits_pending type numeric(39, 0),
    alter column credits_pending type numeric(39, 0);
