//! Versions rise with position: what a stream's event builds on was recorded before it; and all of a
//! stream is one merchant's.
//!
//! Most events of a stream come shortly after each other, so the last version of the streams seen lately
//! is kept; where the one before is not among them, the index is asked.

use std::collections::HashMap;
use std::hash::{BuildHasher, RandomState};

use domain::MerchantId;
use sqlx::PgConnection;
use uuid::Uuid;

use crate::connection::LOG;
use crate::log_rows::Row;
use crate::verify::Scope;
use crate::verify::error::{VerifyError, reading};
use crate::verify::finding::{Check, Findings};

/// The most streams of a generation; two are kept: about 25 MiB.
const STREAMS_KEPT: usize = 200_000;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Last {
    version: i64,
    merchant: Uuid,
}

/// The streams seen lately, by a keyed hash of their names: a collision can only cost a look-up.
#[derive(Debug, Default)]
pub(crate) struct StreamOrder {
    names: RandomState,
    recent: HashMap<u64, Last>,
    older: HashMap<u64, Last>,
}

/// Events whose predecessor was not seen lately.
#[derive(Debug, Default)]
pub(crate) struct Predecessors {
    positions: Vec<i64>,
    streams: Vec<String>,
    versions: Vec<i64>,
    merchants: Vec<Uuid>,
}

impl StreamOrder {
    pub(crate) fn check(&mut self, row: &Row<'_>, open: &mut Predecessors) {
        let name = self.names.hash_one(row.stream_id);
        if row.version > 1 {
            let wanted = Last { version: row.version - 1, merchant: row.merchant_id };
            let seen = self.recent.get(&name).or_else(|| self.older.get(&name));
            if seen != Some(&wanted) {
                open.positions.push(row.position);
                open.streams.push(row.stream_id.to_owned());
                open.versions.push(wanted.version);
                open.merchants.push(wanted.merchant);
            }
        }
        if self.recent.len() >= STREAMS_KEPT {
            self.older = std::mem::take(&mut self.recent);
            self.recent.reserve(STREAMS_KEPT);
        }
        self.recent.insert(name, Last { version: row.version, merchant: row.merchant_id });
    }
}

/// Position, stream, the version before and merchant of an event; position and merchant of that version.
type Unordered = (i64, String, i64, Uuid, Option<i64>, Option<Uuid>);

/// Asks the index for the predecessors of a chunk.
pub(crate) async fn look_up(
    db: &mut PgConnection,
    open: &Predecessors,
    scope: Scope,
) -> Result<Findings, VerifyError> {
    let mut findings = Findings::default();
    if open.positions.is_empty() {
        return Ok(findings);
    }
    let wrong: Vec<Unordered> = sqlx::query_as(
        "select e.position, e.stream_id, e.version, e.merchant_id, p.position, p.merchant_id \
         from unnest($2::bigint[], $3::text[], $4::bigint[], $5::uuid[]) \
             as e (position, stream_id, version, merchant_id) \
         left join events p \
             on p.log_id = $1 and p.stream_id = e.stream_id and p.version = e.version \
         where p.position is null or p.position >= e.position or p.merchant_id <> e.merchant_id",
    )
    .bind(LOG)
    .bind(&open.positions)
    .bind(&open.streams)
    .bind(&open.versions)
    .bind(&open.merchants)
    .fetch_all(db)
    .await
    .map_err(reading("the events before others in their streams"))?;
    for (position, stream, version, merchant, before, other) in wrong {
        match (before, other) {
            (Some(before), _) if before >= position => {
                let expected = format!("version {version} of the stream at an earlier position");
                let found = format!("it is at {before}");
                findings.add(Check::StreamOrder, position, stream, expected, found);
            }
            (Some(_), Some(other)) => {
                let named = |id| format!("merchant {}", MerchantId::from_uuid(id));
                let expected = format!("{}, as in version {version}", named(other));
                findings.add(Check::Merchant, position, stream, expected, named(merchant));
            }
            // The scan of the whole index tells it.
            _ if scope.whole => {}
            _ => {
                let found = format!("version {}", version + 1);
                let expected = format!("version {version} before it");
                findings.add(Check::StreamVersions, position, stream, expected, found);
            }
        }
    }
    Ok(findings)
}
