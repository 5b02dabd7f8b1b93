//! Payments carried out by real workers, at simulated PSPs over real HTTP, from a real Postgres.

mod clocks;
mod faults;
mod killed;
mod room;
mod shares;
mod straight;
mod switch;
mod together;
mod webhooks;
mod world;
