//! The rows of `account_balances` are the sums of what was posted, and of what was held and not released
//! since: added up in SQL, by key ranges of the log, independently of every fold in Rust.
//!
//! Rows move while the log grows. So a page of rows is read together with the last position of the log, in
//! one snapshot; then the postings are added up to exactly that position, and compared. The next page is
//! read later and compared at a later position. What is added up is kept for each account, in partitions
//! that fit into memory, and needs no table of its own: this works on a standby too.

use std::collections::HashMap;
use std::fmt;
use std::time::Instant;

use event_store::log::WideMinor;
use futures::future::try_join;
use sqlx::PgConnection;
use uuid::Uuid;

use super::accounts::{ByAccount, Partition, partitions};
use crate::connection::{Auditor, LOG, Purpose, data_refused, interrupted};
use crate::courtesy::Courtesy;
use crate::facts::typed_id;
use crate::pace::Pace;
use crate::verify::Scope;
use crate::verify::error::{VerifyError, reading};
use crate::verify::finding::{Check, Findings, account as named};
use crate::verify::report::{Part, Report, number};

/// The most positions that one statement adds up: some tenths of a second's work.
const SUMMED_EVENTS_MAX: i64 = 20_000;
/// The most rows of `account_balances` that are compared at one position.
const PAGE_ROWS_MAX: i64 = 20_000;
/// The most accounts that are asked for at once.
const ASKED_ROWS_MAX: usize = 5_000;

/// The types are told apart before a posting is looked into: the first test costs next to nothing.
const SUM: &str = "
    select posting ->> 'account_id',
           coalesce(sum((posting ->> 'amount_minor')::bigint)
               filter (where event_type = 'ledger.entry_posted'
                   and posting ->> 'direction' = 'debit'), 0),
           coalesce(sum((posting ->> 'amount_minor')::bigint)
               filter (where event_type = 'ledger.entry_posted'
                   and posting ->> 'direction' = 'credit'), 0),
           coalesce(sum((posting ->> 'amount_minor')::bigint * held)
               filter (where held <> 0 and posting ->> 'direction' = 'debit'), 0),
           coalesce(sum((posting ->> 'amount_minor')::bigint * held)
               filter (where held <> 0 and posting ->> 'direction' = 'credit'), 0),
           max(position)
    from (
        select position, event_type, data,
               case event_type when 'ledger.entry_posted' then 0
                   when 'ledger.hold_created' then 1 else -1 end as held
        from events
        where log_id = $1 and position > $2 and position <= $3
            and event_type in ('ledger.entry_posted', 'ledger.hold_created', 'ledger.hold_posted',
                'ledger.hold_voided', 'ledger.hold_expired')
    ) as moving,
    json_array_elements(data -> case held when -1 then 'released' else 'postings' end) as posting
    group by 1";

/// One snapshot: where the log ends, and the rows as they are there.
const PAGE: &str = "
    select coalesce((select max(position) from events where log_id = $1), 0) as last,
           b.account_id, b.debits_posted, b.credits_posted, b.debits_pending, b.credits_pending,
           b.position
    from (select 1) as one
    left join lateral (
        select * from account_balances where log_id = $1 and account_id >= $2
        order by account_id limit $3) as b on true
    order by b.account_id";

/// What the events add up to that post to an account, or hold or release something of it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
struct Totals {
    debits: i128,
    credits: i128,
    debits_pending: i128,
    credits_pending: i128,
    /// The last position that moved one of them.
    position: i64,
}

#[derive(Debug, Clone, Copy, Default)]
struct Sums {
    totals: Totals,
    /// A row was compared with it.
    compared: bool,
}

#[derive(Debug, sqlx::FromRow)]
struct BalanceRow {
    last: i64,
    account_id: Option<Uuid>,
    debits_posted: Option<WideMinor>,
    credits_posted: Option<WideMinor>,
    debits_pending: Option<WideMinor>,
    credits_pending: Option<WideMinor>,
    position: Option<i64>,
}

/// Compares all rows; how many events were added up.
pub(crate) async fn check(
    auditor: &Auditor,
    scope: Scope,
    courtesy: &Courtesy,
    report: &Report<'_>,
) -> Result<u64, VerifyError> {
    let mut db = auditor.connect(Purpose::Read).await?;
    let other = auditor.connect(Purpose::Read).await?;
    let of = partitions(&mut db, scope, courtesy).await?;
    let mut comparison = Comparison {
        db,
        other,
        courtesy,
        pace: Pace::up_to(SUMMED_EVENTS_MAX),
        partition: Partition { index: 0, of },
        sums: HashMap::default(),
        at: 0,
        total: number(scope.to).saturating_mul(of),
        done: 0,
    };
    for index in 0..of {
        comparison.partition = Partition { index, of };
        comparison.sums.clear();
        comparison.at = 0;
        comparison.partition(report).await.map_err(reading("account balances"))?;
    }
    Ok(comparison.done)
}

struct Comparison<'c> {
    db: PgConnection,
    /// The second half of each range is added up at the same time.
    other: PgConnection,
    courtesy: &'c Courtesy,
    /// How many events each of them adds up with a statement.
    pace: Pace,
    partition: Partition,
    sums: ByAccount<Sums>,
    /// How far the events are added up.
    at: i64,
    total: u64,
    done: u64,
}

impl Comparison<'_> {
    async fn partition(&mut self, report: &Report<'_>) -> Result<(), sqlx::Error> {
        let end = Partition::start(self.partition.index + 1, self.partition.of);
        let mut from = Partition::start(self.partition.index, self.partition.of);
        loop {
            let started = Instant::now();
            let page: Vec<BalanceRow> = sqlx::query_as(PAGE)
                .bind(LOG)
                .bind(Uuid::from_u128(from))
                .bind(PAGE_ROWS_MAX)
                .fetch_all(&mut self.db)
                .await?;
            self.courtesy.worked(started.elapsed());
            let last = page.first().map_or(0, |row| row.last);
            self.add_up(last, report).await?;
            let mut findings = Findings::default();
            let inside = |id: &Uuid| self.partition.holds(*id);
            let rows = page.iter().filter(|row| row.account_id.as_ref().is_some_and(inside));
            let seen: Vec<Uuid> = rows.clone().filter_map(|row| row.account_id).collect();
            for row in rows {
                compare(&mut self.sums, row, &mut findings);
            }
            report.findings(findings);
            let full = seen.len() == usize::try_from(PAGE_ROWS_MAX).unwrap_or(usize::MAX);
            match seen.last().and_then(|id| id.as_u128().checked_add(1)) {
                Some(next) if full && next < end => from = next,
                _ => break,
            }
        }
        self.without_row(report).await
    }

    /// Adds the postings up to `to`, two ranges at a time.
    async fn add_up(&mut self, to: i64, report: &Report<'_>) -> Result<(), sqlx::Error> {
        while self.at < to {
            let started = Instant::now();
            let middle = to.min(self.at + self.pace.rows());
            let end = to.min(middle + self.pace.rows());
            let (first, second) =
                try_join(sums(&mut self.db, self.at, middle), sums(&mut self.other, middle, end))
                    .await?;
            for (account, moved) in first.into_iter().chain(second) {
                if self.partition.holds(account) {
                    let sums = self.sums.entry(account).or_default();
                    sums.totals = sums.totals.plus(&moved);
                }
            }
            self.done += number(end - self.at);
            self.at = end;
            report.progress(Part::Balances, self.done, self.total);
            self.pace.took(started.elapsed(), self.courtesy.statement_target());
            // Two connections were at work.
            self.courtesy.after(&mut self.db, 2 * started.elapsed()).await?;
        }
        Ok(())
    }

    /// Accounts that something moved and that no row was compared with, unless the row was written since.
    async fn without_row(&mut self, report: &Report<'_>) -> Result<(), sqlx::Error> {
        let lonely: Vec<Uuid> =
            self.sums.iter().filter(|(_, sums)| !sums.compared).map(|(id, _)| *id).collect();
        for asked in lonely.chunks(ASKED_ROWS_MAX) {
            let started = Instant::now();
            let missing: Vec<Uuid> = sqlx::query_scalar(
                "select asked.id from unnest($2::uuid[]) as asked (id) \
                 left join account_balances b on b.log_id = $1 and b.account_id = asked.id \
                 where b.account_id is null order by 1",
            )
            .bind(LOG)
            .bind(asked)
            .fetch_all(&mut self.db)
            .await?;
            let mut findings = Findings::default();
            for id in missing {
                let sums = self.sums.get(&id).copied().unwrap_or_default();
                let expected = sums.totals.to_string();
                findings.add(Check::Balances, None, named(id), expected, "no row");
            }
            report.findings(findings);
            self.courtesy.after(&mut self.db, started.elapsed()).await?;
        }
        Ok(())
    }
}

type Sum = (Uuid, Totals);
/// Account, debits and credits, posted and held, and the last position.
type SumRow = (Option<String>, WideMinor, WideMinor, WideMinor, WideMinor, i64);

impl Totals {
    fn plus(self, other: &Self) -> Self {
        Self {
            debits: self.debits + other.debits,
            credits: self.credits + other.credits,
            debits_pending: self.debits_pending + other.debits_pending,
            credits_pending: self.credits_pending + other.credits_pending,
            position: self.position.max(other.position),
        }
    }
}

/// The columns of a row, as findings show them.
impl fmt::Display for Totals {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { debits, credits, debits_pending, credits_pending, position } = self;
        write!(
            f,
            "debits {debits}, credits {credits}, pending {debits_pending} and {credits_pending}, \
             last moved at {position}"
        )
    }
}

/// The postings of a range, added up for each account. A range that takes too long, or holds something
/// that is no entry, is split; an event that SQL cannot read was found by the pass over the events.
async fn sums(db: &mut PgConnection, after: i64, to: i64) -> Result<Vec<Sum>, sqlx::Error> {
    let mut sums = Vec::new();
    let mut ranges = vec![(after, to)];
    while let Some((after, to)) = ranges.pop() {
        if after >= to {
            continue;
        }
        let summed: Result<Vec<SumRow>, _> =
            sqlx::query_as(SUM).bind(LOG).bind(after).bind(to).fetch_all(&mut *db).await;
        match summed {
            Ok(rows) => sums.extend(rows.into_iter().filter_map(sum)),
            Err(error) if to - after > 1 && (interrupted(&error) || data_refused(&error)) => {
                let middle = after + (to - after) / 2;
                ranges.extend([(middle, to), (after, middle)]);
            }
            Err(error) if data_refused(&error) => {}
            Err(error) => return Err(error),
        }
    }
    Ok(sums)
}

/// Accounts that have no id were found by the pass over the events.
fn sum(
    (account, debits, credits, debits_pending, credits_pending, position): SumRow,
) -> Option<Sum> {
    let account = typed_id("acc_", &account?)?;
    let totals = Totals {
        debits: debits.into(),
        credits: credits.into(),
        debits_pending: debits_pending.into(),
        credits_pending: credits_pending.into(),
        position,
    };
    Some((account, totals))
}

fn compare(sums: &mut ByAccount<Sums>, row: &BalanceRow, findings: &mut Findings) {
    let Some(id) = row.account_id else { return };
    let column = |value: Option<WideMinor>| value.unwrap_or_default().into();
    let found = Totals {
        debits: column(row.debits_posted),
        credits: column(row.credits_posted),
        debits_pending: column(row.debits_pending),
        credits_pending: column(row.credits_pending),
        position: row.position.unwrap_or_default(),
    };
    let wanted = match sums.get_mut(&id) {
        Some(sums) => {
            sums.compared = true;
            if sums.totals == found {
                return;
            }
            sums.totals.to_string()
        }
        None => "no row: nothing was posted to it or held".to_owned(),
    };
    findings.add(Check::Balances, row.position, named(id), wanted, found.to_string());
}
