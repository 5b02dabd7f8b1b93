//! Foreign exchange: rates as they are told, and conversions by them.

pub(crate) mod convert;
pub(crate) mod record_rate;
