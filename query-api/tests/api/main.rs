//! The query service from outside: HTTP clients over the real router, a real log and real projections.

mod access;
mod accounts;
mod actors;
mod document;
mod events;
mod follow;
mod health;
mod isolation;
mod ledger;
mod paging;
mod payments;
mod platform;
mod positions;
mod projections_halted;
