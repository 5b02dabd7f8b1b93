//! The rows of `idempotency_keys` agree with the events: an answer that says that something was made has
//! the events that made it, with the same key and fingerprint; a refusal has none; none is of the future.

use std::time::Instant;

use domain::MerchantId;
use sqlx::PgConnection;
use uuid::Uuid;

use crate::connection::{Auditor, LOG, Purpose};
use crate::courtesy::Courtesy;
use crate::facts::{MetadataFacts, RequestFacts};
use crate::pace::Pace;
use crate::verify::error::{VerifyError, reading};
use crate::verify::finding::{Check, Findings};
use crate::verify::report::{Part, Report};

/// The most keys of a statement.
const PAGE_ROWS_MAX: i64 = 20_000;
/// The status of an answer to a request that made something.
const CREATED: i16 = 201;
/// The statuses of refusals by a rule, which append nothing: unknown, in conflict, invalid.
const REFUSED: [i16; 3] = [404, 409, 422];

/// The events are read in the statement that reads the keys, so both are of one snapshot.
const PAGE: &str = "
    select k.merchant_id, k.key, k.fingerprint, k.status, k.position,
           e.merchant_id as event_merchant_id, e.metadata::text as metadata,
           coalesce((select max(position) from events where log_id = $1), 0) as last
    from (select * from idempotency_keys
          where log_id = $1 and (merchant_id, key) > ($2, $3)
          order by merchant_id, key limit $4) as k
    left join events e on e.log_id = $1 and e.position = k.position
    order by k.merchant_id, k.key";

#[derive(Debug, sqlx::FromRow)]
struct KeyRow {
    merchant_id: Uuid,
    key: String,
    fingerprint: Vec<u8>,
    status: Option<i16>,
    position: i64,
    event_merchant_id: Option<Uuid>,
    metadata: Option<String>,
    last: i64,
}

/// Goes over all rows; how many there are.
pub(crate) async fn check(
    auditor: &Auditor,
    courtesy: &Courtesy,
    report: &Report<'_>,
) -> Result<u64, VerifyError> {
    let mut db = auditor.connect(Purpose::Read).await?;
    scan(&mut db, courtesy, report).await.map_err(reading("idempotency keys"))
}

async fn scan(
    db: &mut PgConnection,
    courtesy: &Courtesy,
    report: &Report<'_>,
) -> Result<u64, sqlx::Error> {
    let (mut merchant, mut key, mut count) = (Uuid::nil(), String::new(), 0);
    let mut pace = Pace::up_to(PAGE_ROWS_MAX);
    loop {
        let started = Instant::now();
        let page: Result<Vec<KeyRow>, _> = sqlx::query_as(PAGE)
            .bind(LOG)
            .bind(merchant)
            .bind(&key)
            .bind(pace.rows())
            .fetch_all(&mut *db)
            .await;
        let page = match page {
            Ok(page) => page,
            Err(error) if pace.retry(&error) => continue,
            Err(error) => return Err(error),
        };
        pace.took(started.elapsed(), courtesy.statement_target());
        let Some(last) = page.last() else { return Ok(count) };
        (merchant, key) = (last.merchant_id, last.key.clone());
        count += u64::try_from(page.len()).unwrap_or(0);
        report.progress(Part::IdempotencyKeys, count, 0);
        let mut findings = Findings::default();
        page.iter().for_each(|row| judge(row, &mut findings));
        report.findings(findings);
        courtesy.after(&mut *db, started.elapsed()).await?;
    }
}

fn judge(row: &KeyRow, findings: &mut Findings) {
    let mut add = |expected: &str, found: &str| {
        let owner = MerchantId::from_uuid(row.merchant_id);
        let subject = format!("key {} of {owner}", row.key);
        findings.add(Check::IdempotencyKeys, row.position, subject, expected, found);
    };
    if !(0..=row.last).contains(&row.position) {
        add(&format!("a position from 0 to {}", row.last), "a position that the log does not have");
        return;
    }
    let created = row.status == Some(CREATED);
    let refused = row.status.is_some_and(|status| REFUSED.contains(&status));
    match own_request(row) {
        None if created => add("an event with this key", "none: nothing was made there"),
        Some(_) if refused => add("no event: the request was refused", "an event with this key"),
        Some(request) if request.fingerprint != row.fingerprint[..] => {
            add("the fingerprint in the event's metadata", "another fingerprint");
        }
        // Where an answer neither made nor refused something, it may well have found all done already.
        None | Some(_) => {}
    }
}

/// The request that the event at the row's position came from, if it is the one with the row's key.
fn own_request(row: &KeyRow) -> Option<RequestFacts<'_>> {
    let request = MetadataFacts::read(row.metadata.as_deref()?).ok()?.request?;
    let owner = request.owner.or(row.event_merchant_id)?;
    (request.key == row.key.as_str() && owner == row.merchant_id).then_some(request)
}
