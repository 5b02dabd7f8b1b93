//! Reads what exports are made of, in key ranges.
//!
//! Each page is one short statement, and so a snapshot of its own. Entries, and the balance after each posting,
//! never change once they are there; so all pages up to one position are of the same books, even where a rebuilt
//! read model took the place of the other in between.

use std::collections::BTreeMap;

use api_conventions::Problem;
use domain::accounts::AccountType;
use domain::ledger::Direction;
use domain::{AccountId, Currency, DisputeId, EntryId, HoldId, Money, PaymentId, Sum, Timestamp};
use event_store::log::{Position, WideMinor};
use serde::Deserialize;
use sqlx::postgres::{PgPool, PgRow};
use sqlx::types::Json as JsonColumn;
use sqlx::{FromRow, Row};
use time::OffsetDateTime;
use uuid::Uuid;

use crate::database::refused;
use crate::position::MinPosition;
use crate::read_model::{ReadModel, Standing};
use crate::row_values::{currency, timestamp};

/// The most entries, or postings of a statement, that are read at once: some tens of milliseconds.
const PAGE_ENTRIES_MAX: i64 = 2_000;
/// The most bytes of entries that are read at once, as far as they are counted; at least one entry is.
const PAGE_BYTES_MAX: i64 = 4 * 1024 * 1024;
/// What one posting counts for: about what it takes as JSON.
const POSTING_BYTES: i64 = 256;
/// The most accounts that are read at once, each with the last posting before a position.
const PAGE_ACCOUNTS_MAX: i64 = 1_000;

/// The rows of an export: of one ledger, and recorded after one position and up to another.
#[derive(Debug, Clone)]
pub(super) struct Reading {
    pub(super) pool: PgPool,
    /// The one ledger that the key sees, as in every statement.
    pub(super) visible: Option<Uuid>,
    pub(super) ledger: Uuid,
    pub(super) after: Position,
    pub(super) up_to: Position,
}

/// An account with its balance at some position.
#[derive(Debug, Clone)]
pub(super) struct Account {
    pub(super) id: AccountId,
    pub(super) code: String,
    pub(super) kind: AccountType,
    pub(super) currency: Currency,
    pub(super) opened_position: i64,
    /// Positive if debits exceed credits, whatever the account's normal side.
    pub(super) debit_balance: Sum,
}

/// An entry with its postings; only what never changes.
#[derive(Debug, Clone)]
pub(super) struct Entry {
    pub(super) position: i64,
    pub(super) id: EntryId,
    pub(super) external_ref: String,
    pub(super) description: Option<String>,
    pub(super) metadata: BTreeMap<String, String>,
    pub(super) effective_at: Timestamp,
    pub(super) recorded_at: Timestamp,
    pub(super) late_for: Option<Timestamp>,
    pub(super) links: Links,
    pub(super) postings: Vec<Posting>,
}

/// What else there is about an entry.
#[derive(Debug, Clone, Copy)]
pub(super) struct Links {
    pub(super) payment: Option<PaymentId>,
    pub(super) dispute: Option<DisputeId>,
    pub(super) hold: Option<HoldId>,
    pub(super) replaces: Option<EntryId>,
    pub(super) reverses: Option<EntryId>,
}

impl Links {
    /// Each with its name, as text.
    pub(super) fn named(&self) -> [(&'static str, Option<String>); 5] {
        [
            ("reverses", self.reverses.map(|id| id.to_string())),
            ("replaces", self.replaces.map(|id| id.to_string())),
            ("payment", self.payment.map(|id| id.to_string())),
            ("dispute", self.dispute.map(|id| id.to_string())),
            ("hold", self.hold.map(|id| id.to_string())),
        ]
    }
}

/// One amount on one side of one account.
#[derive(Debug, Clone)]
pub(super) struct Posting {
    pub(super) account: AccountId,
    pub(super) code: String,
    pub(super) kind: AccountType,
    pub(super) direction: Direction,
    pub(super) amount: Money,
}

impl Posting {
    /// The amount, negative where it is a credit.
    pub(super) fn debit_amount(&self) -> Money {
        Money { minor: self.direction.signed(self.amount.minor), ..self.amount }
    }
}

/// One line of an account's statement, with its key.
#[derive(Debug, Clone)]
pub(super) struct Line {
    pub(super) position: i64,
    pub(super) index: i16,
    pub(super) entry: EntryId,
    pub(super) external_ref: String,
    pub(super) description: Option<String>,
    pub(super) effective_at: Timestamp,
    pub(super) recorded_at: Timestamp,
    pub(super) links: Links,
    pub(super) code: String,
    pub(super) direction: String,
    pub(super) amount: Money,
    pub(super) balance: Sum,
}

/// The checkpoint is named before any other table, as in `Shown`. The ledger is a range, as [`crate::key_range`]
/// says.
const ENTRIES: &str = "
    select model.position as model_position, model.state as model_state,
        model.version as model_version, e.entry_id is not null as found, e.entry_id, e.position,
        e.external_ref, e.description, e.metadata, e.effective_at, e.recorded_at, e.late_for,
        e.payment_id, e.dispute_id, e.hold_id, e.replaces, e.reverses,
        (select json_agg(json_build_object('account_id', a.account_id, 'code', a.code,
                'type', a.type, 'direction', p.direction, 'amount_minor', p.amount_minor,
                'currency', p.currency) order by p.posting_index)
            from unnest(e.account_ids) as named (account_id)
            cross join lateral (
                select posting_index, direction, amount_minor, currency from read.postings
                where account_id = named.account_id and position = e.position offset 0
            ) as p
            cross join lateral (
                select account_id, code, type from read.accounts
                where account_id = named.account_id offset 0
            ) as a) as postings
    from read.checkpoint as model
    left join lateral (
        select page.*, row_number() over ascending as nth, sum(bytes) over ascending as bytes_so_far
        from (
            select *, octet_length(metadata::text) + coalesce(octet_length(description), 0)
                + posting_count * $8::bigint as bytes
            from read.entries
            where ledger between $3 and $3 and ($2::uuid is null or $2 = $3)
                and position > $4 and position <= $5
            order by ledger, position limit $6
        ) as page
        window ascending as (order by position)
    ) as e on e.nth = 1 or e.bytes_so_far <= $7
    where projection = $1
    order by e.position";

/// The balance is that after the last posting up to the position, one key of an index.
const ACCOUNTS: &str = "
    select model.position as model_position, model.state as model_state,
        model.version as model_version, a.account_id is not null as found, a.account_id, a.code,
        a.type, a.normal_side, a.currency, a.opened_position,
        coalesce(last.balance_after_minor, 0) as balance_minor
    from read.checkpoint as model
    left join lateral (
        select account_id, code, type, normal_side, currency, opened_position from read.accounts
        where ledger between $3 and $3 and ($2::uuid is null or $2 = $3)
            and opened_position > $4 and opened_position <= $5
        order by ledger, opened_position limit $6
    ) as a on true
    left join lateral (
        select balance_after_minor from read.postings
        where account_id = a.account_id and position <= $7
        order by position desc, posting_index desc limit 1
    ) as last on true
    where projection = $1
    order by a.opened_position";

const LINES: &str = "
    select model.position as model_position, model.state as model_state,
        model.version as model_version, line.entry_id is not null as found, line.entry_id,
        line.position, line.posting_index, line.code, line.direction, line.amount_minor,
        line.currency, line.balance_after_minor, line.recorded_at, e.external_ref, e.description,
        e.effective_at, e.payment_id, e.dispute_id, e.hold_id, e.replaces, e.reverses
    from read.checkpoint as model
    left join lateral (
        select p.*, a.code
        from read.accounts as a
        join read.postings as p using (account_id)
        where account_id = $8 and a.ledger = $3 and ($2::uuid is null or a.ledger = $2)
            and (p.position, p.posting_index) > ($4, $7) and p.position <= $5
        order by p.position, p.posting_index limit $6
    ) as line on true
    left join lateral (
        select * from read.entries where entry_id = line.entry_id
    ) as e on true
    where projection = $1
    order by line.position, line.posting_index";

impl Reading {
    /// The next entries after a position, oldest first; none after the last.
    pub(super) async fn entries(&self, after: Position) -> Result<Vec<Entry>, Problem> {
        let rows = sqlx::query(ENTRIES)
            .bind(ReadModel::LedgerBalance.name())
            .bind(self.visible)
            .bind(self.ledger)
            .bind(after.number())
            .bind(self.up_to.number())
            .bind(PAGE_ENTRIES_MAX)
            .bind(PAGE_BYTES_MAX)
            .bind(POSTING_BYTES)
            .fetch_all(&self.pool)
            .await
            .map_err(refused)?;
        self.found::<EntryRow>(&rows)?.into_iter().map(Entry::try_from).collect()
    }

    /// The next accounts that were opened after a position, and until the last position of the export, each with
    /// its balance at the position `balance_at`; none after the last.
    pub(super) async fn accounts(
        &self,
        opened_after: Position,
        balance_at: Position,
    ) -> Result<Vec<Account>, Problem> {
        let rows = sqlx::query(ACCOUNTS)
            .bind(ReadModel::LedgerBalance.name())
            .bind(self.visible)
            .bind(self.ledger)
            .bind(opened_after.number())
            .bind(self.up_to.number())
            .bind(PAGE_ACCOUNTS_MAX)
            .bind(balance_at.number())
            .fetch_all(&self.pool)
            .await
            .map_err(refused)?;
        self.found::<AccountRow>(&rows)?.into_iter().map(Account::try_from).collect()
    }

    /// The next lines of an account's statement after one of them, oldest first; none after the last.
    pub(super) async fn lines(
        &self,
        account: AccountId,
        (position, index): (Position, i16),
    ) -> Result<Vec<Line>, Problem> {
        let rows = sqlx::query(LINES)
            .bind(ReadModel::LedgerBalance.name())
            .bind(self.visible)
            .bind(self.ledger)
            .bind(position.number())
            .bind(self.up_to.number())
            .bind(PAGE_ENTRIES_MAX)
            .bind(index)
            .bind(account.uuid())
            .fetch_all(&self.pool)
            .await
            .map_err(refused)?;
        self.found::<LineRow>(&rows)?.into_iter().map(Line::try_from).collect()
    }

    /// The rows beside the checkpoint, if the read model can still be shown up to the export's last position.
    fn found<R: for<'r> FromRow<'r, PgRow>>(&self, rows: &[PgRow]) -> Result<Vec<R>, Problem> {
        Standing::from_row(ReadModel::LedgerBalance, rows.first(), MinPosition::seen(self.up_to))?;
        let mut found = Vec::with_capacity(rows.len());
        for row in rows {
            if row.try_get("found").map_err(refused)? {
                found.push(R::from_row(row).map_err(refused)?);
            }
        }
        Ok(found)
    }
}

#[derive(FromRow)]
struct LinkRow {
    payment_id: Option<Uuid>,
    dispute_id: Option<Uuid>,
    hold_id: Option<Uuid>,
    replaces: Option<Uuid>,
    reverses: Option<Uuid>,
}

impl From<LinkRow> for Links {
    fn from(row: LinkRow) -> Self {
        Self {
            payment: row.payment_id.map(PaymentId::from_uuid),
            dispute: row.dispute_id.map(DisputeId::from_uuid),
            hold: row.hold_id.map(HoldId::from_uuid),
            replaces: row.replaces.map(EntryId::from_uuid),
            reverses: row.reverses.map(EntryId::from_uuid),
        }
    }
}

#[derive(FromRow)]
struct EntryRow {
    position: i64,
    entry_id: Uuid,
    external_ref: String,
    description: Option<String>,
    metadata: JsonColumn<BTreeMap<String, String>>,
    effective_at: Option<OffsetDateTime>,
    recorded_at: OffsetDateTime,
    late_for: Option<OffsetDateTime>,
    #[sqlx(flatten)]
    links: LinkRow,
    postings: JsonColumn<Vec<PostingRow>>,
}

#[derive(Deserialize)]
struct PostingRow {
    account_id: Uuid,
    code: String,
    r#type: String,
    direction: Direction,
    amount_minor: i64,
    currency: String,
}

impl TryFrom<EntryRow> for Entry {
    type Error = Problem;

    fn try_from(row: EntryRow) -> Result<Self, Problem> {
        let recorded_at = timestamp(row.recorded_at);
        Ok(Self {
            position: row.position,
            id: EntryId::from_uuid(row.entry_id),
            external_ref: row.external_ref,
            description: row.description,
            metadata: row.metadata.0,
            effective_at: row.effective_at.map_or(recorded_at, timestamp),
            recorded_at,
            late_for: row.late_for.map(timestamp),
            links: row.links.into(),
            postings: row
                .postings
                .0
                .into_iter()
                .map(Posting::try_from)
                .collect::<Result<_, _>>()?,
        })
    }
}

impl TryFrom<PostingRow> for Posting {
    type Error = Problem;

    fn try_from(row: PostingRow) -> Result<Self, Problem> {
        Ok(Self {
            account: AccountId::from_uuid(row.account_id),
            code: row.code,
            kind: kind(&row.r#type)?,
            direction: row.direction,
            amount: Money { minor: row.amount_minor, currency: currency(&row.currency)? },
        })
    }
}

#[derive(FromRow)]
struct AccountRow {
    account_id: Uuid,
    code: String,
    r#type: String,
    normal_side: String,
    currency: String,
    opened_position: i64,
    balance_minor: WideMinor,
}

impl TryFrom<AccountRow> for Account {
    type Error = Problem;

    fn try_from(row: AccountRow) -> Result<Self, Problem> {
        let WideMinor(balance) = row.balance_minor;
        let minor = if row.normal_side == Direction::Debit.name() { balance } else { -balance };
        let currency = currency(&row.currency)?;
        Ok(Self {
            id: AccountId::from_uuid(row.account_id),
            code: row.code,
            kind: kind(&row.r#type)?,
            currency,
            opened_position: row.opened_position,
            debit_balance: Sum { minor, currency },
        })
    }
}

#[derive(FromRow)]
struct LineRow {
    position: i64,
    posting_index: i16,
    entry_id: Uuid,
    external_ref: String,
    description: Option<String>,
    effective_at: Option<OffsetDateTime>,
    recorded_at: OffsetDateTime,
    #[sqlx(flatten)]
    links: LinkRow,
    code: String,
    direction: String,
    amount_minor: i64,
    currency: String,
    balance_after_minor: WideMinor,
}

impl TryFrom<LineRow> for Line {
    type Error = Problem;

    fn try_from(row: LineRow) -> Result<Self, Problem> {
        let recorded_at = timestamp(row.recorded_at);
        let currency = currency(&row.currency)?;
        Ok(Self {
            position: row.position,
            index: row.posting_index,
            entry: EntryId::from_uuid(row.entry_id),
            external_ref: row.external_ref,
            description: row.description,
            effective_at: row.effective_at.map_or(recorded_at, timestamp),
            recorded_at,
            links: row.links.into(),
            code: row.code,
            direction: row.direction,
            amount: Money { minor: row.amount_minor, currency },
            balance: Sum { minor: row.balance_after_minor.0, currency },
        })
    }
}

fn kind(name: &str) -> Result<AccountType, Problem> {
    name.parse().map_err(|error| Problem::internal(format_args!("account type `{name}`: {error}")))
}
