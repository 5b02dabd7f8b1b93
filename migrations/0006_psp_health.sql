-- How PSPs do, as each worker sees it; rewritten every second, so it need not survive a crash.
create unlogged table psp_health (
    worker uuid not null,
    psp text collate "C" not null,
    breaker text collate "C" not null,
    -- In the last minute.
    calls bigint not null,
    errors bigint not null,
    under_way bigint not null,
    updated_at timestamptz not null,
    constraint psp_health_pkey primary key (worker, psp)
) with (fillfactor = 50);

grant select, insert, update, delete on psp_health to runut_app;
grant select on psp_health to runut_query;
