//! The binary as people run it: real processes, each on a folder and ports of its own.
//!
//! Whatever a test needs (PostgreSQL, NATS) it starts through the binary itself.

mod administration;
mod bench;
mod chaos;
mod crashes;
mod demo;
mod ground;
mod merchant;
mod serve;
mod services;
mod threats;
mod up;
