create table merchants (
    merchant_id uuid not null,
    name text not null,
    -- The fee terms as the event has them: percent, fixed fees in minor units, rounding.
    fees json not null,
    version bigint not null,
    registered_at timestamptz not null,
    registered_position bigint not null,
    constraint merchants_pkey primary key (merchant_id)
);

create table api_keys (
    key_id uuid not null,
    -- The nil UUID (the platform) for operators, auditors and analysts.
    merchant_id uuid not null,
    role text collate "C" not null,
    label text,
    -- 64 hex digits; the secret itself is nowhere.
    secret_sha256 text collate "C" not null,
    issued_at timestamptz not null,
    issued_position bigint not null,
    -- Null as long as the key opens anything.
    revoked_at timestamptz,
    -- Of the key's stream: 1, and 2 once revoked.
    version bigint not null,
    -- Of the last event that changed the row.
    updated_position bigint not null,
    constraint api_keys_pkey primary key (key_id)
);
