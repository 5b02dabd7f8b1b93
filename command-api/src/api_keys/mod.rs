//! API keys: given out and taken back by operators.

pub(crate) mod issue;
pub(crate) mod revoke;
