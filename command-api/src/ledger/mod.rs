//! The ledger: entries, by themselves or many in one, corrected only by reversal; and its books, closed day
//! by day.

pub(crate) mod batch;
pub(crate) mod chain;
pub(crate) mod close_day;
pub(crate) mod details_body;
pub(crate) mod entry_body;
pub(crate) mod import;
pub(crate) mod part_body;
pub(crate) mod place;
pub(crate) mod post;
pub(crate) mod replace;
pub(crate) mod reverse;
pub(crate) mod step_result;
