//! Positions: which one a caller wants to see, how far the read models are, and waiting in between.

mod demand;
mod min_position;
mod positions;
mod watcher;

pub(crate) use demand::Followed;
pub(crate) use min_position::MinPosition;
pub(crate) use positions::{Positions, Waited};
pub(crate) use watcher::Watcher;

use std::sync::Arc;
use std::time::Duration;

use axum::http::HeaderName;
use projections::Handle;
use sqlx::postgres::{PgConnectOptions, PgConnection};

/// The position that an answer shows: of the read model it was read from, or of the log.
pub const POSITION_HEADER: HeaderName = HeaderName::from_static("runut-position");
/// The position that a query has to show at least: the `Runut-Position` of one's own command.
pub const MIN_POSITION_HEADER: HeaderName = HeaderName::from_static("runut-min-position");

/// How long a query waits for its position before it is told to come back.
pub(crate) const MIN_POSITION_WAIT_MAX: Duration = Duration::from_secs(5);

/// What is known of positions, and the task that keeps it so. `connection` is its first.
pub(crate) fn watch(
    options: PgConnectOptions,
    connection: PgConnection,
    in_process: Option<Handle>,
) -> (Arc<Positions>, Watcher) {
    let positions = Arc::new(Positions::new(in_process));
    let watcher = Watcher::new(options, connection, Arc::clone(&positions));
    (positions, watcher)
}
