//! Closing days that were cut off: every balance of the ledger at the end of the day, added up.
//!
//! Nothing that is recorded after the cut-off takes effect on the day or before it. So the balances are the same
//! whenever they are read, and are read page by page.

use domain::books::{BalancesDigest, CloseDay, DayBalance, DayBalances};
use domain::{AccountId, Command, Day, MerchantId, Rejection, Timestamp};
use event_store::log::{Position, WideMinor, last_before};
use sqlx::FromRow;
use time::Date;
use uuid::Uuid;

use super::{LedgerPass, LedgerWorkError, LedgerWorker};

/// The most days that are read at a time.
const CLOSED_AT_ONCE_MAX: i64 = 100;
/// The most accounts that one statement reads the balances of: where each is dated on a thousand days, half a
/// million rows, some tenths of a second.
const BALANCES_PAGE_MAX: i64 = 500;

/// Who appends, as the log names it.
const ACTOR: &str = "close-worker";

/// With the digest of the close before.
const OPEN: &str = "
    select open.ledger, open.day, open.cut_off_position, previous.digest as previous
    from read.day_closes as open
    left join lateral (
        select digest from read.day_closes as earlier
        where earlier.ledger = open.ledger and earlier.day < open.day
        order by earlier.day desc limit 1
    ) as previous on true
    where open.closed_position is null and open.cut_off_position > $2
    order by open.cut_off_position limit $1";

/// What was recorded before the end of the day, less what of that is dated, more what is dated before the end of
/// the day. Accounts in the order in which they were opened; all of it by keys of indexes. The ledger is given as a
/// range that the order begins with, so that no other index than that of its accounts has them in this order.
const BALANCES: &str = "
    select account.account_id, account.currency, account.opened_position,
        case when account.normal_side = 'debit' then 1 else -1 end
            * coalesce(recorded.balance_after_minor, 0)
        - coalesce(dated.debits_after_minor - dated.credits_after_minor, 0)
        + coalesce(effective.minor, 0) as balance_minor
    from (
        select account_id, currency, normal_side, opened_position from read.accounts
        where ledger between $1 and $1 and opened_position > $2
        order by ledger, opened_position limit $3
    ) as account
    left join lateral (
        select balance_after_minor from read.postings
        where account_id = account.account_id and position <= $4
        order by position desc, posting_index desc limit 1
    ) as recorded on true
    left join lateral (
        select debits_after_minor, credits_after_minor from read.dated_postings
        where account_id = account.account_id and position <= $4
        order by position desc, posting_index desc limit 1
    ) as dated on true
    left join lateral (
        select sum(debits_minor) - sum(credits_minor) as minor from read.dated_sums
        where account_id = account.account_id and width_seconds = 86400 and starts_at < $5
    ) as effective on true
    order by account.opened_position";

#[derive(FromRow)]
struct OpenDay {
    ledger: Uuid,
    day: Date,
    cut_off_position: i64,
    previous: Option<String>,
}

#[derive(FromRow)]
struct BalanceRow {
    account_id: Uuid,
    currency: String,
    opened_position: i64,
    balance_minor: WideMinor,
}

impl LedgerWorker {
    /// Closes the days that were cut off.
    ///
    /// # Errors
    /// [`LedgerWorkError::Database`]: it cannot be read which these are. Those that were not closed are found again.
    pub async fn close_days(&self) -> Result<LedgerPass, LedgerWorkError> {
        let mut pass = LedgerPass::default();
        let mut after = Position::START.number();
        // All pages each time: those that cannot be closed may fill one.
        loop {
            let open: Vec<OpenDay> = sqlx::query_as(OPEN)
                .bind(CLOSED_AT_ONCE_MAX)
                .bind(after)
                .fetch_all(&self.pool)
                .await?;
            let Some(last) = open.last() else { break };
            after = last.cut_off_position;
            for OpenDay { ledger, day, previous, .. } in open {
                let ledger = MerchantId::from_uuid(ledger);
                let day = Day::of(Timestamp::from_datetime(day.midnight().assume_utc()));
                // No ledger waits for another's, whatever is wrong with it.
                pass.note(self.close_day(ledger, day, previous).await);
            }
        }
        metrics::counter!("runut_days_closed_total").increment(pass.done as u64);
        Ok(pass)
    }

    /// Whether it is closed by this.
    async fn close_day(
        &self,
        ledger: MerchantId,
        day: Day,
        previous: Option<String>,
    ) -> Result<bool, LedgerWorkError> {
        let garbled = |_| LedgerWorkError::Garbled(format!("a garbled digest of {ledger}"));
        let previous: Option<BalancesDigest> =
            previous.map(|text| text.parse()).transpose().map_err(garbled)?;
        let balances = self.balances(ledger, day, previous).await?;
        let command = Command::CloseDay(CloseDay { ledger, day, previous, balances });
        match self.store.give(self.origin(ACTOR), command).await?.decision {
            Ok(_) => Ok(true),
            // The read model is behind, or another worker was quicker.
            Err(Rejection::DayNotCutOff { .. }) => Ok(false),
            Err(rejection) => {
                let what = format!("{day} of {ledger} cannot be closed");
                Err(LedgerWorkError::Rejected { what, rejection })
            }
        }
    }

    async fn balances(
        &self,
        ledger: MerchantId,
        day: Day,
        previous: Option<BalancesDigest>,
    ) -> Result<DayBalances, LedgerWorkError> {
        let end = day.next().start();
        let recorded = last_before(&self.pool, end).await?;
        let mut balances: Vec<DayBalance> = Vec::new();
        let mut after = Position::START.number();
        loop {
            let rows: Vec<BalanceRow> = sqlx::query_as(BALANCES)
                .bind(ledger.uuid())
                .bind(after)
                .bind(BALANCES_PAGE_MAX)
                .bind(recorded.number())
                .bind(end.datetime())
                .fetch_all(&self.pool)
                .await?;
            let Some(last) = rows.last() else { break };
            after = last.opened_position;
            for row in rows.iter().filter(|row| row.balance_minor.0 != 0) {
                let garbled =
                    |_| LedgerWorkError::Garbled(format!("the currency `{}`", row.currency));
                balances.push(DayBalance {
                    account_id: AccountId::from_uuid(row.account_id),
                    currency: row.currency.parse().map_err(garbled)?,
                    balance_minor: row.balance_minor.0,
                });
            }
        }
        balances.sort_unstable_by_key(|balance| balance.account_id);
        Ok(DayBalances::add_up(ledger, day, previous, balances))
    }
}
