//! Merchants: taken on by operators.

pub(crate) mod register;
