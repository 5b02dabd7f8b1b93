//! The limit: the sequencer's statement with rows made beforehand, one connection, nothing else.

use std::time::Instant;

use event_store::{PreparedBatches, RandomIds, SystemClock};

use super::run_name;
use crate::entries::Accounts;
use crate::figures::{Latencies, Tally};
use crate::log_database::LogDatabase;

/// One in so many of the statements comes first and is not counted, as the first second of callers is not.
const LEAD_SHARE: usize = 5;

/// `batches` statements, one after the other, of `batch` entries each. Their rows are kept in memory.
pub(super) async fn measure(
    database: &LogDatabase,
    accounts: &Accounts,
    batch: usize,
    batches: usize,
) -> anyhow::Result<Tally> {
    let before = database.events().await?;
    let run = run_name("limit", before);
    let requests: Result<Vec<Vec<_>>, _> = (0..batches)
        .map(|b| (0..batch).map(|n| accounts.request(&run, b * batch + n)).collect())
        .collect();
    let mut db = database.connect_to_append().await?;
    let mut prepared =
        PreparedBatches::prepare(&mut db, &SystemClock, &RandomIds, requests?).await?;
    let mut latencies = Latencies::new()?;
    for _ in 0..batches / LEAD_SHARE {
        prepared.send_next(&mut db, &SystemClock).await?;
    }
    let (started, mut done) = (Instant::now(), 0);
    loop {
        let sent = Instant::now();
        let Some(events) = prepared.send_next(&mut db, &SystemClock).await? else { break };
        latencies.record(sent.elapsed());
        done += u64::try_from(events)?;
    }
    Ok(Tally { log_events: before, done, errors: 0, took: started.elapsed(), latencies })
}
