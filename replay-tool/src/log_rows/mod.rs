//! Rows of the log as the tool reads them: in Postgres' binary COPY format, borrowed, never copied apart.

mod copy;
mod fetch;
mod leaf_hash;
mod row;

pub(crate) use copy::{Tuples, copy_page, quoted};
pub(crate) use fetch::{Chunk, Wanted, fetch};
pub(crate) use leaf_hash::leaf_hash;
pub(crate) use row::{POSTGRES_EPOCH_MICROS, Row, Rows};
