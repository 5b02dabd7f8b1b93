//! Loading states from the log: each folded from its stream, with the head it was read at.

use std::collections::HashMap;

use domain::{Event, EventTime, State, StateKey, StreamVersion, Timestamp};
use futures::TryStreamExt;
use sqlx::postgres::PgRow;
use sqlx::{PgExecutor, Row};
use time::OffsetDateTime;
use uuid::Uuid;

use super::cache::Versioned;
use crate::LOADED_BYTES_MAX;
use crate::log::{LOG_ID, Position, WideMinor};

/// A state as the log had it.
#[derive(Debug, Clone)]
pub(crate) struct Loaded {
    pub(crate) key: StateKey,
    pub(crate) versioned: Versioned,
    /// The cache's when this was begun to be loaded.
    pub(crate) generation: u64,
}

/// Why states could not be loaded.
#[derive(Debug, thiserror::Error)]
pub(crate) enum LoadError {
    #[error("the log cannot be read")]
    Read(#[from] sqlx::Error),
    #[error("the log holds an event that this program cannot read")]
    Decode(#[from] domain::DecodeError),
    /// They take more than [`LOADED_BYTES_MAX`] together.
    #[error("the states are too large")]
    TooLarge,
}

impl LoadError {
    /// Whether nothing is wrong with the database as far as this tells, only with the connection.
    pub(crate) fn connection_was_dead(&self) -> bool {
        match self {
            Self::Read(sqlx::Error::Io(_)) => true,
            // The server ended the session, or is going down.
            Self::Read(sqlx::Error::Database(error)) => {
                error.code().is_some_and(|code| code.starts_with("57P"))
            }
            Self::Read(_) | Self::Decode(_) | Self::TooLarge => false,
        }
    }
}

/// One statement, so that head, streams and balances are of one snapshot. Each stream is looked up by itself
/// and in its order: where nothing is known of the table yet, a join may read all of it.
const LOAD: &str = "
    select h.position, k.ordinal, e.version, e.event_type, e.schema_version, e.data::text,
           e.recorded_at,
           case when e.metadata::text like '%\"decided_at\":%' then e.metadata->>'decided_at' end,
           b.debits_posted, b.credits_posted, b.debits_pending, b.credits_pending
    from log_head h
    cross join unnest($2::text[], $3::uuid[]) with ordinality as k (stream_id, account_id, ordinal)
    left join lateral (
        select * from events where log_id = h.log_id and stream_id = k.stream_id
        order by version offset 0
    ) e on true
    left join lateral (
        select * from account_balances where log_id = h.log_id and account_id = k.account_id
        offset 0
    ) b on true
    where h.log_id = $1
    order by k.ordinal, e.version";

/// Loads every state of `keys`, those that do not exist too. `generation` is the cache's.
pub(crate) async fn load(
    db: impl PgExecutor<'_>,
    keys: Vec<StateKey>,
    generation: u64,
) -> Result<Vec<Loaded>, LoadError> {
    let streams: Vec<String> = keys.iter().map(|key| key.stream().as_str().to_owned()).collect();
    let accounts: Vec<Option<Uuid>> = keys
        .iter()
        .map(|key| match key {
            StateKey::Account(id) => Some(id.uuid()),
            StateKey::Merchant(_)
            | StateKey::ApiKey(_)
            | StateKey::Entry(_)
            | StateKey::Hold(_)
            | StateKey::Books(_)
            | StateKey::Pair(_)
            | StateKey::Payment(_)
            | StateKey::Card(_)
            | StateKey::Psp(_) => None,
        })
        .collect();
    // Row by row: a stream may be many times as large as what it comes to.
    let mut rows = sqlx::query(LOAD).bind(LOG_ID).bind(streams).bind(accounts).fetch(db);
    let mut size = Size::default();
    let mut states: HashMap<usize, State> = HashMap::new();
    let mut head = Position::START;
    while let Some(row) = rows.try_next().await? {
        let row = &row;
        head = Position::from_number(row.try_get(0)?);
        let ordinal: i64 = row.try_get(1)?;
        let index = usize::try_from(ordinal - 1).unwrap_or(usize::MAX);
        let (Some(key), Some((event, version, time))) = (keys.get(index), event(row)?) else {
            continue;
        };
        if let Some(whole) = size.reach(index) {
            size.add(states.get(&whole))?;
        }
        let folded = State::evolve(key, states.remove(&index), &event, version, time);
        if let Some(state) = folded {
            states.insert(index, with_totals(state, row)?);
        }
    }
    drop(rows);
    Ok(keys
        .into_iter()
        .enumerate()
        .map(|(index, key)| {
            let versioned = Versioned { state: states.remove(&index), at: head };
            Loaded { key, versioned, generation }
        })
        .collect())
}

/// How large the states are that were folded so far.
#[derive(Debug, Default)]
struct Size {
    bytes: usize,
    /// The state that is being folded.
    at: Option<usize>,
}

impl Size {
    /// The next row is of the state at `index`; which one is whole with that.
    fn reach(&mut self, index: usize) -> Option<usize> {
        if self.at == Some(index) {
            return None;
        }
        self.at.replace(index)
    }

    fn add(&mut self, whole: Option<&State>) -> Result<(), LoadError> {
        self.bytes += whole.map_or(0, State::bytes);
        if self.bytes > LOADED_BYTES_MAX { Err(LoadError::TooLarge) } else { Ok(()) }
    }
}

fn event(row: &PgRow) -> Result<Option<(Event, StreamVersion, EventTime)>, LoadError> {
    let Some(version) = row.try_get::<Option<i64>, _>(2)? else { return Ok(None) };
    let event = Event::decode(row.try_get(3)?, row.try_get(4)?, row.try_get(5)?)?;
    let recorded_at = Timestamp::from_datetime(row.try_get::<OffsetDateTime, _>(6)?);
    let decided_at = row.try_get::<Option<&str>, _>(7)?.and_then(|text| text.parse().ok());
    let time = EventTime { recorded_at, decided_at: decided_at.unwrap_or(recorded_at) };
    Ok(Some((event, StreamVersion::from_number(version), time)))
}

/// An account's totals come from its balance row, which the append keeps current.
fn with_totals(state: State, row: &PgRow) -> Result<State, LoadError> {
    match state {
        State::Account(mut account) => {
            let total = |column: usize| row.try_get(column).map(|WideMinor(minor)| minor);
            if let Some(WideMinor(debits_posted)) = row.try_get(8)? {
                account.totals = domain::accounts::Totals {
                    debits_posted,
                    credits_posted: total(9)?,
                    debits_pending: total(10)?,
                    credits_pending: total(11)?,
                };
            }
            Ok(State::Account(account))
        }
        State::Merchant(_)
        | State::ApiKey(_)
        | State::Entry(_)
        | State::Hold(_)
        | State::Books(_)
        | State::Pair(_)
        | State::Payment(_)
        | State::Card(_)
        | State::Psp(_) => Ok(state),
    }
}
