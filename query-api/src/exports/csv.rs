//! CSV (RFC 4180): a header, then one row a posting.
//!
//! Spreadsheets run what looks like a formula, and what people write into a description is not theirs to run. So
//! a text that begins like one, also behind characters that nobody sees, has a `'` put in front, and so has a text
//! that begins with `'` itself: whoever takes one leading `'` away has the text as it was. Amounts, times and ids
//! are never changed.

use std::borrow::Cow;

use api_conventions::Problem;
use csv::{Terminator, Writer, WriterBuilder};
use domain::{AccountId, is_invisible};

use super::journal::{Format, Section};
use super::reading::{Entry, Line, Links};

/// What begins a formula in some spreadsheet: these, their full-width and small forms, and the sign for minus.
const FORMULA: [char; 13] =
    ['=', '+', '-', '@', '＝', '＋', '－', '＠', '﹦', '﹢', '﹣', '﹫', '\u{2212}'];
/// What else a text may not begin with in a cell: what some take for the end of it, and the mark itself.
const MARKED: [char; 4] = ['\t', '\r', '\n', '\''];

pub(super) const MEDIA_TYPE: &str = "text/csv; charset=utf-8; header=present";

const JOURNAL_COLUMNS: [&str; 20] = [
    "position",
    "posting",
    "recorded_at",
    "effective_at",
    "entry",
    "external_ref",
    "description",
    "account",
    "account_code",
    "account_type",
    "direction",
    "amount",
    "currency",
    "reverses",
    "replaces",
    "payment",
    "dispute",
    "hold",
    "late_for",
    "metadata",
];

const STATEMENT_COLUMNS: [&str; 18] = [
    "position",
    "posting",
    "recorded_at",
    "effective_at",
    "entry",
    "external_ref",
    "description",
    "account",
    "account_code",
    "direction",
    "amount",
    "currency",
    "balance",
    "reverses",
    "replaces",
    "payment",
    "dispute",
    "hold",
];

/// A ledger's entries, one row a posting.
pub(super) struct JournalCsv(Rows);

impl JournalCsv {
    pub(super) fn new() -> Result<Self, Problem> {
        Rows::with_header(&JOURNAL_COLUMNS).map(Self)
    }
}

impl Format for JournalCsv {
    fn sections(&self) -> &'static [Section] {
        &[Section::Entries]
    }

    fn entry(&mut self, entry: &Entry) -> Result<(), Problem> {
        let metadata = metadata(entry)?;
        for (index, posting) in entry.postings.iter().enumerate() {
            let row = &mut self.0;
            row.cell(&entry.position.to_string())?;
            row.cell(&index.to_string())?;
            row.cell(&entry.recorded_at.to_string())?;
            row.cell(&entry.effective_at.to_string())?;
            row.cell(&entry.id.to_string())?;
            row.text(&entry.external_ref)?;
            row.text(entry.description.as_deref().unwrap_or_default())?;
            row.cell(&posting.account.to_string())?;
            row.text(&posting.code)?;
            row.cell(posting.kind.name())?;
            row.cell(posting.direction.name())?;
            row.cell(&posting.amount.to_string())?;
            row.cell(posting.amount.currency.code())?;
            row.links(&entry.links)?;
            row.cell(&entry.late_for.map(|at| at.to_string()).unwrap_or_default())?;
            row.text(&metadata)?;
            row.end()?;
        }
        Ok(())
    }

    fn take(&mut self) -> Result<Vec<u8>, Problem> {
        self.0.take()
    }
}

/// The metadata as one cell; empty where there is none.
fn metadata(entry: &Entry) -> Result<String, Problem> {
    if entry.metadata.is_empty() {
        return Ok(String::new());
    }
    serde_json::to_string(&entry.metadata).map_err(Problem::internal)
}

/// An account's statement.
pub(super) struct StatementCsv {
    account: AccountId,
    rows: Rows,
}

impl StatementCsv {
    pub(super) fn of(account: AccountId) -> Result<Self, Problem> {
        Ok(Self { account, rows: Rows::with_header(&STATEMENT_COLUMNS)? })
    }

    pub(super) fn line(&mut self, line: &Line) -> Result<(), Problem> {
        let row = &mut self.rows;
        row.cell(&line.position.to_string())?;
        row.cell(&line.index.to_string())?;
        row.cell(&line.recorded_at.to_string())?;
        row.cell(&line.effective_at.to_string())?;
        row.cell(&line.entry.to_string())?;
        row.text(&line.external_ref)?;
        row.text(line.description.as_deref().unwrap_or_default())?;
        row.cell(&self.account.to_string())?;
        row.text(&line.code)?;
        row.cell(&line.direction)?;
        row.cell(&line.amount.to_string())?;
        row.cell(line.amount.currency.code())?;
        row.cell(&line.balance.to_string())?;
        row.links(&line.links)?;
        row.end()
    }

    pub(super) fn take(&mut self) -> Result<Vec<u8>, Problem> {
        self.rows.take()
    }
}

/// Rows that were written and not yet taken.
struct Rows {
    writer: Writer<Vec<u8>>,
}

impl Rows {
    fn with_header(columns: &[&str]) -> Result<Self, Problem> {
        let mut rows = Self { writer: writer() };
        rows.writer.write_record(columns).map_err(Problem::internal)?;
        Ok(rows)
    }

    fn cell(&mut self, value: &str) -> Result<(), Problem> {
        self.writer.write_field(value).map_err(Problem::internal)
    }

    fn text(&mut self, text: &str) -> Result<(), Problem> {
        self.cell(&marked(text))
    }

    fn links(&mut self, links: &Links) -> Result<(), Problem> {
        for (_, id) in links.named() {
            self.cell(&id.unwrap_or_default())?;
        }
        Ok(())
    }

    fn end(&mut self) -> Result<(), Problem> {
        self.writer.write_record(None::<&[u8]>).map_err(Problem::internal)
    }

    fn take(&mut self) -> Result<Vec<u8>, Problem> {
        let written = std::mem::replace(&mut self.writer, writer());
        written.into_inner().map_err(Problem::internal)
    }
}

fn writer() -> Writer<Vec<u8>> {
    WriterBuilder::new().terminator(Terminator::CRLF).from_writer(Vec::new())
}

/// A text as a cell that no spreadsheet runs.
fn marked(text: &str) -> Cow<'_, str> {
    let seen = text.trim_start_matches(ignored);
    if text.starts_with(MARKED) || seen.starts_with(FORMULA) {
        Cow::Owned(format!("'{text}"))
    } else {
        Cow::Borrowed(text)
    }
}

/// Whether spreadsheets may pass over the character when they look at what a cell begins with.
fn ignored(character: char) -> bool {
    character.is_whitespace() || character.is_control() || is_invisible(character)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn formulas_are_marked_and_the_mark_can_be_taken_away() {
        let formulas =
            ["=1+1", "+1", "-1", "@SUM(A1)", "＝1", "＋1", "－1", "＠A", "﹦1", "\u{2212}1"];
        let unseen = [
            "",
            " ",
            "   ",
            "\t",
            "\r",
            "\n",
            "\r\n",
            "\0",
            "\u{1b}",
            "\u{a0}",
            "\u{3000}",
            "\u{2028}",
            "\u{200b}",
            "\u{200d}",
            "\u{feff}",
            "\u{200e}",
            "\u{202e}",
            "\u{2066}",
            "\u{2060}",
            "\u{ad}",
            "\u{fe0f}",
            "\u{3164}",
            " \u{200b}\u{feff} ",
        ];
        for formula in formulas {
            for before in unseen {
                let text = format!("{before}{formula}");
                assert_eq!(marked(&text).strip_prefix('\''), Some(text.as_str()), "{text:?}");
            }
        }
        for text in ["'quoted", "''", "\torder", "\rorder", "\norder"] {
            assert_eq!(marked(text).strip_prefix('\''), Some(text), "{text:?}");
        }
    }

    #[test]
    fn other_texts_are_as_they_were() {
        for text in [
            "",
            " ",
            "\u{200b}",
            "order-1",
            " order",
            "1=1",
            "1+1",
            "{\"a\":\"=1\"}",
            "é",
            "\u{200b}é=1",
            "#1",
            "\u{200b}'",
            "字=1",
        ] {
            assert_eq!(marked(text), text, "{text:?}");
        }
    }
}
