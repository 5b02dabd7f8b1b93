//! Projections against a Postgres and a NATS: each test has a database and a stream of its own.

mod alone;
mod diverged;
mod events;
mod faults;
mod killed;
mod ledger_events;
mod log;
mod messages;
mod rebuilds;
mod replay;
mod scenario;
mod stopped;
mod tables;
