//! Runs `PostgreSQL` and NATS as child processes of ours, so that one command brings up a whole
//! payments core on one machine.
//!
//! A folder (DIR) holds everything a service keeps. [`Postgres::start`] and [`Nats::start`] lock
//! their part of it, stop what an earlier, killed run left running, choose a free port (and keep
//! it for the next start), start the server and wait until it answers. A task then watches the
//! child, brings it back if it dies and stops it in order when asked.
//!
//! ```text
//! DIR/postgres.lock       held while a handle lives; refuses a second start on the same DIR
//! DIR/postgres/           or a link, see below
//!     data/               the cluster
//!     port                the port chosen first
//!     postgres.log
//! DIR/nats.lock
//! DIR/nats/
//!     jetstream/  nats.conf  nats.pid  nats.log  port
//! ```
//!
//! **As root.** `PostgreSQL` refuses to run as root, so it runs as the user `postgres`, or else
//! `nobody`. Where that user cannot reach DIR (say, below `/root`), `DIR/postgres` is a link to a
//! folder of ours in `/var/lib/runut` (or `/var/tmp/runut`), and where it cannot execute the
//! binaries they are copied to the same place, once a version. Whether it can is found out by
//! trying, not by reading mode bits. Deleting DIR then leaves the linked folder behind;
//! [`Postgres::destroy`] removes it too.
//!
//! **Orphans.** A server of an earlier run is recognised by what it is and where it works: its
//! executable's name, and its working directory within the folder we hold the lock of. Its pid and
//! start time are compared again right before each signal. A pid written down in a file would
//! say less, and could not know of a child started just before we were killed.
//!
//! Linux only: `/proc` is read.

mod account;
mod binaries;
mod error;
mod keeper;
mod launch;
mod lock;
mod nats;
mod port;
mod postgres;
pub mod private;
mod process_table;
mod staging;

pub use binaries::{Binaries, Version};
pub use error::Error;
pub use lock::DirLock;
pub use nats::{MAX_FILE_STORE_BYTES, Nats, NatsOptions};
pub use port::free_port;
pub use postgres::{Postgres, PostgresOptions, SUPERUSER};
