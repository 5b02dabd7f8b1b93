-- Who may do what. No service may change or remove an event, and none may create or drop a table of the log.
revoke all on all tables in schema public from public;
revoke create on schema public from public;

grant usage on schema public to runut_app, runut_projector, runut_query, runut_auditor, runut_pruner;

grant select, insert on events to runut_app;
grant select, update on log_head to runut_app;
grant select, insert, update on account_balances, idempotency_keys to runut_app;

grant select on events, log_head to runut_projector;

-- The query side shows events to auditors and operators and reads the head; the rest is in schema read.
grant select on events, log_head to runut_query;

grant select on events, log_head, account_balances, idempotency_keys to runut_auditor;

grant select on log_head to runut_pruner;
grant select, delete on idempotency_keys to runut_pruner;

-- Services check the version of the schema at their start.
grant select on _sqlx_migrations
    to runut_app, runut_projector, runut_query, runut_auditor, runut_pruner;

-- The projector owns the read models, and builds new generations of them in schemas beside it.
create schema read authorization runut_projector;
grant usage on schema read to runut_query, runut_auditor;
do $$
begin
    execute format('grant create on database %I to runut_projector', current_database());
    -- An auditor compares read models with a scratch copy of their own making.
    execute format('grant temporary on database %I to runut_auditor', current_database());
end
$$;
