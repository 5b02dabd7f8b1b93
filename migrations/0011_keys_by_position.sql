-- A key is as young as the younger of two times says: when its answer was recorded by the clock of then, and the time of
-- the log where it was recorded, which never falls. Where all clocks were behind for a while the first is too early,
-- and the key would be removed, and its request carried out again, as soon as they are right.
--
-- The pruner may not read the log: this tells it the one position that it needs. Some thirty look-ups by primary key.
create function last_position_before(moment timestamptz) returns bigint
    language sql stable security definer set search_path = pg_catalog, public
as $$
    with recursive bisection (low, high) as (
        select 0::bigint, position from log_head where log_id = 1
        union all
        select
            case when middle.recorded_at < moment then middle.position else low end,
            case when middle.recorded_at < moment then high else middle.position - 1 end
        from bisection
        cross join lateral (
            select position, recorded_at from events where log_id = 1 and position = (low + high + 1) / 2
        ) as middle
        where low < high
    )
    select low from bisection where low = high
$$;
revoke execute on function last_position_before(timestamptz) from public;
grant execute on function last_position_before(timestamptz) to runut_pruner;

drop policy past_their_time on idempotency_keys;
create policy past_their_time on idempotency_keys for delete to runut_pruner
    using (response is not null and recorded_at < log_clock() - interval '72 hours'
        and position <= (select last_position_before(log_clock() - interval '72 hours')));
