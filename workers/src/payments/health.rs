//! Saying how PSPs do, for whoever asks the query side and for who watches the metrics: each worker says what
//! it sees.

use std::time::Duration;

use domain::payments::PspName;
use gateways::{BreakerState, Gateways, PspHealth};

use super::queue::WorkQueue;

/// How often it is written.
pub(super) const REPORT_INTERVAL: Duration = Duration::from_secs(1);

const REPORT: &str = "
    insert into psp_health as h (worker, psp, breaker, calls, errors, under_way, updated_at)
    select $1, s.psp, s.breaker, s.calls, s.errors, s.under_way, log_clock()
    from unnest($2::text[], $3::text[], $4::bigint[], $5::bigint[], $6::bigint[])
        as s (psp, breaker, calls, errors, under_way)
    on conflict (worker, psp) do update
    set breaker = excluded.breaker, calls = excluded.calls, errors = excluded.errors,
        under_way = excluded.under_way, updated_at = excluded.updated_at";

#[expect(clippy::cast_precision_loss, reason = "counts of a minute are below 2^53")]
fn measure(psp: &PspName, health: &PspHealth) {
    let psp = psp.to_string();
    let open = u8::from(health.breaker != BreakerState::Closed);
    metrics::gauge!("runut_psp_breaker_open", "psp" => psp.clone()).set(f64::from(open));
    metrics::gauge!("runut_psp_calls_recent", "psp" => psp.clone()).set(health.calls as f64);
    metrics::gauge!("runut_psp_errors_recent", "psp" => psp.clone()).set(health.errors as f64);
    metrics::gauge!("runut_psp_calls_under_way", "psp" => psp).set(health.under_way as f64);
}

/// Says how PSPs do now.
pub(super) async fn report(queue: &WorkQueue, gateways: &Gateways) -> Result<(), sqlx::Error> {
    let health = gateways.health();
    for (psp, health) in &health {
        measure(psp, health);
    }
    let number = |count: u64| i64::try_from(count).unwrap_or(i64::MAX);
    let under_way = |count: usize| i64::try_from(count).unwrap_or(i64::MAX);
    sqlx::query(REPORT)
        .bind(queue.worker())
        .bind(health.iter().map(|(psp, _)| psp.as_str()).collect::<Vec<_>>())
        .bind(health.iter().map(|(_, health)| health.breaker.name()).collect::<Vec<_>>())
        .bind(health.iter().map(|(_, health)| number(health.calls)).collect::<Vec<_>>())
        .bind(health.iter().map(|(_, health)| number(health.errors)).collect::<Vec<_>>())
        .bind(health.iter().map(|(_, health)| under_way(health.under_way)).collect::<Vec<_>>())
        .execute(queue.pool())
        .await
        .map(|_| ())
}
