//! Lists as ranges of indexes.
//!
//! Rows of one ledger (or status, or account) in the order of their positions are a range of an index over both. But
//! where Postgres takes such rows to be common, it goes through all rows by position and leaves out what is not asked
//! for, which is nearly everything if those of the ledger are old. So the order of the list begins with the key, and
//! the key is given as a range, of which Postgres does not see that it is one value: only an index that has the key
//! before the position has its rows in that order.

/// What one range of an index has in common.
#[derive(Debug, Default)]
pub(crate) struct KeyRange {
    conditions: String,
    order: String,
}

impl KeyRange {
    /// The same, of which the column `column` is `value`. Columns come in the order of the index.
    pub(crate) fn with(mut self, column: &str, value: &str) -> Self {
        self.conditions.push_str(&format!("{column} between {value} and {value} and "));
        self.order.push_str(&format!("{column} desc, "));
        self
    }

    /// A statement for the `selected` of `table`, by `position` from the last on. `conditions` are what else holds.
    pub(crate) fn backwards(
        &self,
        selected: &str,
        table: &str,
        position: &str,
        conditions: &str,
    ) -> String {
        let Self { conditions: keys, order } = self;
        format!(
            "select {selected} from {table} where {keys}{conditions} order by {order}{position} desc"
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_list_begins_with_its_keys() {
        let range = KeyRange::default().with("ledger", "$1").with("status", "$2");
        assert_eq!(
            range.backwards("*", "holds", "position", "position < $3"),
            "select * from holds where ledger between $1 and $1 and status between $2 and $2 \
             and position < $3 order by ledger desc, status desc, position desc"
        );
    }
}
