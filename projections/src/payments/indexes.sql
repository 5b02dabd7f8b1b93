-- Lists are newest first; btrees are read backwards, so no `desc` is needed.
create unique index payments_by_position on payments (created_position);
create index payments_by_merchant on payments (merchant_id, created_position);
create index payments_by_customer on payments (merchant_id, customer, created_position) where customer is not null;
create index payments_by_reference on payments (merchant_id, reference, created_position) where reference is not null;
create index payments_by_state on payments (state, created_position) where state in ('unknown', 'authorizing', 'capturing');
