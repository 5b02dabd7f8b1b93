//! The tables `trial_balance` and `trial_balance_marks`: the sums now, and as they were.

use std::collections::BTreeMap;
use std::ops::{AddAssign, SubAssign};

use domain::ledger::Direction;
use domain::{Currency, MerchantId};
use event_store::log::{Position, WideMinor};
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

/// In place of a ledger in both tables: all ledgers together. No ledger has this id, since those of merchants
/// begin with the time they were made at.
pub const ALL_LEDGERS: Uuid = Uuid::max();

/// What is added to both sides, in minor units.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Sums {
    pub(super) debits: i128,
    pub(super) credits: i128,
}

impl Sums {
    pub(super) fn of(direction: Direction, minor: i64) -> Self {
        let minor = i128::from(minor);
        match direction {
            Direction::Debit => Self { debits: minor, credits: 0 },
            Direction::Credit => Self { debits: 0, credits: minor },
        }
    }
}

impl AddAssign for Sums {
    fn add_assign(&mut self, more: Self) {
        self.debits += more.debits;
        self.credits += more.credits;
    }
}

impl SubAssign for Sums {
    fn sub_assign(&mut self, less: Self) {
        self.debits -= less.debits;
        self.credits -= less.credits;
    }
}

/// What the batch adds to a row of the trial balance, by the segments that it does so in.
#[derive(Debug, Clone, Default)]
pub(super) struct TrialBalanceChange {
    segments: BTreeMap<i64, Sums>,
    position: Position,
}

fn segment(position: Position) -> i64 {
    position.number() / TRIAL_BALANCE_SEGMENT
}

impl TrialBalanceChange {
    pub(super) fn add(&mut self, direction: Direction, minor: i64, position: Position) {
        *self.segments.entry(segment(position)).or_default() += Sums::of(direction, minor);
        self.position = position;
    }

    fn merge(&mut self, other: &Self) {
        for (segment, sums) in &other.segments {
            *self.segments.entry(*segment).or_default() += *sums;
        }
        self.position = self.position.max(other.position);
    }

    /// The first segment that it changes the row in.
    fn first_segment(&self) -> Option<i64> {
        self.segments.first_key_value().map(|(segment, _)| *segment)
    }

    /// What it has added by the end of each of its segments.
    fn by_the_end_of_each(&self) -> impl Iterator<Item = (i64, Sums)> {
        self.segments.iter().scan(Sums::default(), |sums, (segment, more)| {
            *sums += *more;
            Some((*segment, *sums))
        })
    }

    /// What it adds in all.
    fn sums(&self) -> Sums {
        self.by_the_end_of_each().last().map(|(_, sums)| sums).unwrap_or_default()
    }
}

type Changes = BTreeMap<TrialBalanceKey, TrialBalanceChange>;

/// The changes of all ledgers together.
fn of_all_ledgers(changes: &Changes) -> Changes {
    let mut all = Changes::new();
    for (key, change) in changes {
        let key = TrialBalanceKey { ledger: MerchantId::from_uuid(ALL_LEDGERS), ..*key };
        all.entry(key).or_default().merge(change);
    }
    all
}

/// What a row was at the end of the segment that changed it last, where that is an earlier one; and what it is
/// at the end of segments within the batch. Each row is looked up by its key.
const MARK: &str = "
    insert into trial_balance_marks (ledger, currency, type, segment, debits_posted, credits_posted)
    select m.ledger, m.currency, m.type, coalesce(m.segment, t.position / $7),
        coalesce(t.debits_posted, 0) + m.debits, coalesce(t.credits_posted, 0) + m.credits
    from unnest($1::uuid[], $2::text[], $3::text[], $4::bigint[], $5::numeric[], $6::numeric[],
        $8::bigint[])
        as m (ledger, currency, type, segment, debits, credits, before)
    left join lateral (
        select * from trial_balance as t
        where t.ledger = m.ledger and t.currency = m.currency and t.type = m.type offset 0
    ) as t on true
    where m.segment is not null or t.position / $7 < m.before";

const ADD: &str = "
    insert into trial_balance (ledger, currency, type, debits_posted, credits_posted, position)
    select * from unnest($1::uuid[], $2::text[], $3::text[], $4::numeric[], $5::numeric[],
        $6::bigint[])
    on conflict (ledger, currency, type) do update set
        debits_posted = trial_balance.debits_posted + excluded.debits_posted,
        credits_posted = trial_balance.credits_posted + excluded.credits_posted,
        position = excluded.position";

/// Adds what the batch posted.
pub(super) async fn add(db: &mut PgConnection, changes: &Changes) -> Result<(), ApplyError> {
    if changes.is_empty() {
        return Ok(());
    }
    let all = of_all_ledgers(changes);
    let changes: Vec<_> = changes.iter().chain(&all).collect();
    mark(&mut *db, &changes).await?;
    let keys = || changes.iter().map(|(key, _)| key);
    let sums = || changes.iter().map(|(_, change)| change.sums());
    sqlx::query(ADD)
        .bind(keys().map(|key| key.ledger.uuid()).collect::<Vec<_>>())
        .bind(keys().map(|key| key.currency.code()).collect::<Vec<_>>())
        .bind(keys().map(|key| key.kind).collect::<Vec<_>>())
        .bind(sums().map(|sums| WideMinor(sums.debits)).collect::<Vec<_>>())
        .bind(sums().map(|sums| WideMinor(sums.credits)).collect::<Vec<_>>())
        .bind(changes.iter().map(|(_, change)| change.position.number()).collect::<Vec<_>>())
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
    debits: Vec<WideMinor>,
    credits: Vec<WideMinor>,
    before: Vec<Option<i64>>,
}

impl Marks {
    fn push(
        &mut self,
        key: &TrialBalanceKey,
        segment: Option<i64>,
        before: Option<i64>,
        sums: Sums,
    ) {
        self.ledgers.push(key.ledger.uuid());
        self.currencies.push(key.currency.code());
        self.kinds.push(key.kind);
        self.segments.push(segment);
        self.before.push(before);
        self.debits.push(WideMinor(sums.debits));
        self.credits.push(WideMinor(sums.credits));
    }
}

async fn mark(
    db: &mut PgConnection,
    changes: &[(&TrialBalanceKey, &TrialBalanceChange)],
) -> Result<(), ApplyError> {
    let mut marks = Marks::default();
    for (key, change) in changes {
        marks.push(key, None, change.first_segment(), Sums::default());
        // What it is at the end of the last is the row itself, until a later segment changes it.
        let ended = change.segments.len().saturating_sub(1);
        for (segment, sums) in change.by_the_end_of_each().take(ended) {
            marks.push(key, Some(segment), None, sums);
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
