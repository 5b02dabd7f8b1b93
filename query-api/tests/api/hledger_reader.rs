//! Reads journals for hledger as strictly as `hledger check --strict` does, where hledger itself is not there: no
//! account and no commodity that was not declared, no transaction that does not balance, no assertion that fails.

use std::collections::{BTreeMap, BTreeSet};

use crate::bookkeeping::{Balances, minor};

/// A journal that was read.
#[derive(Debug, Default)]
pub(crate) struct Journal {
    accounts: BTreeSet<String>,
    commodities: BTreeSet<String>,
    pub(crate) transactions: Vec<Transaction>,
}

/// A transaction.
#[derive(Debug, Default)]
pub(crate) struct Transaction {
    date: String,
    pub(crate) code: String,
    pub(crate) description: String,
    pub(crate) tags: BTreeMap<String, String>,
    /// Account, commodity, minor units, and the balance that it asserts.
    postings: Vec<(String, String, i128, Option<i128>)>,
}

impl Journal {
    #[track_caller]
    pub(crate) fn read(text: &str) -> Self {
        assert!(text.ends_with("\n; end\n"), "it says that it is complete");
        let mut journal = Self::default();
        let mut under_way: Option<Transaction> = None;
        for line in text.lines() {
            assert!(!line.contains(['\t', '\r']), "{line}");
            if line.is_empty() {
                journal.transactions.extend(under_way.take());
            } else if let Some(rest) = line.strip_prefix("    ") {
                let transaction = under_way.as_mut().expect("a transaction above");
                match rest.strip_prefix("; ") {
                    Some(tag) => transaction.tag(tag),
                    None => transaction.post(rest),
                }
            } else if line.starts_with(|c: char| c.is_ascii_digit()) {
                assert!(under_way.is_none(), "an empty line ends each: {line}");
                under_way = Some(Transaction::headed(line));
            } else {
                journal.declare(line);
            }
        }
        assert!(under_way.is_none(), "the last one has ended");
        journal.check();
        journal
    }

    fn declare(&mut self, line: &str) {
        if let Some(account) = line.strip_prefix("account ") {
            let (name, comment) = account.split_once("  ").expect("two spaces end a name");
            assert!(comment.starts_with("; "), "{line}");
            assert!(!name.split(':').any(str::is_empty), "every part has a name: {line}");
            assert!(self.accounts.insert(name.to_owned()), "declared once: {line}");
        } else if let Some(commodity) = line.strip_prefix("commodity 1000.") {
            let (zeros, code) = commodity.split_once(' ').expect("a format and a code");
            let unit = format!("1{zeros}").parse().expect("digits");
            assert_eq!(minor(&format!("1.{zeros}"), code), unit, "all decimals: {line}");
            assert!(self.commodities.insert(code.to_owned()), "declared once: {line}");
        } else {
            assert!(line.starts_with("; ") || line == "decimal-mark .", "{line}");
        }
    }

    fn check(&self) {
        let mut in_order: Vec<&Transaction> = self.transactions.iter().collect();
        // Assertions are checked by date, and of a day in the order of the file.
        in_order.sort_by_key(|transaction| transaction.date.as_str());
        let mut balances = Balances::new();
        for transaction in in_order {
            let mut sums: BTreeMap<&str, i128> = BTreeMap::new();
            for (account, commodity, amount, asserted) in &transaction.postings {
                assert!(self.accounts.contains(account), "{account} is declared");
                assert!(self.commodities.contains(commodity), "{commodity} is declared");
                *sums.entry(commodity).or_default() += amount;
                let balance = balances.entry((account.clone(), commodity.clone())).or_default();
                *balance += amount;
                assert!(asserted.is_none_or(|asserted| asserted == *balance), "{account}");
            }
            assert!(sums.values().all(|sum| *sum == 0), "{transaction:?}");
        }
    }

    /// The balance of each account that has one.
    pub(crate) fn balances(&self) -> Balances {
        let mut balances = Balances::new();
        for (account, commodity, amount, _) in self.transactions.iter().flat_map(|t| &t.postings) {
            *balances.entry((account.clone(), commodity.clone())).or_default() += amount;
        }
        balances.retain(|_, balance| *balance != 0);
        balances
    }

    /// How many accounts are asserted to have a balance.
    pub(crate) fn assertions(&self) -> usize {
        let postings = self.transactions.iter().flat_map(|transaction| &transaction.postings);
        postings.filter(|(_, _, _, asserted)| asserted.is_some()).count()
    }
}

impl Transaction {
    fn headed(line: &str) -> Self {
        let (date, rest) = line.split_once(" * ").expect("a date and a status");
        let numbers: Vec<usize> = date.split('-').map(str::len).collect();
        assert_eq!(numbers, [4, 2, 2], "{line}");
        let coded = rest.strip_prefix('(').and_then(|rest| rest.split_once(") "));
        let (code, description) = coded.unwrap_or(("", rest));
        assert!(!description.contains([';', '|']), "a comment or a payee: {line}");
        Self {
            date: date.to_owned(),
            code: code.to_owned(),
            description: description.to_owned(),
            ..Self::default()
        }
    }

    fn tag(&mut self, tag: &str) {
        let (name, value) = tag.split_once(':').expect("a name");
        assert!(!name.is_empty() && !name.contains(char::is_whitespace), "{tag}");
        assert!(!value.contains(','), "a comma ends it: {tag}");
        assert_eq!(value.trim(), value, "space around it is not its own: {tag}");
        assert!(self.tags.insert(name.to_owned(), value.to_owned()).is_none(), "once: {tag}");
    }

    fn post(&mut self, posting: &str) {
        let (account, amount) = posting.split_once("  ").expect("two spaces end a name");
        let (amount, asserted) = match amount.split_once(" = ") {
            Some((amount, asserted)) => (amount, Some(asserted)),
            None => (amount, None),
        };
        let read = |amount: &str| {
            let (number, commodity) = amount.split_once(' ').expect("a commodity");
            (commodity.to_owned(), minor(number, commodity))
        };
        let (commodity, amount) = read(amount);
        let asserted = asserted.map(|asserted| {
            let (of, balance) = read(asserted);
            assert_eq!(of, commodity);
            balance
        });
        self.postings.push((account.to_owned(), commodity, amount, asserted));
    }
}
