//! The tables `dated_postings`, `dated_sums` and `dated_ledger_sums`: what takes effect at a time of its own.

use std::collections::{BTreeMap, HashMap};

use domain::ledger::Posting;
use domain::{AccountId, Event, Timestamp};
use event_store::log::{Position, WideMinor};
use sqlx::PgConnection;
use uuid::Uuid;

use super::trial_balance::{Sums, TrialBalanceKey};
use crate::projection::{AppliedEvent, ApplyError};

/// The widths of the sums, in seconds: days, hours, minutes, seconds, and 0 for every instant. So a sum up to any
/// time adds up the days before it, at most 23 hours, 59 minutes and 59 seconds of its own day, and the instants
/// of its second: what takes effect at the same microsecond, such as all that came late for a day, is one.
const DATED_SUM_WIDTHS: [i32; 5] = [86_400, 3_600, 60, 1, 0];

const MICROS: i64 = 1_000_000;

#[derive(Debug)]
struct DatedRow {
    position: Position,
    index: i16,
    posting: Posting,
    effective_at: Timestamp,
    after: Sums,
}

/// Rows of all three tables.
#[derive(Debug, Default)]
pub(super) struct DatedRows {
    /// Of all dated postings of an account.
    totals: HashMap<AccountId, Sums>,
    rows: Vec<DatedRow>,
    sums: BTreeMap<(AccountId, i32, Timestamp), Sums>,
    ledger_sums: BTreeMap<(TrialBalanceKey, i32, Timestamp), Sums>,
}

impl DatedRows {
    pub(super) fn after(totals: HashMap<AccountId, Sums>) -> Self {
        Self { totals, ..Self::default() }
    }

    pub(super) fn push(
        &mut self,
        applied: &AppliedEvent,
        key: TrialBalanceKey,
        index: usize,
        posting: &Posting,
        effective_at: Timestamp,
    ) {
        let account = posting.account_id;
        let moved = Sums::of(posting.direction, posting.amount.minor());
        let total = self.totals.entry(account).or_default();
        *total += moved;
        let after = *total;
        for width in DATED_SUM_WIDTHS {
            let starts_at = start_of(effective_at, width);
            *self.sums.entry((account, width, starts_at)).or_default() += moved;
            *self.ledger_sums.entry((key, width, starts_at)).or_default() += moved;
            let recorded = start_of(applied.recorded_at, width);
            *self.ledger_sums.entry((key, width, recorded)).or_default() -= moved;
        }
        // An entry's postings are fewer than an i16 can count.
        let index = i16::try_from(index).unwrap_or(i16::MAX);
        let position = applied.position;
        self.rows.push(DatedRow { position, index, posting: *posting, effective_at, after });
    }
}

fn start_of(at: Timestamp, width_seconds: i32) -> Timestamp {
    let width = (i64::from(width_seconds) * MICROS).max(1);
    Timestamp::from_micros(at.micros().div_euclid(width) * width)
}

/// The accounts that dated entries of the batch post to.
fn named(events: &[AppliedEvent]) -> Vec<Uuid> {
    let mut accounts: Vec<Uuid> = Vec::new();
    for applied in events {
        if let Event::EntryPosted(event) = &*applied.event
            && event.effective_at.is_some()
        {
            accounts.extend(event.postings.iter().map(|posting| posting.account_id.uuid()));
        }
    }
    accounts.sort_unstable();
    accounts.dedup();
    accounts
}

const LAST: &str = "
    select named.account_id, last.debits_after_minor, last.credits_after_minor
    from unnest($1::uuid[]) as named (account_id)
    cross join lateral (
        select debits_after_minor, credits_after_minor from dated_postings
        where account_id = named.account_id
        order by position desc, posting_index desc limit 1
    ) as last";

/// The sums so far of the accounts that the batch needs them of.
pub(super) async fn read(
    db: &mut PgConnection,
    events: &[AppliedEvent],
) -> Result<HashMap<AccountId, Sums>, ApplyError> {
    let named = named(events);
    if named.is_empty() {
        return Ok(HashMap::new());
    }
    let rows: Vec<(Uuid, WideMinor, WideMinor)> =
        sqlx::query_as(LAST).bind(named).fetch_all(db).await?;
    let totals = rows.into_iter().map(|(id, WideMinor(debits), WideMinor(credits))| {
        (AccountId::from_uuid(id), Sums { debits, credits })
    });
    Ok(totals.collect())
}

const INSERT: &str = "
    insert into dated_postings (account_id, position, posting_index, effective_at, direction,
        amount_minor, debits_after_minor, credits_after_minor)
    select * from unnest($1::uuid[], $2::bigint[], $3::smallint[], $4::timestamptz[], $5::text[],
        $6::bigint[], $7::numeric[], $8::numeric[])";

const ADD: &str = "
    insert into dated_sums (account_id, width_seconds, starts_at, debits_minor, credits_minor)
    select * from unnest($1::uuid[], $2::integer[], $3::timestamptz[], $4::numeric[], $5::numeric[])
    on conflict (account_id, width_seconds, starts_at) do update set
        debits_minor = dated_sums.debits_minor + excluded.debits_minor,
        credits_minor = dated_sums.credits_minor + excluded.credits_minor";

const ADD_TO_LEDGERS: &str = "
    insert into dated_ledger_sums (ledger, width_seconds, starts_at, currency, type, debits, credits)
    select * from unnest($1::uuid[], $2::integer[], $3::timestamptz[], $4::text[], $5::text[],
        $6::numeric[], $7::numeric[])
    on conflict (ledger, width_seconds, starts_at, currency, type) do update set
        debits = dated_ledger_sums.debits + excluded.debits,
        credits = dated_ledger_sums.credits + excluded.credits";

/// Inserts the postings, and adds them to their sums.
pub(super) async fn write(db: &mut PgConnection, dated: &DatedRows) -> Result<(), ApplyError> {
    if dated.rows.is_empty() {
        return Ok(());
    }
    let rows = || dated.rows.iter();
    sqlx::query(INSERT)
        .bind(rows().map(|row| row.posting.account_id.uuid()).collect::<Vec<_>>())
        .bind(rows().map(|row| row.position.number()).collect::<Vec<_>>())
        .bind(rows().map(|row| row.index).collect::<Vec<_>>())
        .bind(rows().map(|row| row.effective_at.datetime()).collect::<Vec<_>>())
        .bind(rows().map(|row| row.posting.direction.name()).collect::<Vec<_>>())
        .bind(rows().map(|row| row.posting.amount.minor()).collect::<Vec<_>>())
        .bind(rows().map(|row| WideMinor(row.after.debits)).collect::<Vec<_>>())
        .bind(rows().map(|row| WideMinor(row.after.credits)).collect::<Vec<_>>())
        .execute(&mut *db)
        .await?;
    let sums = || dated.sums.iter();
    sqlx::query(ADD)
        .bind(sums().map(|((account, ..), _)| account.uuid()).collect::<Vec<_>>())
        .bind(sums().map(|((_, width, _), _)| *width).collect::<Vec<_>>())
        .bind(sums().map(|((.., starts), _)| starts.datetime()).collect::<Vec<_>>())
        .bind(sums().map(|(_, sum)| WideMinor(sum.debits)).collect::<Vec<_>>())
        .bind(sums().map(|(_, sum)| WideMinor(sum.credits)).collect::<Vec<_>>())
        .execute(&mut *db)
        .await?;
    add_to_ledgers(db, dated).await
}

async fn add_to_ledgers(db: &mut PgConnection, dated: &DatedRows) -> Result<(), ApplyError> {
    let sums = || dated.ledger_sums.iter();
    sqlx::query(ADD_TO_LEDGERS)
        .bind(sums().map(|((key, ..), _)| key.ledger.uuid()).collect::<Vec<_>>())
        .bind(sums().map(|((_, width, _), _)| *width).collect::<Vec<_>>())
        .bind(sums().map(|((.., starts), _)| starts.datetime()).collect::<Vec<_>>())
        .bind(sums().map(|((key, ..), _)| key.currency.code()).collect::<Vec<_>>())
        .bind(sums().map(|((key, ..), _)| key.kind).collect::<Vec<_>>())
        .bind(sums().map(|(_, sum)| WideMinor(sum.debits)).collect::<Vec<_>>())
        .bind(sums().map(|(_, sum)| WideMinor(sum.credits)).collect::<Vec<_>>())
        .execute(db)
        .await?;
    Ok(())
}
