//! `POST /v1/ledger/consistency-report`: whether somebody else's balances are ours.
//!
//! For whoever runs its books here beside its old ones, until both agree for long enough. It is a query with a body,
//! since there may be a thousand balances in it: nothing is written, so there is nothing to do once only, and it
//! takes no `Idempotency-Key`.

mod asked;
mod drifts;
pub(crate) mod report;
