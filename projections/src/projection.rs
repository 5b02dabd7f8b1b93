//! What a projection is.

use std::fmt::Debug;
use std::sync::Arc;

use domain::{Event, MerchantId, StreamVersion, Timestamp};
use event_store::log::{LeafHash, Position, RecordedEvent};
use futures::future::BoxFuture;
use sqlx::PgConnection;

/// An event of the log, decoded, as projections get it.
#[derive(Debug, Clone)]
pub struct AppliedEvent {
    /// Its number in the log.
    pub position: Position,
    /// Its number in its stream.
    pub version: StreamVersion,
    /// The merchant it concerns.
    pub merchant_id: MerchantId,
    /// When it was recorded.
    pub recorded_at: Timestamp,
    /// When it was decided, by the clock; see [`domain::EventTime`].
    pub decided_at: Timestamp,
    /// The stored hash of its row.
    pub leaf_hash: LeafHash,
    /// What happened.
    pub event: Arc<Event>,
}

impl AppliedEvent {
    /// The event of a row whose data says `event`.
    pub fn new(recorded: &RecordedEvent, event: Arc<Event>) -> Self {
        Self {
            position: recorded.position,
            version: recorded.version,
            merchant_id: recorded.merchant_id,
            recorded_at: recorded.recorded_at,
            decided_at: recorded.time().decided_at,
            leaf_hash: recorded.leaf_hash,
            event,
        }
    }
}

/// A table of a read model, for programs that compare two copies of it row by row.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Table {
    /// Its name, without a schema.
    pub name: &'static str,
    /// The columns that tell its rows apart, in the order of an index.
    pub key: &'static [&'static str],
}

/// Why a batch was not applied. The transaction around it is rolled back.
#[derive(Debug, thiserror::Error)]
pub enum ApplyError {
    /// The database refused or went away.
    #[error("the read model could not be written")]
    Database(#[from] sqlx::Error),
    /// An event contradicts what was applied before it, such as a posting to an account never opened.
    #[error("{reason}")]
    Contradiction {
        /// What does not fit, as a sentence.
        reason: String,
    },
}

impl ApplyError {
    /// A contradiction, in words.
    pub fn contradiction(reason: impl Into<String>) -> Self {
        Self::Contradiction { reason: reason.into() }
    }

    /// What is wrong, in words for whoever is to repair it.
    pub(crate) fn reason(&self) -> String {
        let refusal = match self {
            Self::Contradiction { .. } => None,
            Self::Database(error) => error.as_database_error(),
        };
        match refusal {
            Some(refusal) => {
                let code = refusal.code().unwrap_or_default();
                format!("the read model refuses it: {} ({code})", refusal.message())
            }
            None => crate::page::with_sources(self),
        }
    }

    /// Whether the same batch may well be applied later as it is: the server was away, busy or shutting
    /// down. Anything else stays until somebody repairs it.
    pub fn retryable(&self) -> bool {
        match self {
            Self::Contradiction { .. } => false,
            Self::Database(error) => database_retryable(error),
        }
    }
}

/// SQLSTATE classes of a server that is away, busy or shutting down: connection exceptions, insufficient
/// resources, rolled back transactions, objects in use, operator intervention.
const RETRYABLE_CLASSES: [&str; 5] = ["08", "40", "53", "55", "57"];

/// A server that takes no writes for now: a standby, or a primary that is one no more.
const READ_ONLY: &str = "25006";
/// A statement that was ended: past its time, or because somebody said so.
const CANCELLED: &str = "57014";

/// Whether the server ended a statement that was at work.
pub(crate) fn is_cancellation(error: &sqlx::Error) -> bool {
    let code = error.as_database_error().and_then(sqlx::error::DatabaseError::code);
    code.is_some_and(|code| code == CANCELLED)
}

/// Whether a statement that failed so may succeed when it is simply sent again.
pub(crate) fn database_retryable(error: &sqlx::Error) -> bool {
    match error {
        sqlx::Error::Database(refusal) => refusal.code().is_some_and(|code| {
            code == READ_ONLY || RETRYABLE_CLASSES.iter().any(|class| code.starts_with(class))
        }),
        sqlx::Error::Io(_) | sqlx::Error::Tls(_) | sqlx::Error::Protocol(_) => true,
        sqlx::Error::PoolTimedOut | sqlx::Error::PoolClosed | sqlx::Error::WorkerCrashed => true,
        _ => false,
    }
}

/// A read model: its tables, and how events change them.
///
/// What a projection writes depends on the events alone (no clock, no random numbers, nothing of the
/// order in which batches were cut), so that a rebuild from position 1 yields the same rows.
pub trait Projection: Debug + Send + Sync + 'static {
    /// Its name, in lower case with underscores; also that of its rebuild's schema.
    fn name(&self) -> &'static str;

    /// Raised with every change of its tables or of what it writes; a higher one than the checkpoint's
    /// leads to a rebuild.
    fn version(&self) -> i32;

    /// Creates its tables, with the keys that `apply` itself needs. Names are unqualified: the
    /// connection's search path says which generation is meant.
    fn tables_sql(&self) -> &'static str;

    /// Creates the indexes that only queries need, each statement by itself and without a semicolon but
    /// at its end; a rebuild runs them after the first part of the load.
    fn indexes_sql(&self) -> &'static str;

    /// Grants on its tables beyond reading: where workers claim rows, the right to lock them.
    fn grants_sql(&self) -> &'static str {
        ""
    }

    /// The tables, in the order of their creation.
    fn tables(&self) -> &'static [Table];

    /// Whether `apply` writes anything for this event. Batches of others move the checkpoint alone.
    fn concerns(&self, event: &Event) -> bool;

    /// Writes what `events`, which follow what was applied before without a gap, change. Folds the batch
    /// in memory and sends one statement or two a table, however many events there are. Runs in a
    /// transaction that also moves the checkpoint.
    fn apply<'a>(
        &'a self,
        db: &'a mut PgConnection,
        events: &'a [AppliedEvent],
    ) -> BoxFuture<'a, Result<(), ApplyError>>;

    /// Does the same, with what can be written independently of each other over two connections at the same
    /// time; for filling tables that nobody reads yet.
    ///
    /// # Errors
    /// As for [`Projection::apply`].
    fn apply_over_two<'a>(
        &'a self,
        db: &'a mut PgConnection,
        _beside: &'a mut PgConnection,
        events: &'a [AppliedEvent],
    ) -> BoxFuture<'a, Result<(), ApplyError>> {
        self.apply(db, events)
    }
}
