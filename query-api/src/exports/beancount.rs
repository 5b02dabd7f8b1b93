//! Ledgers for Beancount, which `bean-check` accepts.
//!
//! An entry is a transaction on the UTC day it takes effect; debits are positive. Beancount's account names are
//! narrower than codes, so a code is written as [`account_name`] says, and as it is in the account's metadata. The
//! last balances are asserted on the day after the last entry, since an assertion is about the start of its day,
//! and to the last decimal, since Beancount would forgive two units of it.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use api_conventions::Problem;
use domain::accounts::AccountType;
use domain::{Day, Sum};

use super::books::BookDays;
use super::journal::{BOOKS, Format, Section};
use super::reading::{Account, Entry};

/// When all accounts are opened, as days since 1970-01-01: no entry can take effect before.
const FIRST_DAY: i32 = 0;

/// A ledger that is being written.
pub(super) struct Beancount {
    out: String,
    days: BookDays,
    opened: bool,
}

impl Beancount {
    pub(super) fn of(owner: &str, first_day: Option<Day>) -> Self {
        let out = format!("option \"title\" \"The ledger of {owner}\"\n\n");
        Self { out, days: BookDays::beginning(first_day), opened: false }
    }

    fn line(&mut self, line: std::fmt::Arguments<'_>) {
        // Writing to a text cannot fail.
        let _ = self.out.write_fmt(line);
        self.out.push('\n');
    }

    fn metadata(&mut self, name: &str, value: &str) {
        self.line(format_args!("  {name}: {}", text(value)));
    }

    fn posting(&mut self, account: &str, amount: Sum) {
        self.line(format_args!("  {account}  {amount} {}", amount.currency));
    }
}

impl Format for Beancount {
    fn sections(&self) -> &'static [Section] {
        BOOKS
    }

    fn account(&mut self, account: &Account) {
        let name = account_name(account.kind, &account.code);
        self.line(format_args!("{} open {name} {}", Day::from_number(FIRST_DAY), account.currency));
        self.metadata("id", &account.id.to_string());
        self.metadata("code", &account.code);
    }

    fn opening(&mut self, account: &Account) {
        if account.debit_balance.minor == 0 {
            return;
        }
        if !self.opened {
            let day = self.days.opening();
            self.line(format_args!("{day} * \"Opening balances\""));
            self.opened = true;
        }
        self.posting(&account_name(account.kind, &account.code), account.debit_balance);
    }

    fn entry(&mut self, entry: &Entry) -> Result<(), Problem> {
        let day = self.days.of(entry);
        self.line(format_args!("{day} * {}", text(entry.title())));
        self.metadata("entry", &entry.id.to_string());
        self.line(format_args!("  position: {}", entry.position));
        for (name, text) in entry.described() {
            self.metadata(name, &text);
        }
        // Keys are any text in the ledger and may not be here, so all of it is one JSON object.
        if !entry.metadata.is_empty() {
            self.metadata("metadata", &json(&entry.metadata)?);
        }
        for posting in &entry.postings {
            self.posting(&account_name(posting.kind, &posting.code), posting.debit_amount().into());
        }
        self.out.push('\n');
        Ok(())
    }

    fn closing(&mut self, account: &Account) {
        let name = account_name(account.kind, &account.code);
        let (day, balance) = (self.days.last().next(), account.debit_balance);
        self.line(format_args!("{day} balance {name}  {balance} ~ 0 {}", account.currency));
    }

    fn end_of(&mut self, section: Section) {
        match section {
            Section::Accounts | Section::Opening => self.out.push('\n'),
            Section::Entries | Section::Closing => {}
        }
    }

    fn end(&mut self) -> Result<(), Problem> {
        self.out.push_str("; end\n");
        Ok(())
    }

    fn take(&mut self) -> Result<Vec<u8>, Problem> {
        Ok(std::mem::take(&mut self.out).into_bytes())
    }
}

fn json(metadata: &BTreeMap<String, String>) -> Result<String, Problem> {
    serde_json::to_string(metadata).map_err(Problem::internal)
}

/// The name of an account: the root for what it stands for, and a part for each part of its code between colons.
/// The last begins with `A-` (an account), those before with `G-` (a group), so that no account is above another:
/// Beancount would count the one's balance to the other's. Letters and digits are themselves, `-h`, `-d` and `-u`
/// stand for `-`, `.` and `_`.
fn account_name(kind: AccountType, code: &str) -> String {
    let mut name = root(kind).to_owned();
    let last = code.matches(':').count();
    for (index, part) in code.split(':').enumerate() {
        name.push_str(if index == last { ":A-" } else { ":G-" });
        for c in part.chars() {
            match c {
                '-' => name.push_str("-h"),
                '.' => name.push_str("-d"),
                '_' => name.push_str("-u"),
                plain => name.push(plain),
            }
        }
    }
    name
}

fn root(kind: AccountType) -> &'static str {
    match kind {
        AccountType::Asset => "Assets",
        AccountType::Liability => "Liabilities",
        AccountType::Equity => "Equity",
        AccountType::Income => "Income",
        AccountType::Expense => "Expenses",
    }
}

/// A text in quotes.
fn text(text: &str) -> String {
    let mut quoted = String::with_capacity(text.len() + 2);
    quoted.push('"');
    for c in text.chars() {
        if matches!(c, '"' | '\\') {
            quoted.push('\\');
        }
        quoted.push(c);
    }
    quoted.push('"');
    quoted
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn account_names_tell_all_codes_apart_and_none_is_above_another() {
        for (code, name) in [
            ("cash", "Assets:A-cash"),
            ("Cash", "Assets:A-Cash"),
            ("cash:till-1", "Assets:G-cash:A-till-h1"),
            ("psp_clearing:alpha:USD", "Assets:G-psp-uclearing:G-alpha:A-USD"),
            ("a.b", "Assets:A-a-db"),
            ("a-db", "Assets:A-a-hdb"),
            (":", "Assets:G-:A-"),
        ] {
            assert_eq!(account_name(AccountType::Asset, code), name);
        }
        assert_eq!(account_name(AccountType::Liability, "x"), "Liabilities:A-x");
    }

    #[test]
    fn texts_end_where_they_end() {
        assert_eq!(text(r#"a "b" \ c; d"#), r#""a \"b\" \\ c; d""#);
    }
}
