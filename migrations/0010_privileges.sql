-- Postgres lets every role make temporary tables, large objects, advisory locks, messages in the write-ahead log
-- and procedures. A key that only reads could fill the disk with these, or hold the lock that the mirror waits for.
--
-- A function, because what it grants does not follow a database that is copied or restored: whoever owns the
-- database calls it again after each migration. On managed servers the owner may not change functions of
-- Postgres itself; so it does what it can, and returns what everybody may still do.
create function restrict_everybody() returns setof text
language plpgsql set search_path = pg_catalog set client_min_messages = error as $$
declare
    db constant text := current_database();
    keeper constant text := (select r.rolname from pg_database d join pg_roles r on r.oid = d.datdba
        where d.datname = current_database());
    large_objects constant text := '^(lo_.*|loread|lowrite)$';
    advisory_locks constant text := '^pg_(try_)?advisory_';
    wal_messages constant text := '^pg_logical_emit_message$';
    target record;
begin
    -- One at a time: each changes the same rows.
    lock table public._sqlx_migrations in share update exclusive mode;

    -- Without these the services cannot work, so a refusal is an error.
    execute format('revoke temporary on database %I from public', db);
    execute format('grant create on database %I to runut_projector', db);
    -- An auditor compares read models with a scratch copy of their own making.
    execute format('grant temporary on database %I to runut_auditor', db);

    for target in
        select p.oid::regprocedure::text as signature, p.proname ~ advisory_locks as locks from pg_proc p
        where p.pronamespace = 'pg_catalog'::regnamespace
            and p.proname ~ any (array[large_objects, advisory_locks, wal_messages])
    loop
        begin
            execute format('revoke execute on function %s from public', target.signature);
            if target.locks then
                -- Migrations and the making of balances anew.
                execute format('grant execute on function %s to %I', target.signature, keeper);
            end if;
        exception when insufficient_privilege then null;
        end;
    end loop;
    begin
        revoke usage on language plpgsql from public;
        execute format('grant usage on language plpgsql to %I', keeper);
        -- The mirror; and the projector when it makes read models.
        grant execute on function pg_try_advisory_lock(bigint) to runut_app;
        grant execute on function pg_advisory_xact_lock(bigint), pg_try_advisory_lock(int, int)
            to runut_projector;
    exception when insufficient_privilege then null;
    end;

    return query
        select 'temporary tables' where has_database_privilege('public', db, 'temporary')
        union all
        select f.what from (values ('large objects', large_objects), ('advisory locks', advisory_locks),
            ('messages in the write-ahead log', wal_messages)) as f (what, names)
        where exists (select from pg_proc p where p.pronamespace = 'pg_catalog'::regnamespace
            and p.proname ~ f.names and has_function_privilege('public', p.oid, 'execute'))
        union all
        select 'procedures' where has_language_privilege('public', 'plpgsql', 'usage');
end
$$;
revoke execute on function restrict_everybody() from public;

select restrict_everybody();
