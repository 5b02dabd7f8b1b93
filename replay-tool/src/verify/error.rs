//! Why verify could not check.

use crate::connection::ConnectError;

/// Why something could not be checked: says nothing of whether it is right.
#[derive(Debug, thiserror::Error)]
pub enum VerifyError {
    /// The database cannot be audited.
    #[error("the log cannot be reached")]
    Connect(#[from] ConnectError),
    /// A statement failed.
    #[error("reading {what} failed")]
    Database {
        /// What was being read.
        what: &'static str,
        /// What the database said.
        #[source]
        source: sqlx::Error,
    },
    /// The first position is above the last.
    #[error("there is nothing to check from position {from} to {to}")]
    EmptyRange {
        /// The first position asked for.
        from: i64,
        /// The last.
        to: i64,
    },
    /// NATS refused or went away.
    #[error("the mirror cannot be read: {reason}")]
    Nats {
        /// What it said.
        reason: String,
    },
    /// A read model could not be folded.
    #[error("read model `{projection}` could not be folded")]
    Fold {
        /// The projection.
        projection: &'static str,
        /// Why.
        #[source]
        source: projections::FoldError,
    },
    /// A thread that checked a chunk died, which is a mistake in this program.
    #[error("a check broke off")]
    BrokenOff(#[source] tokio::task::JoinError),
}

/// What was being read when a statement failed.
pub(crate) fn reading(what: &'static str) -> impl FnOnce(sqlx::Error) -> VerifyError {
    move |source| VerifyError::Database { what, source }
}
