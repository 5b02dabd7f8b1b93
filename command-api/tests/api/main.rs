//! The service as its callers see it: HTTP through the real router, on a real log.

mod access;
mod accounts;
mod actors;
mod answers;
mod api_keys;
mod app;
mod batches;
mod chains;
mod closes;
mod conversions;
mod entries;
mod holds;
mod imports;
mod killed;
mod malformed;
mod parts;
mod payments;
mod psps;
mod recorded_answers;
mod repeated;
mod service;
mod storms;
mod two_services;
mod wallets;
mod webhooks;
