//! The query service from outside: HTTP clients over the real router, a real log and real projections.

mod access;
mod accounts;
mod actors;
mod bookkeeping;
mod bounded;
mod consistency;
mod document;
mod events;
mod exports;
mod follow;
mod health;
mod hledger_reader;
mod holds;
mod isolation;
mod ledger;
mod paging;
mod payments;
mod platform;
mod points_in_time;
mod positions;
mod projections_halted;
mod roles;
mod shares;
mod wide;
