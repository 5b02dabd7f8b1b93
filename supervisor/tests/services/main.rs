//! Real servers in folders of their own: stopped, started, killed, orphaned.

mod ground;
mod installation;
mod killed;
mod nats;
mod postgres;
