//! Whole streams, looked up by their names: what the events of a chunk build on.

use std::collections::HashMap;

use domain::Timestamp;
use sqlx::PgConnection;
use time::OffsetDateTime;

use crate::connection::LOG;
use crate::facts::Fact;
use crate::verify::error::{VerifyError, reading};

/// The most streams that are asked for at once: nearly all have one to three events.
const ASKED_STREAMS_MAX: usize = 2_000;

/// An event of a stream.
#[derive(Debug, sqlx::FromRow)]
pub(super) struct StoredEvent {
    stream_id: String,
    pub(super) version: i64,
    pub(super) position: i64,
    event_type: String,
    schema_version: i16,
    data: String,
    recorded_at: OffsetDateTime,
}

impl StoredEvent {
    /// What happened; what cannot be read was found by the pass over the events.
    pub(super) fn fact(&self) -> Option<Fact<'_>> {
        Fact::read(&self.event_type, self.schema_version, &self.data).ok()
    }

    /// When it was recorded.
    pub(super) fn recorded_at(&self) -> Timestamp {
        Timestamp::from_datetime(self.recorded_at)
    }
}

/// The events of those streams, by version.
pub(super) async fn read(
    db: &mut PgConnection,
    mut names: Vec<String>,
) -> Result<HashMap<String, Vec<StoredEvent>>, VerifyError> {
    names.sort_unstable();
    names.dedup();
    let mut streams: HashMap<String, Vec<StoredEvent>> = HashMap::with_capacity(names.len());
    for asked in names.chunks(ASKED_STREAMS_MAX) {
        let events: Vec<StoredEvent> = sqlx::query_as(
            "select e.stream_id, e.version, e.position, e.event_type, e.schema_version, \
                 e.data::text as data, e.recorded_at \
             from unnest($2::text[]) as asked (stream_id) \
             cross join lateral (select * from events where log_id = $1 \
                 and stream_id = asked.stream_id order by version offset 0) as e",
        )
        .bind(LOG)
        .bind(asked)
        .fetch_all(&mut *db)
        .await
        .map_err(reading("the streams that events build on"))?;
        for event in events {
            streams.entry(event.stream_id.clone()).or_default().push(event);
        }
    }
    Ok(streams)
}
