//! What entries over HTTP are held against: the append's statement alone, on the same server, in a database
//! of its own.

use std::collections::BTreeMap;

use anyhow::Context;
use demo::stack::Stack;

use super::accounts::Spread;
use crate::append::{bare_statement, open_accounts};
use crate::entries::Accounts;
use crate::figures::{Output, Tally};
use crate::log_database::{LogDatabase, Server};

/// The most accounts that the statement is measured over. More of them hardly make it slower: a batch has two
/// for each of its entries, however many there are.
const ACCOUNTS_MAX: usize = 1_000;

/// The statement's database, and what it came to so far.
pub(super) struct Bare {
    server: Server,
    database: LogDatabase,
    /// By the number of accounts.
    sums: BTreeMap<usize, Option<Tally>>,
}

impl Bare {
    /// A database beside the deployment's, for as many accounts as these have.
    pub(super) async fn open(stack: &Stack, loads: &[Spread]) -> anyhow::Result<Self> {
        let server = Server::of(stack)?;
        server.describe().await?;
        server.season().await?;
        let database = server.database().await?;
        open_accounts(&database, &Accounts::numbered(ACCOUNTS_MAX)?).await?;
        let sums = loads.iter().map(|load| (accounts(*load), None)).collect();
        Ok(Self { server, database, sums })
    }

    /// One turn, of some seconds, for each number of accounts; while nothing else is asked of the server.
    pub(super) async fn measure(&mut self) -> anyhow::Result<()> {
        for (count, sum) in &mut self.sums {
            let accounts = Accounts::numbered(*count)?;
            let tally = bare_statement(&self.database, &accounts).await?;
            let rate = tally.rate_per_s();
            Output::remark(&format!("bare statement over {count} accounts: {rate:.0}/s"));
            match sum {
                Some(sum) => sum.add(&tally)?,
                none => *none = Some(tally),
            }
        }
        Ok(())
    }

    /// What all turns came to over as many accounts as `load` has.
    pub(super) fn of(&self, load: Spread) -> anyhow::Result<&Tally> {
        self.sums.get(&accounts(load)).and_then(Option::as_ref).context("a turn of the statement")
    }

    /// What all turns came to, with the number of accounts.
    pub(super) fn all(&self) -> impl Iterator<Item = (usize, &Tally)> {
        self.sums.iter().filter_map(|(count, sum)| Some((*count, sum.as_ref()?)))
    }

    /// Removes the database.
    pub(super) async fn close(self) -> anyhow::Result<()> {
        self.server.remove(self.database).await
    }
}

fn accounts(load: Spread) -> usize {
    load.accounts().min(ACCOUNTS_MAX)
}
