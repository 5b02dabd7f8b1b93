//! `idempotency_keys`: the keys of recent events, from their metadata.
//!
//! Key and fingerprint are in the log, so a key that is made again still keeps its request from having a
//! second effect. The answer is not; but it was made of the events, and can be once more. Refusals and
//! answers that found all done already appended nothing and are lost: their requests are decided anew.

use std::collections::HashSet;

use domain::{MerchantId, NewEvent, Timestamp};
use sqlx::PgConnection;
use uuid::Uuid;

use super::{RebuildError, contiguous};
use crate::log::{
    EVENTS_PAGE_MAX, EventMetadata, LOG_ID, Position, RecordedEvent, digest_from_hex, head,
    last_before, page_after,
};
use crate::request::NewAnswer;

/// The status of an answer to a request that made something.
const CREATED: i16 = 201;
/// The statuses of refusals by a rule.
const REFUSED: [i16; 3] = [404, 409, 422];
/// A row that is there came with its events and is left as it is, unless it says what the events rule out:
/// another fingerprint, an answer to a request that came later or that rests on an earlier event, a refusal
/// where something was made, or that something was made where it was not.
const INSERT: &str = "
    insert into idempotency_keys as i (log_id, merchant_id, key, fingerprint, resource_id, status,
        response, position, recorded_at)
    select $1, k.* from unnest($2::uuid[], $3::text[], $4::bytea[], $5::text[], $6::smallint[],
        $7::text[], $8::bigint[], $9::timestamptz[])
        as k (merchant_id, key, fingerprint, resource_id, status, response, position, recorded_at)
    on conflict (log_id, merchant_id, key) do update
    set fingerprint = excluded.fingerprint, resource_id = excluded.resource_id,
        status = excluded.status, response = excluded.response, position = excluded.position,
        recorded_at = excluded.recorded_at
    where i.fingerprint <> excluded.fingerprint or i.recorded_at > excluded.recorded_at
        or (i.status is not null and i.position < excluded.position)
        or (i.status = any($10) and i.position = excluded.position)
        or (i.status = $11 and not exists (
            select from events e where e.log_id = i.log_id and e.position = i.position
                and e.metadata->>'idempotency_key' = i.key))
    returning xmax = 0, response is null";

/// What was made.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct RebuiltKeys {
    /// Requests with a key that recent events came from.
    pub requests: u64,
    /// Keys among theirs that were missing and are there again.
    pub restored: u64,
    /// Keys among theirs whose rows contradicted the events, and were replaced.
    pub replaced: u64,
    /// Those of them whose answer cannot be made from their events: they block a repetition, without one.
    pub unanswered: u64,
}

/// Makes the missing keys of events since `since` again, and those that contradict the events. `answer`
/// makes the answer of a request from all that it appended, at the time it was recorded at; `None` where it
/// cannot tell. `progress` hears of every page: the last position, and the head.
///
/// Processes may write to the log meanwhile: what they append comes with its keys.
///
/// # Errors
/// [`RebuildError`]; the keys made until then stay, and the next run goes on from them.
pub async fn idempotency_keys(
    database: &mut PgConnection,
    since: Timestamp,
    answer: impl Fn(&[NewEvent], Timestamp) -> Option<NewAnswer>,
    mut progress: impl FnMut(Position, Position),
) -> Result<RebuiltKeys, RebuildError> {
    let target = head(&mut *database).await?.position;
    let mut at = last_before(&mut *database, since).await?;
    let mut rebuilt = RebuiltKeys::default();
    let mut open: Option<Appended> = None;
    while at < target {
        let page = page_after(database, at, EVENTS_PAGE_MAX).await?;
        let Some(last) = page.last() else {
            return Err(RebuildError::Gap { missing: at.next() });
        };
        contiguous(at, &page)?;
        at = last.position;
        let mut rows = Rows::default();
        for recorded in page {
            let next = Appended::by(recorded)?;
            match (&mut open, next) {
                (Some(open), Some(next)) if open.same_append(&next) => open.extend(next),
                (_, next) => {
                    rows.extend(std::mem::replace(&mut open, next), &answer);
                }
            }
        }
        if at >= target {
            rows.extend(open.take(), &answer);
        }
        rows.insert(database, &mut rebuilt).await?;
        progress(at, target.max(at));
    }
    Ok(rebuilt)
}

/// What a request appended.
#[derive(Debug)]
struct Appended {
    owner: MerchantId,
    key: String,
    fingerprint: [u8; 32],
    recorded_at: Timestamp,
    position: Position,
    events: Vec<NewEvent>,
}

impl Appended {
    /// The one event; `None` where its request had no key.
    fn by(recorded: RecordedEvent) -> Result<Option<Self>, RebuildError> {
        let metadata: EventMetadata = serde_json::from_str(&recorded.metadata)
            .map_err(|error| RebuildError::at(&recorded, error))?;
        let EventMetadata { idempotency_key, idempotency_owner, fingerprint, .. } = metadata;
        let (Some(key), Some(fingerprint)) = (idempotency_key, fingerprint) else {
            return Ok(None);
        };
        let event = recorded.decode().map_err(|error| RebuildError::at(&recorded, error))?;
        let fingerprint = digest_from_hex(&fingerprint)
            .ok_or_else(|| RebuildError::at(&recorded, "its fingerprint is not 64 hex digits"))?;
        let RecordedEvent { position, stream_id, version, event_id, merchant_id, .. } = recorded;
        let new = NewEvent { event_id, stream: stream_id, version, merchant_id, event };
        Ok(Some(Self {
            owner: idempotency_owner.unwrap_or(merchant_id),
            key,
            fingerprint,
            recorded_at: recorded.recorded_at,
            position,
            events: vec![new],
        }))
    }

    fn same_append(&self, next: &Self) -> bool {
        (self.owner, &self.key, self.recorded_at) == (next.owner, &next.key, next.recorded_at)
            && self.position.next() == next.position
    }

    fn extend(&mut self, next: Self) {
        self.position = next.position;
        self.events.extend(next.events);
    }
}

/// The columns of `idempotency_keys`.
#[derive(Debug, Default)]
struct Rows {
    named: HashSet<(Uuid, String)>,
    owners: Vec<Uuid>,
    keys: Vec<String>,
    fingerprints: Vec<[u8; 32]>,
    resources: Vec<String>,
    statuses: Vec<Option<i16>>,
    responses: Vec<Option<String>>,
    positions: Vec<i64>,
    recorded_at: Vec<time::OffsetDateTime>,
}

impl Rows {
    fn extend(
        &mut self,
        appended: Option<Appended>,
        answer: &impl Fn(&[NewEvent], Timestamp) -> Option<NewAnswer>,
    ) {
        let Some(appended) = appended else { return };
        let name = (appended.owner.uuid(), appended.key.clone());
        if !self.named.insert(name) {
            // A request that had a second effect is answered by its first.
            return;
        }
        let answer = answer(&appended.events, appended.recorded_at);
        let status = answer.as_ref().and_then(|answer| i16::try_from(answer.status).ok());
        let (resource, body) = match answer {
            Some(NewAnswer { resource_id, body, replay_body, .. }) => {
                (resource_id, Some(replay_body.unwrap_or(body)))
            }
            None => (String::new(), None),
        };
        self.owners.push(appended.owner.uuid());
        self.keys.push(appended.key);
        self.fingerprints.push(appended.fingerprint);
        self.resources.push(resource);
        self.statuses.push(status);
        self.responses.push(body);
        self.positions.push(appended.position.number());
        self.recorded_at.push(appended.recorded_at.datetime());
    }

    async fn insert(
        &self,
        db: &mut PgConnection,
        rebuilt: &mut RebuiltKeys,
    ) -> Result<(), sqlx::Error> {
        let written: Vec<(bool, bool)> = sqlx::query_as(INSERT)
            .bind(LOG_ID)
            .bind(&self.owners)
            .bind(&self.keys)
            .bind(self.fingerprints.iter().map(<[u8; 32]>::as_slice).collect::<Vec<_>>())
            .bind(&self.resources)
            .bind(&self.statuses)
            .bind(&self.responses)
            .bind(&self.positions)
            .bind(&self.recorded_at)
            .bind(&REFUSED[..])
            .bind(CREATED)
            .fetch_all(db)
            .await?;
        let restored = written.iter().filter(|(new, _)| *new).count();
        rebuilt.restored += restored as u64;
        rebuilt.replaced += (written.len() - restored) as u64;
        rebuilt.requests += self.keys.len() as u64;
        rebuilt.unanswered += written.iter().filter(|(_, unanswered)| *unanswered).count() as u64;
        Ok(())
    }
}
