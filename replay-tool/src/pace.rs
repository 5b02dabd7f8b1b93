//! How much the next statement takes on.

use std::time::Duration;

use crate::connection::interrupted;

/// What a statement should take: long enough that its round trip does not count, short enough that no
/// snapshot is held for long.
pub(crate) const STATEMENT_TARGET: Duration = Duration::from_millis(400);
/// What a statement should take while the log is busy: appends wait for no longer than that.
pub(crate) const BUSY_STATEMENT_TARGET: Duration = Duration::from_millis(100);

/// The number of rows of the next statement: grows while statements are quick, shrinks when they are slow.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Pace {
    rows: i64,
    rows_max: i64,
}

impl Pace {
    /// Starts small, because nothing is known of the rows yet.
    pub(crate) fn up_to(rows_max: i64) -> Self {
        Self { rows: (rows_max / 8).max(1), rows_max }
    }

    /// How many rows to ask for.
    pub(crate) fn rows(&self) -> i64 {
        self.rows
    }

    /// A statement for [`Pace::rows`] took so long, and should have taken `target`.
    pub(crate) fn took(&mut self, elapsed: Duration, target: Duration) {
        if elapsed > target {
            self.rows = (self.rows / 2).max(1);
        } else if elapsed < target / 2 {
            self.rows = (self.rows * 2).min(self.rows_max);
        }
    }

    /// Goes on with so many rows at the most.
    pub(crate) fn narrow_to(&mut self, rows: usize) {
        self.rows = i64::try_from(rows).unwrap_or(i64::MAX).clamp(1, self.rows);
    }

    /// A statement failed: whether it is worth trying again with fewer rows.
    pub(crate) fn retry(&mut self, error: &sqlx::Error) -> bool {
        let worth = interrupted(error) && self.rows > 1;
        self.rows = (self.rows / 4).max(1);
        worth
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_grows_to_its_maximum_and_shrinks_to_one_row() {
        let mut pace = Pace::up_to(100);
        for _ in 0..10 {
            pace.took(Duration::from_millis(1), STATEMENT_TARGET);
        }
        assert_eq!(pace.rows(), 100);
        for _ in 0..10 {
            pace.took(Duration::from_secs(3), STATEMENT_TARGET);
        }
        assert_eq!(pace.rows(), 1);
    }
}
