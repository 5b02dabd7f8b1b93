//! The tables `trial_balance` and `trial_balance_marks`: the sums now, and as they were.

use std::collections::BTreeMap;

use domain::ledger::Direction;
use domain::{Currency, MerchantId};
use event_store::log::Position;
use sqlx::PgConnection;
use uuid::Uuid;

use crate::projection::ApplyError;

/// How many positions of the log a segment has. The sums at any position are those at the end of a segment
/// and what at most so many events added: some milliseconds to add up, and a row in as many events to keep.
pub const TRIAL_BALANCE_SEGMENT: i64 = 1_024;

/// What names a row of the trial balance.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct TrialBalanceKey {
    pub(super) ledger: MerchantId,
    pub(super) currency: Currency,
    pub(super) kind: &'static str,
}

/// What the batch adds to a row of the trial balance.
#[derive(Debug, Clone, Default)]
pub(super) struct TrialBalanceChange {
    debits: i128,
    credits: i128,
    position: Position,
    first_segment: Option<i64>,
    /// What it has added by the end of each segment that it changes the row in, but for the last.
    ended: Vec<(i64, i128, i128)>,
}

fn segment(position: Position) -> i64 {
    position.number() / TRIAL_BALANCE_SEGMENT
}

impl TrialBalanceChange {
    pub(super) fn add(&mut self, direction: Direction, minor: i64, position: Position) {
        match self.first_segment {
            None => self.first_segment = Some(segment(position)),
            Some(_) if segment(position) > segment(self.position) => {
                self.ended.push((segment(self.position), self.debits, self.credits));
            }
            Some(_) => {}
        }
        match direction {
            Direction::Debit => self.debits += i128::from(minor),
            Direction::Credit => self.credits += i128::from(minor),
        }
        self.position = position;
    }
}

type Changes = BTreeMap<TrialBalanceKey, TrialBalanceChange>;

/// What a row was at the end of the segment that changed it last, where that is an earlier one; and what it is
/// at the end of segments within the batch. Each row is looked up by its key.
const MARK: &str = "
    insert into trial_balance_marks (ledger, currency, type, segment, debits_posted, credits_posted)
    select m.ledger, m.currency, m.type, coalesce(m.segment, t.position / $7),
        coalesce(t.debits_posted, 0) + m.debits::numeric,
        coalesce(t.credits_posted, 0) + m.credits::numeric
    from unnest($1::uuid[], $2::text[], $3::text[], $4::bigint[], $5::text[], $6::text[],
        $8::bigint[])
        as m (ledger, currency, type, segment, debits, credits, before)
    left join lateral (
        select * from trial_balance as t
        where t.ledger = m.ledger and t.currency = m.currency and t.type = m.type offset 0
    ) as t on true
    where m.segment is not null or t.position / $7 < m.before";

/// Sends sums as texts: they may exceed 64 bits.
const ADD: &str = "
    insert into trial_balance (ledger, currency, type, debits_posted, credits_posted, position)
    select ledger, currency, type, debits::numeric, credits::numeric, position
    from unnest($1::uuid[], $2::text[], $3::text[], $4::text[], $5::text[], $6::bigint[])
        as change (ledger, currency, type, debits, credits, position)
    on conflict (ledger, currency, type) do update set
        debits_posted = trial_balance.debits_posted + excluded.debits_posted,
        credits_posted = trial_balance.credits_posted + excluded.credits_posted,
        position = excluded.position";

/// Adds what the batch posted.
pub(super) async fn add(db: &mut PgConnection, changes: &Changes) -> Result<(), ApplyError> {
    if changes.is_empty() {
        return Ok(());
    }
    mark(&mut *db, changes).await?;
    let keys = || changes.keys();
    let sums = || changes.values();
    sqlx::query(ADD)
        .bind(keys().map(|key| key.ledger.uuid()).collect::<Vec<_>>())
        .bind(keys().map(|key| key.currency.code()).collect::<Vec<_>>())
        .bind(keys().map(|key| key.kind).collect::<Vec<_>>())
        .bind(sums().map(|change| change.debits.to_string()).collect::<Vec<_>>())
        .bind(sums().map(|change| change.credits.to_string()).collect::<Vec<_>>())
        .bind(sums().map(|change| change.position.number()).collect::<Vec<_>>())
        .execute(db)
        .await?;
    Ok(())
}

#[derive(Default)]
struct Marks {
    ledgers: Vec<Uuid>,
    currencies: Vec<&'static str>,
    kinds: Vec<&'static str>,
    segments: Vec<Option<i64>>,
    debits: Vec<String>,
    credits: Vec<String>,
    before: Vec<Option<i64>>,
}

impl Marks {
    fn push(&mut self, key: &TrialBalanceKey, segment: Option<i64>, before: Option<i64>) {
        self.ledgers.push(key.ledger.uuid());
        self.currencies.push(key.currency.code());
        self.kinds.push(key.kind);
        self.segments.push(segment);
        self.before.push(before);
    }

    fn sums(&mut self, debits: i128, credits: i128) {
        self.debits.push(debits.to_string());
        self.credits.push(credits.to_string());
    }
}

async fn mark(db: &mut PgConnection, changes: &Changes) -> Result<(), ApplyError> {
    let mut marks = Marks::default();
    for (key, change) in changes {
        marks.push(key, None, change.first_segment);
        marks.sums(0, 0);
        for (segment, debits, credits) in &change.ended {
            marks.push(key, Some(*segment), None);
            marks.sums(*debits, *credits);
        }
    }
    sqlx::query(MARK)
        .bind(marks.ledgers)
        .bind(marks.currencies)
        .bind(marks.kinds)
        .bind(marks.segments)
        .bind(marks.debits)
        .bind(marks.credits)
        .bind(TRIAL_BALANCE_SEGMENT)
        .bind(marks.before)
        .execute(db)
        .await?;
    Ok(())
}
