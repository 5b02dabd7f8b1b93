-- Webhooks that were worked off are not kept for ever; the pruner removes them as it does old keys.
create index webhooks_processed on webhooks (received_at) where state = 'processed';

grant select (digest, psp, state, received_at), delete on webhooks to runut_pruner;
