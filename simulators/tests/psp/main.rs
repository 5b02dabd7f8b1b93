//! The payment service provider over real HTTP: what it answers, what it breaks, what it remembers.

mod charging;
mod ground;
mod idempotency;
mod killed;
mod receiver;
mod restart;
mod tokens;
mod webhooks;
