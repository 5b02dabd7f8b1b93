//! Ways out: all of a ledger, or of an account, as files that other programs read.
//!
//! `reading` reads rows in key ranges, a short statement each, up to the position that the read model was at when
//! the export began: what was posted never changes, so pages read later are of the same books. `streaming` sends
//! what the formats make of them as it is made. An export that cannot go on breaks its connection; it never ends
//! as if it were all.

mod beancount;
mod books;
mod csv;
mod hledger;
pub(crate) mod journal;
mod parquet;
mod reading;
pub(crate) mod statement;
mod streaming;

pub(crate) use streaming::EXPORTS;
