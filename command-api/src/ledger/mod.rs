//! The ledger: entries, corrected only by reversal.

pub(crate) mod post;
pub(crate) mod reverse;
