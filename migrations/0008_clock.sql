-- The clock that lasts is the database's. What is written to the log is compared with it by the append itself, and what
-- is removed is removed by it. A function of the owner, so that no service can have another clock.
create function log_clock() returns timestamptz
    language sql volatile parallel safe
    as 'select clock_timestamp()';

-- The pruner can remove nothing that is younger than what is promised, whatever it sends. Everybody else sees and
-- writes all rows, as far as their privileges go.
alter table idempotency_keys enable row level security;
create policy everything on idempotency_keys to runut_app using (true) with check (true);
create policy reading on idempotency_keys for select to runut_auditor, runut_pruner using (true);
create policy past_their_time on idempotency_keys for delete to runut_pruner
    using (response is not null and recorded_at < log_clock() - interval '72 hours');

alter table webhooks enable row level security;
create policy everything on webhooks to runut_app using (true) with check (true);
create policy reading on webhooks for select to runut_query, runut_auditor, runut_pruner using (true);
create policy past_their_time on webhooks for delete to runut_pruner
    using (state = 'processed' and received_at < log_clock() - interval '30 days');
