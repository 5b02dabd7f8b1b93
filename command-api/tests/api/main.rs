//! The service as its callers see it: HTTP through the real router, on a real log.

mod access;
mod accounts;
mod actors;
mod answers;
mod api_keys;
mod app;
mod entries;
mod killed;
mod malformed;
mod payments;
mod psps;
mod recorded_answers;
mod repeated;
mod service;
mod two_services;
mod webhooks;
