//! Finding out where the stream is and whether it is this log's; making it where there is none.

use std::time::Duration;

use async_nats::jetstream::Context;
use async_nats::jetstream::context::GetStreamErrorKind;
use async_nats::jetstream::stream::{
    Config, DiscardPolicy, LastRawMessageErrorKind, RetentionPolicy, StorageType, Stream,
};
use sqlx::PgConnection;

use super::message::{LEAF_HASH_HEADER, LogStream};
use super::status::MirrorAlarm;
use crate::log::{self, LeafHash, Position};

/// How many events a new stream goes back: what projections that were away for a while read from it.
/// Everything older is read from Postgres.
pub const MIRROR_WINDOW_EVENTS: i64 = 1_000_000;
/// The most bytes a stream keeps: a window, not the history.
const STREAM_BYTES_MAX: i64 = 8 * 1024 * 1024 * 1024;
/// The longest a message is kept.
const STREAM_AGE_MAX: Duration = Duration::from_secs(7 * 24 * 60 * 60);

/// Where the stream is.
pub(super) enum Reconciled {
    /// It ends here and is this log's; what follows can be published.
    At(Position),
    /// It is not this log's.
    Alarm(MirrorAlarm),
}

/// Why it could not be found out.
pub(super) enum ReconcileError {
    Nats(String),
    Log(sqlx::Error),
}

impl From<sqlx::Error> for ReconcileError {
    fn from(error: sqlx::Error) -> Self {
        Self::Log(error)
    }
}

fn nats(error: impl ToString) -> ReconcileError {
    ReconcileError::Nats(error.to_string())
}

/// Compares the end of the stream with the log.
pub(super) async fn reconcile(
    jetstream: &Context,
    name: &LogStream,
    db: &mut PgConnection,
) -> Result<Reconciled, ReconcileError> {
    let head = log::head(&mut *db).await?.position;
    let Some(stream) = find(jetstream, name).await? else {
        return create(jetstream, name, head).await;
    };
    let last = stream.cached_info().state.last_sequence;
    if last > head.sequence() {
        return Ok(Reconciled::Alarm(MirrorAlarm::StreamAhead { stream: last, log: head }));
    }
    let position = Position::from_number(i64::try_from(last).unwrap_or(i64::MAX));
    let Some(theirs) = leaf_hash(&stream, last).await? else {
        // Expired, or an empty stream made to begin here: nothing contradicts the log.
        return Ok(Reconciled::At(position));
    };
    match (theirs, log::leaf_hash_at(db, position).await?) {
        (Some(theirs), Some(ours)) if theirs == ours => Ok(Reconciled::At(position)),
        _ => Ok(Reconciled::Alarm(MirrorAlarm::OtherHistory { position })),
    }
}

async fn find(jetstream: &Context, name: &LogStream) -> Result<Option<Stream>, ReconcileError> {
    match jetstream.get_stream(name.name()).await {
        Ok(stream) => Ok(Some(stream)),
        Err(error) => match error.kind() {
            GetStreamErrorKind::JetStream(refused) if refused.code() == 404 => Ok(None),
            _ => Err(nats(error)),
        },
    }
}

/// The hash in the message at `sequence`; the outer `None` if there is no such message, the inner one if
/// it has no valid hash.
async fn leaf_hash(
    stream: &Stream,
    sequence: u64,
) -> Result<Option<Option<LeafHash>>, ReconcileError> {
    if sequence == 0 {
        return Ok(None);
    }
    match stream.get_raw_message(sequence).await {
        Ok(message) => {
            let header = message.headers.get(LEAF_HASH_HEADER);
            Ok(Some(header.and_then(|value| LeafHash::from_hex(value.as_str()))))
        }
        Err(error) => match error.kind() {
            LastRawMessageErrorKind::NoMessageFound => Ok(None),
            _ => Err(nats(error)),
        },
    }
}

/// Makes the stream so that its next sequence is the position it goes on from.
async fn create(
    jetstream: &Context,
    name: &LogStream,
    head: Position,
) -> Result<Reconciled, ReconcileError> {
    let first = Position::from_number((head.number() + 1 - MIRROR_WINDOW_EVENTS).max(1));
    let config = Config {
        name: name.name().to_owned(),
        subjects: vec![name.subjects()],
        retention: RetentionPolicy::Limits,
        discard: DiscardPolicy::Old,
        max_bytes: STREAM_BYTES_MAX,
        max_age: STREAM_AGE_MAX,
        storage: StorageType::File,
        deny_delete: true,
        deny_purge: true,
        allow_direct: true,
        first_sequence: Some(first.sequence()),
        ..Config::default()
    };
    match jetstream.create_stream(config).await {
        Ok(_) => {
            tracing::info!(stream = name.name(), first = first.number(), "the stream is made");
            Ok(Reconciled::At(Position::from_number(first.number() - 1)))
        }
        Err(error) => Err(nats(error)),
    }
}

/// Removes the stream, so that the mirror makes a new one from the log. For `runut mirror reset`, after a
/// person decided that what the stream holds is not needed.
///
/// # Errors
/// What NATS says; a stream that is not there is no error.
pub async fn reset(jetstream: &Context, name: &LogStream) -> Result<(), String> {
    match jetstream.delete_stream(name.name()).await {
        Ok(_) => Ok(()),
        Err(error) => match jetstream.get_stream(name.name()).await {
            Err(gone) if matches!(gone.kind(), GetStreamErrorKind::JetStream(e) if e.code() == 404) => {
                Ok(())
            }
            _ => Err(error.to_string()),
        },
    }
}
