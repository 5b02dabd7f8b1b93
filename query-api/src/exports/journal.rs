//! `GET /v1/ledger/journal`

use api_conventions::{Caller, Connection, FieldError, MISSING_FIELD, Problem, StrictQuery};
use axum::Extension;
use axum::extract::State;
use axum::response::Response;
use domain::{Day, MerchantId, Timestamp};
use event_store::log::Position;
use serde::Deserialize;
use utoipa::{IntoParams, ToSchema};

use super::beancount::Beancount;
use super::csv::{self, JournalCsv};
use super::hledger::Hledger;
use super::parquet::{self, JournalParquet};
use super::reading::{Account, Entry, Reading};
use super::streaming::{Broken, File, Pieces, Recipient, download};
use crate::caller_scope::{OwnerFilter, visible_to};
use crate::database::refused;
use crate::log::{TimeRange, demanded_before};
use crate::position::MinPosition;
use crate::read_model::ReadModel;
use crate::snapshot::Snapshot;
use crate::state::ApiState;

/// What to export.
#[derive(Debug, Clone, Copy, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct JournalParameters {
    /// What to make of it; `csv` where nothing is said.
    #[param(inline)]
    format: Option<JournalFormat>,
    /// The ledger of this merchant, or of the `platform` itself. Required of keys that see several; a merchant's
    /// is its own.
    #[param(value_type = Option<String>, example = "mer_01h455vb4pex5vsknk084sn02q")]
    ledger: Option<OwnerFilter>,
    /// Entries not recorded before this time (RFC 3339).
    #[param(value_type = Option<String>, format = DateTime, example = "2026-01-01T00:00:00Z")]
    from: Option<Timestamp>,
    /// Entries recorded before this time (RFC 3339).
    #[param(value_type = Option<String>, format = DateTime, example = "2026-02-01T00:00:00Z")]
    to: Option<Timestamp>,
}

/// What other programs read.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub(crate) enum JournalFormat {
    /// One row a posting.
    #[default]
    Csv,
    /// A journal for hledger.
    Hledger,
    /// A ledger for Beancount.
    Beancount,
    /// One row a posting, in columns.
    Parquet,
}

/// A part of a file, in the order of this list.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Section {
    /// Each account, before anything is posted to it.
    Accounts,
    /// Each account with its balance before the first entry, where the export does not begin with the ledger.
    Opening,
    /// Each entry.
    Entries,
    /// Each account with its balance after the last entry.
    Closing,
}

/// The sections of formats that are books by themselves: programs that read them check the balances.
pub(super) const BOOKS: &[Section] =
    &[Section::Accounts, Section::Opening, Section::Entries, Section::Closing];

/// What makes a file of what was read. It keeps what it made until it is taken.
pub(super) trait Format: Send {
    /// What it is made of.
    fn sections(&self) -> &'static [Section];

    /// Declares an account.
    fn account(&mut self, _: &Account) {}

    /// Puts the balance before the first entry into an account.
    fn opening(&mut self, _: &Account) {}

    /// Writes an entry.
    ///
    /// # Errors
    /// What should be writable is not.
    fn entry(&mut self, entry: &Entry) -> Result<(), Problem>;

    /// States the balance after the last entry.
    fn closing(&mut self, _: &Account) {}

    /// Ends a page of a section.
    fn end_of_page(&mut self, _: Section) {}

    /// Ends the section itself.
    fn end_of(&mut self, _: Section) {}

    /// Says that this was all.
    ///
    /// # Errors
    /// As for entries.
    fn end(&mut self) -> Result<(), Problem> {
        Ok(())
    }

    /// What was made since it was taken last.
    ///
    /// # Errors
    /// As for entries.
    fn take(&mut self) -> Result<Vec<u8>, Problem>;
}

/// Export a ledger
///
/// The entries of one ledger, oldest first, up to the position that the answer says, sent while they are read. As
/// `hledger` and `beancount` it is a book that these programs check by themselves: accounts are declared, what was
/// there before `from` is an entry of its own, and the balances at the end are asserted; such a file is complete
/// if its last line is `; end`. `parquet` is complete if it can be opened; `csv` if the transfer ends without an
/// error, and its texts that begin with `=`, `+`, `-`, `@` or `'` have a `'` put in front, for spreadsheets.
#[utoipa::path(
    get, path = "/v1/ledger/journal", tag = "exports", params(JournalParameters),
    responses(
        (status = 200, description = "The file", content(
            (String = "text/csv"),
            (String = "text/plain"),
            (Vec<u8> = "application/vnd.apache.parquet"),
        )),
    )
)]
pub(crate) async fn export_journal(
    State(api): State<ApiState>,
    caller: Caller,
    connection: Option<Extension<Connection>>,
    StrictQuery(asked): StrictQuery<JournalParameters>,
    min: MinPosition,
) -> Result<Response, Problem> {
    let visible = visible_to(&caller);
    let Some(ledger) = asked.ledger.map(OwnerFilter::uuid).or(visible) else {
        let detail = "required: the key sees several ledgers, an export is of one";
        let error = FieldError::of_parameter("ledger", MISSING_FIELD, detail);
        return Err(Problem::invalid(vec![error]));
    };
    let min = min.at_least(demanded_before(asked.to, &api).await?);
    let mut snapshot = Snapshot::of(ReadModel::LedgerBalance, &api, min).await?;
    let range = TimeRange::between(asked.from, asked.to, snapshot.db()).await.map_err(refused)?;
    let recipient = Recipient::of(caller, connection, &api)?;
    let up_to = range.up_to.min(snapshot.position());
    let after = range.after.min(up_to);
    let pool = api.database.exports.clone();
    let reading = Reading { pool, visible, ledger, after, up_to };
    let format = asked.format.unwrap_or_default();
    let owner = MerchantId::from_uuid(ledger);
    let owner = if owner.platform() { "platform".to_owned() } else { owner.to_string() };
    let name = format!("journal-{owner}-{}.{}", snapshot.position(), format.extension());
    let file = File { name, media_type: format.media_type() };
    let first_day = asked.from.map(Day::of);
    let journal = Journal::of(reading, format.writer(&owner, first_day)?);
    let answer = download(&file, journal, api, recipient)?;
    Ok(snapshot.answer(answer))
}

impl JournalFormat {
    fn extension(self) -> &'static str {
        match self {
            Self::Csv => "csv",
            Self::Hledger => "journal",
            Self::Beancount => "beancount",
            Self::Parquet => "parquet",
        }
    }

    fn media_type(self) -> &'static str {
        match self {
            Self::Csv => csv::MEDIA_TYPE,
            Self::Hledger | Self::Beancount => "text/plain; charset=utf-8",
            Self::Parquet => parquet::MEDIA_TYPE,
        }
    }

    fn writer(self, owner: &str, first_day: Option<Day>) -> Result<Box<dyn Format>, Problem> {
        Ok(match self {
            Self::Csv => Box::new(JournalCsv::new()?),
            Self::Hledger => Box::new(Hledger::of(owner, first_day)),
            Self::Beancount => Box::new(Beancount::of(owner, first_day)),
            Self::Parquet => Box::new(JournalParquet::new()?),
        })
    }
}

/// An export under way: the sections that are still to come, and how far the first of them is.
struct Journal {
    reading: Reading,
    format: Box<dyn Format>,
    sections: &'static [Section],
    after: Option<Position>,
    ended: bool,
}

impl Journal {
    fn of(reading: Reading, format: Box<dyn Format>) -> Self {
        Self { reading, sections: format.sections(), format, after: None, ended: false }
    }

    /// Reads and writes one page of a section; whether there may be another.
    async fn page(&mut self, section: Section) -> Result<bool, Problem> {
        let Reading { after: first, up_to, .. } = self.reading;
        let last = match section {
            Section::Accounts => self.accounts(up_to, |format, one| format.account(one)).await?,
            Section::Opening if first == Position::START => None,
            Section::Opening => self.accounts(first, |format, one| format.opening(one)).await?,
            Section::Entries => {
                let entries = self.reading.entries(self.after.unwrap_or(first)).await?;
                for entry in &entries {
                    self.format.entry(entry)?;
                }
                entries.last().map(|entry| entry.position)
            }
            Section::Closing => self.accounts(up_to, |format, one| format.closing(one)).await?,
        };
        if last.is_some() {
            self.format.end_of_page(section);
        }
        self.after = last.map(Position::from_number);
        Ok(last.is_some())
    }

    /// One page of accounts with their balances at a position; the last one's key.
    async fn accounts(
        &mut self,
        balance_at: Position,
        write: fn(&mut dyn Format, &Account),
    ) -> Result<Option<i64>, Problem> {
        let after = self.after.unwrap_or(Position::START);
        let accounts = self.reading.accounts(after, balance_at).await?;
        for account in &accounts {
            write(self.format.as_mut(), account);
        }
        Ok(accounts.last().map(|account| account.opened_position))
    }
}

impl Pieces for Journal {
    async fn next(&mut self) -> Result<Option<Vec<u8>>, Broken> {
        if self.ended {
            return Ok(None);
        }
        match self.sections {
            [] => {
                self.format.end()?;
                self.ended = true;
            }
            [section, later @ ..] => {
                if !self.page(*section).await? {
                    self.format.end_of(*section);
                    self.sections = later;
                }
            }
        }
        Ok(Some(self.format.take()?))
    }
}
