//! The books of one ledger.

use std::collections::BTreeMap;

use domain::books::BalancesDigest;
use domain::{Currency, Day};
use uuid::Uuid;

use super::cut_offs::CutOff;
use crate::facts::PostingFacts;
use crate::verify::checks::accounts::{ByAccount, Partition};

/// An account's debits less its credits, in minor units of its currency.
type Balance = (Currency, i128);

/// How far they are closed, and what counts for what is not closed yet.
#[derive(Debug)]
pub(super) struct Books {
    /// All cut-offs of the log, by position.
    cut_offs: Vec<CutOff>,
    /// How many of them came.
    came: usize,
    /// What counts at the next one.
    balances: ByAccount<Balance>,
    /// What counts only from a later one on, by its number: what takes effect later.
    ahead: BTreeMap<usize, ByAccount<Balance>>,
    /// The last day that was cut off.
    pub(super) cut_off: Option<Day>,
    /// The day that was cut off and is not closed yet, and where it was cut off.
    pub(super) closing: Option<(i64, Day)>,
    /// The digest of the last close.
    pub(super) closed: Option<BalancesDigest>,
}

impl Books {
    pub(super) fn of(cut_offs: Vec<CutOff>) -> Self {
        Self {
            cut_offs,
            came: 0,
            balances: ByAccount::default(),
            ahead: BTreeMap::new(),
            cut_off: None,
            closing: None,
            closed: None,
        }
    }

    /// As they are before the first event.
    pub(super) fn start_again(&mut self) {
        *self = Self::of(std::mem::take(&mut self.cut_offs));
    }

    /// Counts what takes effect on `day` at the first cut-off from then on. After the last one nothing counts.
    pub(super) fn count(&mut self, day: Day, postings: &[PostingFacts], partition: Partition) {
        let to_come = self.cut_offs.get(self.came..).unwrap_or_default();
        let number = self.came + to_come.partition_point(|cut_off| cut_off.day < day);
        if number >= self.cut_offs.len() {
            return;
        }
        let balances = match number {
            next if next == self.came => &mut self.balances,
            later => self.ahead.entry(later).or_default(),
        };
        for posting in postings.iter().filter(|posting| partition.holds(posting.account)) {
            add(
                balances,
                posting.account,
                (posting.currency, posting.direction.signed(posting.minor).into()),
            );
        }
    }

    /// The balances at the cut-off at `position`, in the order of the accounts' ids; `None` where another one was
    /// to come.
    pub(super) fn cut(
        &mut self,
        position: i64,
        day: Day,
    ) -> Option<impl Iterator<Item = (Uuid, Balance)>> {
        self.cut_off = self.cut_off.max(Some(day));
        self.cut_offs.get(self.came).filter(|next| next.position == position)?;
        self.closing = Some((position, day));
        let mut balances: Vec<(Uuid, Balance)> =
            self.balances.iter().map(|(account, balance)| (*account, *balance)).collect();
        balances.sort_unstable_by_key(|(account, _)| *account);
        self.came += 1;
        for (account, balance) in self.ahead.remove(&self.came).unwrap_or_default() {
            add(&mut self.balances, account, balance);
        }
        Some(balances.into_iter())
    }
}

fn add(balances: &mut ByAccount<Balance>, account: Uuid, (currency, minor): Balance) {
    let (_, sum) = balances.entry(account).or_insert((currency, 0));
    *sum += minor;
}
