//! A log written directly, as the sequencer would: gapless positions, right hashes, the head moved.

use std::collections::HashMap;

use domain::{Event, StreamId, StreamVersion, Timestamp};
use event_store::log::{LOG_ID, LeafHash, Position, RecordedEvent};
use sqlx::{Connection, PgConnection};
use uuid::Uuid;

use super::events::Happened;

/// The first event of every test's log was recorded then.
const FIRST_RECORDED_AT_MICROS: i64 = 1_750_000_000_000_000;
/// Every event a tenth of a second after the one before.
const STEP_MICROS: i64 = 100_000;

/// Appends to the log of one database.
#[derive(Debug)]
pub(crate) struct Log {
    db: PgConnection,
    position: Position,
    versions: HashMap<StreamId, i64>,
    /// Distinguishes the ids of this log from those of another timeline of it.
    timeline: u128,
    pub(crate) recorded: Vec<RecordedEvent>,
}

impl Log {
    pub(crate) fn new(owner: PgConnection) -> Self {
        Self {
            db: owner,
            position: Position::START,
            versions: HashMap::new(),
            timeline: 0,
            recorded: Vec::new(),
        }
    }

    pub(crate) fn position(&self) -> Position {
        self.position
    }

    /// Appends all of `happened` in one transaction; returns the rows.
    pub(crate) async fn append(
        &mut self,
        happened: impl IntoIterator<Item = Happened>,
    ) -> Vec<RecordedEvent> {
        let mut rows: Vec<RecordedEvent> = Vec::new();
        for Happened { stream, merchant, event } in happened {
            let position = self.position.next();
            let event_id = self.event_id(position);
            let version = self.versions.entry(stream.clone()).or_insert(0);
            *version += 1;
            let mut row = RecordedEvent {
                position,
                stream_id: stream,
                version: StreamVersion::from_number(*version),
                event_id,
                event_type: event.event_type().to_owned(),
                schema_version: event.schema_version(),
                merchant_id: merchant,
                data: event.to_json(),
                metadata: format!(r#"{{"actor":"test","correlation_id":"{position}"}}"#),
                recorded_at: recorded_at(position),
                leaf_hash: LeafHash::from_bytes(&[0; 32]).expect("32 bytes"),
            };
            row.leaf_hash = row.computed_hash();
            self.position = position;
            rows.push(row);
        }
        write(&mut self.db, &rows).await;
        self.recorded.extend(rows.iter().cloned());
        rows
    }

    /// The posted entry at `position`.
    pub(crate) fn entry(&self, position: Position) -> domain::ledger::EntryPosted {
        let found = self.recorded.iter().find(|row| row.position == position).expect("a row");
        match found.decode().expect("decodes") {
            Event::EntryPosted(entry) => entry,
            other => panic!("{other:?} is no entry"),
        }
    }

    /// Replaces data of an event, as an intruder or a repair would: triggers off, hash fitting or not.
    pub(crate) async fn overwrite_data(
        &mut self,
        position: Position,
        data: &str,
        event_type: &str,
    ) {
        let row = self.recorded.iter_mut().find(|row| row.position == position).expect("a row");
        data.clone_into(&mut row.data);
        event_type.clone_into(&mut row.event_type);
        row.leaf_hash = row.computed_hash();
        let mut transaction = self.db.begin().await.expect("begins");
        run(&mut transaction, "alter table events disable trigger user").await;
        sqlx::query(
            "update events set data = $3::json, event_type = $4, leaf_hash = $5 \
             where log_id = $1 and position = $2",
        )
        .bind(LOG_ID)
        .bind(position.number())
        .bind(data)
        .bind(event_type)
        .bind(row.leaf_hash.as_bytes().as_slice())
        .execute(&mut *transaction)
        .await
        .expect("updates");
        run(&mut transaction, "alter table events enable always trigger events_append_only").await;
        run(&mut transaction, "alter table events enable always trigger events_no_truncate").await;
        transaction.commit().await.expect("commits");
    }

    /// Cuts the log off after `position`, as restoring an older backup does.
    pub(crate) async fn cut_after(&mut self, position: Position) {
        let mut transaction = self.db.begin().await.expect("begins");
        run(&mut transaction, "alter table events disable trigger user").await;
        run(&mut transaction, "alter table log_head disable trigger user").await;
        sqlx::query("delete from events where position > $1")
            .bind(position.number())
            .execute(&mut *transaction)
            .await
            .expect("deletes");
        sqlx::query("update log_head set position = $1, recorded_at = $2")
            .bind(position.number())
            .bind(recorded_at(position).datetime())
            .execute(&mut *transaction)
            .await
            .expect("updates");
        run(&mut transaction, "alter table events enable trigger user").await;
        run(&mut transaction, "alter table log_head enable trigger user").await;
        transaction.commit().await.expect("commits");
        self.position = position;
        self.recorded.retain(|row| row.position <= position);
        self.versions.clear();
        for row in &self.recorded {
            self.versions.insert(row.stream_id.clone(), row.version.number());
        }
        self.timeline += 1;
    }

    fn event_id(&self, position: Position) -> Uuid {
        Uuid::from_u128(u128::from(position.sequence()) | (self.timeline << 64))
    }
}

fn recorded_at(position: Position) -> Timestamp {
    Timestamp::from_micros(FIRST_RECORDED_AT_MICROS + position.number() * STEP_MICROS)
}

async fn run(db: &mut PgConnection, statement: &'static str) {
    sqlx::raw_sql(statement).execute(db).await.expect(statement);
}

async fn write(db: &mut PgConnection, rows: &[RecordedEvent]) {
    let Some(last) = rows.last() else { return };
    let mut transaction = db.begin().await.expect("begins");
    sqlx::query(
        "insert into events select $1, position, stream_id, version, event_id, event_type, \
             schema_version, merchant_id, data::json, metadata::json, recorded_at, leaf_hash \
         from unnest($2::bigint[], $3::text[], $4::bigint[], $5::uuid[], $6::text[], $7::smallint[], \
             $8::uuid[], $9::text[], $10::text[], $11::timestamptz[], $12::bytea[]) \
             as row (position, stream_id, version, event_id, event_type, schema_version, \
                 merchant_id, data, metadata, recorded_at, leaf_hash)",
    )
    .bind(LOG_ID)
    .bind(rows.iter().map(|row| row.position.number()).collect::<Vec<_>>())
    .bind(rows.iter().map(|row| row.stream_id.as_str()).collect::<Vec<_>>())
    .bind(rows.iter().map(|row| row.version.number()).collect::<Vec<_>>())
    .bind(rows.iter().map(|row| row.event_id).collect::<Vec<_>>())
    .bind(rows.iter().map(|row| row.event_type.as_str()).collect::<Vec<_>>())
    .bind(rows.iter().map(|row| row.schema_version).collect::<Vec<_>>())
    .bind(rows.iter().map(|row| row.merchant_id.uuid()).collect::<Vec<_>>())
    .bind(rows.iter().map(|row| row.data.as_str()).collect::<Vec<_>>())
    .bind(rows.iter().map(|row| row.metadata.as_str()).collect::<Vec<_>>())
    .bind(rows.iter().map(|row| row.recorded_at.datetime()).collect::<Vec<_>>())
    .bind(rows.iter().map(|row| row.leaf_hash.as_bytes().as_slice()).collect::<Vec<_>>())
    .execute(&mut *transaction)
    .await
    .expect("inserts");
    sqlx::query("update log_head set position = $2, recorded_at = $3 where log_id = $1")
        .bind(LOG_ID)
        .bind(last.position.number())
        .bind(last.recorded_at.datetime())
        .execute(&mut *transaction)
        .await
        .expect("moves the head");
    transaction.commit().await.expect("commits");
}
