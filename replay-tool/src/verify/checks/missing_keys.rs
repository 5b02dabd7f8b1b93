//! Events whose idempotency keys are still kept have the row of their key, with their fingerprint: else a
//! request that is sent again would have a second effect. Whose row is gone is a warning, not a
//! violation: the log is whole, and keys can be built again from it.

use domain::Timestamp;
use sqlx::PgConnection;
use uuid::Uuid;

use crate::connection::LOG;
use crate::facts::MetadataFacts;
use crate::log_rows::Row;
use crate::verify::error::{VerifyError, reading};
use crate::verify::finding::{Check, Findings};

/// How long keys are kept (72 h), less an hour in which the pruner may come while verify runs.
const KEPT_MICROS: i64 = 71 * 60 * 60 * 1_000_000;

/// Collects the keys of young events.
#[derive(Debug)]
pub(crate) struct YoungKeys {
    since: Timestamp,
}

/// The keys of a chunk's young events.
#[derive(Debug, Default)]
pub(crate) struct Keys {
    positions: Vec<i64>,
    owners: Vec<Uuid>,
    keys: Vec<String>,
    fingerprints: Vec<Vec<u8>>,
}

impl YoungKeys {
    pub(crate) fn at(now: Timestamp) -> Self {
        Self { since: Timestamp::from_micros(now.micros() - KEPT_MICROS) }
    }

    pub(crate) fn collect(&self, row: &Row<'_>, metadata: &MetadataFacts<'_>, open: &mut Keys) {
        let Some(request) = &metadata.request else { return };
        if row.recorded_at() < self.since {
            return;
        }
        open.positions.push(row.position);
        open.owners.push(request.owner.unwrap_or(row.merchant_id));
        open.keys.push(request.key.clone().into_owned());
        open.fingerprints.push(request.fingerprint.to_vec());
    }
}

/// Asks for the rows of a chunk's keys.
pub(crate) async fn look_up(db: &mut PgConnection, open: &Keys) -> Result<Findings, VerifyError> {
    let mut findings = Findings::default();
    if open.positions.is_empty() {
        return Ok(findings);
    }
    let wrong: Vec<(i64, String, bool)> = sqlx::query_as(
        "select e.position, e.key, i.key is null \
         from unnest($2::bigint[], $3::uuid[], $4::text[], $5::bytea[]) \
             as e (position, merchant_id, key, fingerprint) \
         left join idempotency_keys i \
             on i.log_id = $1 and i.merchant_id = e.merchant_id and i.key = e.key \
         where i.key is null or i.fingerprint <> e.fingerprint order by 1",
    )
    .bind(LOG)
    .bind(&open.positions)
    .bind(&open.owners)
    .bind(&open.keys)
    .bind(&open.fingerprints)
    .fetch_all(db)
    .await
    .map_err(reading("the keys of young events"))?;
    for (position, key, gone) in wrong {
        let found = if gone { "no row" } else { "a row with another fingerprint" };
        let expected = "the row of its key, with its fingerprint";
        findings.add(Check::MissingKeys, position, format!("key {key}"), expected, found);
    }
    Ok(findings)
}
