-- The roles that services log in as. None of them owns the log; the owner runs migrations only.
-- Roles belong to the whole server: several databases on it share them, so two migrations may meet here.
do $$
declare
    name text;
begin
    foreach name in array array['runut_app', 'runut_projector', 'runut_query', 'runut_auditor', 'runut_pruner'] loop
        begin
            execute format('create role %I login', name);
        exception when duplicate_object or unique_violation then
            null;
        end;
    end loop;
end
$$;

-- No transaction on the log's server may hold back the vacuum of the head row for long.
alter role runut_app set idle_in_transaction_session_timeout = '5s';
-- Below the patience of the sequencer, so that a statement it gives up on is not left waiting.
alter role runut_app set statement_timeout = '5s';
alter role runut_projector set idle_in_transaction_session_timeout = '5s';
alter role runut_query set idle_in_transaction_session_timeout = '5s';
alter role runut_query set statement_timeout = '5s';
alter role runut_auditor set idle_in_transaction_session_timeout = '5s';
alter role runut_auditor set statement_timeout = '60s';
alter role runut_pruner set idle_in_transaction_session_timeout = '5s';
