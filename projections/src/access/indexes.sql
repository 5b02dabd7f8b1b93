-- Lists are newest first; btrees are read backwards, so no `desc` is needed.
create unique index merchants_by_position on merchants (registered_position);
create unique index api_keys_by_position on api_keys (issued_position);
create index api_keys_by_merchant on api_keys (merchant_id, issued_position);
