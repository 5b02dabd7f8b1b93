-- How far each projection of this schema is. Moved in the very transaction that writes the read model.
create table if not exists checkpoint (
    projection text collate "C" not null,
    -- Of the projection's code and tables: a program of another version rebuilds them.
    version integer not null,
    -- Counts the rebuilds, from 1.
    generation bigint not null,
    -- The last event applied, its hash and its time; 0 and nulls before the first.
    position bigint not null check (position >= 0),
    leaf_hash bytea check (octet_length(leaf_hash) = 32),
    recorded_at timestamptz,
    state text collate "C" not null check (state in ('running', 'stopped', 'diverged', 'rebuilding')),
    -- Why it is not running, and the event that it cannot get past.
    detail text,
    failed_position bigint,
    -- The tables of this generation, dropped when the next one takes its place.
    tables text[] not null,
    -- When the row was last written, by the database's clock.
    updated_at timestamptz not null,
    constraint checkpoint_pkey primary key (projection)
) with (fillfactor = 10);
