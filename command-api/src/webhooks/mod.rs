//! Webhooks of PSPs: let in by their signature, kept, and answered. What they lead to is the workers' matter.

pub(crate) mod receive;
pub(crate) mod replay;
