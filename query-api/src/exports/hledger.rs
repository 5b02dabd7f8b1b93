//! Journals for hledger, which `hledger check --strict` accepts: accounts and commodities are declared.
//!
//! An entry is a transaction on the UTC day it takes effect; debits are positive. What else there is about it is in
//! tags. Texts are as in the ledger, but what would end or split them is written in the percent-encoding of URLs,
//! `%` itself included; so nothing is lost and nothing is read as what it is not.

use std::borrow::Cow;
use std::collections::BTreeSet;
use std::fmt::Write as _;

use api_conventions::Problem;
use domain::accounts::AccountType;
use domain::{Currency, Day, Sum};

use super::books::BookDays;
use super::journal::{BOOKS, Format, Section};
use super::reading::{Account, Entry};

/// A journal that is being written.
pub(super) struct Hledger {
    out: String,
    /// Declared so far; there are some 160 in all.
    commodities: BTreeSet<Currency>,
    days: BookDays,
    opened: bool,
}

impl Hledger {
    pub(super) fn of(owner: &str, first_day: Option<Day>) -> Self {
        // `1.000` would be a thousand to some.
        let out = format!("; The ledger of {owner}\ndecimal-mark .\n\n");
        let days = BookDays::beginning(first_day);
        Self { out, commodities: BTreeSet::new(), days, opened: false }
    }

    fn line(&mut self, line: std::fmt::Arguments<'_>) {
        // Writing to a text cannot fail.
        let _ = self.out.write_fmt(line);
        self.out.push('\n');
    }

    fn tag(&mut self, name: &str, value: &str) {
        self.line(format_args!("    ; {name}:{value}"));
    }

    fn posting(&mut self, account: &str, amount: Sum) {
        self.line(format_args!("    {account}  {amount} {}", amount.currency));
    }
}

impl Format for Hledger {
    fn sections(&self) -> &'static [Section] {
        BOOKS
    }

    fn account(&mut self, account: &Account) {
        if self.commodities.insert(account.currency) {
            let decimals = "0".repeat(usize::try_from(account.currency.exponent()).unwrap_or(0));
            // The mark has to be there without decimals too.
            self.line(format_args!("commodity 1000.{decimals} {}", account.currency));
        }
        let name = account_name(account.kind, &account.code);
        self.line(format_args!("account {name}  ; id:{}, code:{}", account.id, account.code));
    }

    fn opening(&mut self, account: &Account) {
        if account.debit_balance.minor == 0 {
            return;
        }
        if !self.opened {
            let day = self.days.opening();
            self.line(format_args!("{day} * Opening balances"));
            self.opened = true;
        }
        self.posting(&account_name(account.kind, &account.code), account.debit_balance);
    }

    fn entry(&mut self, entry: &Entry) -> Result<(), Problem> {
        let day = self.days.of(entry);
        self.line(format_args!("{day} * ({}) {}", entry.id, value(entry.title())));
        self.tag("position", &entry.position.to_string());
        for (name, text) in entry.described() {
            self.tag(name, &value(&text));
        }
        for (key, text) in &entry.metadata {
            self.tag(&format!("meta-{}", tag_name(key)), &value(text));
        }
        for posting in &entry.postings {
            self.posting(&account_name(posting.kind, &posting.code), posting.debit_amount().into());
        }
        self.out.push('\n');
        Ok(())
    }

    fn closing(&mut self, account: &Account) {
        if !self.opened {
            let day = self.days.last();
            self.line(format_args!("{day} * Balances"));
            self.opened = true;
        }
        let (name, currency) = (account_name(account.kind, &account.code), account.currency);
        let zero = Sum { minor: 0, currency };
        let balance = account.debit_balance;
        self.line(format_args!("    {name}  {zero} {currency} = {balance} {currency}"));
    }

    fn end_of_page(&mut self, section: Section) {
        // A transaction for each page of balances: each is zero by itself.
        if section == Section::Closing {
            self.opened = false;
            self.out.push('\n');
        }
    }

    fn end_of(&mut self, section: Section) {
        match section {
            Section::Accounts | Section::Opening => {
                self.opened = false;
                self.out.push('\n');
            }
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

/// The root that hledger knows for what the account stands for, and the code below it. No code is anybody else's,
/// so no name is; a part without a name is written `%`, which is in no code.
fn account_name(kind: AccountType, code: &str) -> String {
    let mut name = root(kind).to_owned();
    for part in code.split(':') {
        name.push(':');
        name.push_str(if part.is_empty() { "%" } else { part });
    }
    name
}

fn root(kind: AccountType) -> &'static str {
    match kind {
        AccountType::Asset => "assets",
        AccountType::Liability => "liabilities",
        AccountType::Equity => "equity",
        AccountType::Income => "income",
        AccountType::Expense => "expenses",
    }
}

/// A text where a line's rest is meant: a comma would end a tag, `|` splits descriptions, brackets hold dates.
fn value(text: &str) -> Cow<'_, str> {
    let edge = |at: usize, c: char| c == ' ' && (at == 0 || at + 1 == text.len());
    encoded(text, |at, c| {
        matches!(c, '%' | ',' | ';' | '|' | '[' | ']')
            || (c.is_whitespace() && c != ' ')
            || edge(at, c)
    })
}

/// A text as the name of a tag, which ends with a colon and has no space.
fn tag_name(text: &str) -> Cow<'_, str> {
    encoded(text, |_, c| matches!(c, '%' | ',' | ';' | ':' | '|' | '[' | ']') || c.is_whitespace())
}

fn encoded(text: &str, special: impl Fn(usize, char) -> bool) -> Cow<'_, str> {
    if !text.char_indices().any(|(at, c)| special(at, c)) {
        return Cow::Borrowed(text);
    }
    let mut encoded = String::with_capacity(text.len() + 8);
    for (at, c) in text.char_indices() {
        if special(at, c) {
            let mut bytes = [0; 4];
            for byte in c.encode_utf8(&mut bytes).bytes() {
                let _ = write!(encoded, "%{byte:02X}");
            }
        } else {
            encoded.push(c);
        }
    }
    Cow::Owned(encoded)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn account_names_tell_all_codes_apart() {
        for (code, name) in [
            ("cash", "assets:cash"),
            ("customers:42", "assets:customers:42"),
            ("a:", "assets:a:%"),
            (":a", "assets:%:a"),
            ("a::b", "assets:a:%:b"),
            (":", "assets:%:%"),
        ] {
            assert_eq!(account_name(AccountType::Asset, code), name);
        }
        assert_eq!(account_name(AccountType::Equity, "capital"), "equity:capital");
    }

    #[test]
    fn texts_stay_on_their_line_and_in_their_tag() {
        for (text, written) in [
            ("50% off; now, or | [2026-01-01]", "50%25 off%3B now%2C or %7C %5B2026-01-01%5D"),
            (" padded ", "%20padded%20"),
            ("Kopi \"tubruk\" ☕: 2", "Kopi \"tubruk\" ☕: 2"),
            ("a\u{2028}b", "a%E2%80%A8b"),
        ] {
            assert_eq!(value(text), written);
        }
        assert_eq!(tag_name("date: x"), "date%3A%20x");
    }
}
