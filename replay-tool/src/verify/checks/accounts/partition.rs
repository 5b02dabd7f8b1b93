//! Partitions of the accounts: as many as are kept in memory at a time.

use std::collections::HashMap;
use std::hash::{BuildHasherDefault, Hasher};

use sqlx::PgConnection;
use uuid::Uuid;

use crate::connection::LOG;
use crate::courtesy::Courtesy;
use crate::pace::Pace;
use crate::verify::Scope;
use crate::verify::error::{VerifyError, reading};
use crate::verify::report::number;

/// The most accounts whose states are kept in memory at a time: with the free places of their table about
/// 125 MiB, and 50 MiB more where the books of all of them are closed.
pub const ACCOUNTS_PER_PASS: u64 = 900_000;
/// The most streams that one statement counts.
const COUNTED_ROWS_MAX: i64 = 200_000;

/// A part of the accounts, by the first bits of their ids, which are those of a hash.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Partition {
    /// Which one, from 0.
    pub(crate) index: u64,
    /// Of how many.
    pub(crate) of: u64,
}

impl Partition {
    /// Whether the account is in it.
    pub(crate) fn holds(&self, account: Uuid) -> bool {
        let scaled = u128::from(self.of) * (account.as_u128() >> 64);
        self.of == 1 || scaled >> 64 == u128::from(self.index)
    }

    /// The first id of partition `index`; beyond all ids for the one after the last.
    pub(crate) fn start(index: u64, of: u64) -> u128 {
        // Rounded up, so that `holds` agrees on every id.
        match ((u128::from(index) << 64).div_ceil(u128::from(of))).checked_shl(64) {
            Some(start) if index < of => start,
            _ => u128::MAX,
        }
    }
}

/// How many partitions the accounts take: counted in the index of streams.
pub(crate) async fn partitions(
    db: &mut PgConnection,
    scope: Scope,
    courtesy: &Courtesy,
) -> Result<u64, VerifyError> {
    let accounts = count(db, courtesy).await.map_err(reading("the number of accounts"))?;
    let at_most = number(scope.to).min(accounts);
    Ok(at_most.div_ceil(scope.accounts_per_pass).max(1))
}

/// Counts the first events of the streams named `account-…`.
async fn count(db: &mut PgConnection, courtesy: &Courtesy) -> Result<u64, sqlx::Error> {
    let (mut after, mut accounts) = ("account-".to_owned(), 0);
    let mut pace = Pace::up_to(COUNTED_ROWS_MAX);
    loop {
        let started = std::time::Instant::now();
        // The character after `-` is `.`, so this is the range of the prefix.
        let counted: Result<(i64, i64, Option<String>), _> = sqlx::query_as(
            "select count(*), count(*) filter (where version = 1), max(stream_id) from ( \
                 select stream_id, version from events \
                 where log_id = $1 and stream_id > $2 and stream_id < 'account.' \
                 order by stream_id, version limit $3) as page",
        )
        .bind(LOG)
        .bind(&after)
        .bind(pace.rows())
        .fetch_one(&mut *db)
        .await;
        match counted {
            Ok((rows, opened, last)) => {
                accounts += number(opened);
                let Some(last) = last.filter(|_| rows == pace.rows()) else { return Ok(accounts) };
                after = last;
                pace.took(started.elapsed(), courtesy.statement_target());
            }
            Err(error) if pace.retry(&error) => {}
            Err(error) => return Err(error),
        }
        courtesy.after(&mut *db, started.elapsed()).await?;
    }
}

/// An account's id is half of a SHA-256 already: hashing it again would tell nothing more.
#[derive(Default)]
pub(crate) struct FirstBytes(u64);

impl Hasher for FirstBytes {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        // The last eight bytes: partitions go by the first, and tables have their buckets by the top bits.
        if let Some(last) = bytes.last_chunk() {
            self.0 = u64::from_ne_bytes(*last);
        }
    }
}

/// A table by account.
pub(crate) type ByAccount<T> = HashMap<Uuid, T, BuildHasherDefault<FirstBytes>>;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn partitions_hold_every_account_once_and_start_where_they_say() {
        let ids = [0, 1, 1 << 64, u128::MAX / 3, u128::MAX / 3 + 1, u128::MAX - 1, u128::MAX];
        for of in [1, 2, 3, 7] {
            for id in ids {
                let holders: Vec<u64> = (0..of)
                    .filter(|index| Partition { index: *index, of }.holds(Uuid::from_u128(id)))
                    .collect();
                let [index] = holders[..] else { panic!("{id} of {of}: {holders:?}") };
                assert!(Partition::start(index, of) <= id, "{id} of {of}");
                let end = Partition::start(index + 1, of);
                assert!(id < end || end == u128::MAX, "{id} of {of}");
            }
        }
    }
}
