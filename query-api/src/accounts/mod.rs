//! Accounts: where money is, and how it got there.

pub(crate) mod balance;
pub(crate) mod clearing_alerts;
pub(crate) mod list;
pub(crate) mod rollup;
pub(crate) mod show;
pub(crate) mod statement;

use std::collections::BTreeMap;

use api_conventions::{DecimalText, Problem};
use domain::{AccountId, MerchantId, Timestamp};
use event_store::log::WideMinor;
use serde::Serialize;
use sqlx::FromRow;
use sqlx::types::Json as JsonColumn;
use time::OffsetDateTime;
use utoipa::ToSchema;
use uuid::Uuid;

use crate::caller_scope::owner;
use crate::row_values::{currency, decimal, timestamp};

/// An account with its balance. All amounts are of its currency.
#[derive(Serialize, ToSchema)]
pub(crate) struct Account {
    /// Its id: the same for this code in this ledger, for ever.
    #[schema(value_type = String, example = "acc_7h455vb4pex5vsknk084sn02q0")]
    id: AccountId,
    /// The ledger it is in: its merchant's id; null for the platform's own.
    #[schema(value_type = Option<String>, required, example = "mer_01h455vb4pex5vsknk084sn02q")]
    ledger: Option<MerchantId>,
    /// What the ledger calls it.
    #[schema(example = "cash")]
    code: String,
    /// What statements call it.
    #[schema(required, example = "Cash")]
    name: Option<String>,
    /// What it stands for: `asset` and `expense` grow by debits, `liability`, `equity` and `income` by
    /// credits.
    #[schema(example = "asset")]
    r#type: String,
    /// The side that makes its balance grow: `debit` or `credit`.
    #[schema(example = "debit")]
    normal_side: String,
    /// The one currency it holds.
    #[schema(example = "USD")]
    currency: String,
    /// The account above it in the chart of accounts.
    #[schema(value_type = Option<String>, required)]
    parent: Option<AccountId>,
    /// What to find it by.
    #[schema(example = json!({"branch": "7"}))]
    metadata: BTreeMap<String, String>,
    /// Whether it takes postings: `open`, `frozen` or `closed`.
    #[schema(example = "open")]
    status: String,
    /// The least that its balance may be, with all that is held against it; null where there is no limit.
    #[schema(value_type = Option<String>, required, example = "0.00")]
    min_balance: Option<DecimalText>,
    /// The most that its balance may be, with all that is held for it; null where there is no limit.
    #[schema(value_type = Option<String>, required)]
    max_balance: Option<DecimalText>,
    /// When a balance in it is a reason for an alert; null for accounts that need not clear.
    #[schema(required)]
    clearing: Option<Clearing>,
    /// Since when its balance is further from zero than the threshold; null while it is not.
    #[schema(value_type = Option<String>, required, format = DateTime)]
    uncleared_since: Option<Timestamp>,
    /// What is in it, positive on the side by which it grows.
    #[schema(value_type = String, example = "75.00")]
    balance: DecimalText,
    /// What may leave it: the balance less what is held against it and less the least that it may be.
    #[schema(value_type = String, example = "70.00")]
    available: DecimalText,
    /// What is held on the debit side.
    #[schema(value_type = String, example = "0.00")]
    held_debits: DecimalText,
    /// What is held on the credit side.
    #[schema(value_type = String, example = "5.00")]
    held_credits: DecimalText,
    /// The sum of all debits.
    #[schema(value_type = String, example = "100.00")]
    debits: DecimalText,
    /// The sum of all credits.
    #[schema(value_type = String, example = "25.00")]
    credits: DecimalText,
    /// Counts the changes of its status, from 1; what `If-Match` compares. Postings do not change it.
    #[schema(example = 1)]
    version: i64,
    /// When it was opened.
    #[schema(value_type = String, format = DateTime)]
    recorded_at: Timestamp,
    /// When anything of it changed last, its balance included.
    #[schema(value_type = String, format = DateTime)]
    updated_at: Timestamp,
}

/// When the balance of an account that should clear is a reason for an alert.
#[derive(Serialize, ToSchema)]
pub(crate) struct Clearing {
    /// How far from zero the balance may stay.
    #[schema(value_type = String, example = "10.00")]
    threshold: DecimalText,
    /// For how many hours it may be further.
    #[schema(example = 48)]
    max_age_hours: i32,
}

#[derive(FromRow)]
struct AccountRow {
    account_id: Uuid,
    ledger: Uuid,
    code: String,
    name: Option<String>,
    r#type: String,
    normal_side: String,
    currency: String,
    parent: Option<Uuid>,
    metadata: JsonColumn<BTreeMap<String, String>>,
    status: String,
    min_balance_minor: Option<i64>,
    max_balance_minor: Option<i64>,
    clearing_threshold_minor: Option<i64>,
    clearing_max_age_hours: Option<i32>,
    uncleared_since: Option<OffsetDateTime>,
    debits_pending: WideMinor,
    credits_pending: WideMinor,
    balance_minor: WideMinor,
    debits_posted: WideMinor,
    credits_posted: WideMinor,
    version: i64,
    opened_at: OffsetDateTime,
    opened_position: i64,
    updated_at: OffsetDateTime,
    updated_position: i64,
}

impl TryFrom<AccountRow> for Account {
    type Error = Problem;

    fn try_from(row: AccountRow) -> Result<Self, Problem> {
        let currency = currency(&row.currency)?;
        let held_against =
            if row.normal_side == "debit" { row.credits_pending } else { row.debits_pending };
        let floor = row.min_balance_minor.unwrap_or_default();
        let available = row.balance_minor.0 - held_against.0 - i128::from(floor);
        let clearing = row.clearing_threshold_minor.zip(row.clearing_max_age_hours);
        Ok(Self {
            id: AccountId::from_uuid(row.account_id),
            ledger: owner(row.ledger),
            code: row.code,
            name: row.name,
            r#type: row.r#type,
            normal_side: row.normal_side,
            currency: row.currency,
            parent: row.parent.map(AccountId::from_uuid),
            metadata: row.metadata.0,
            status: row.status,
            min_balance: row.min_balance_minor.map(|minor| decimal(minor, currency)),
            max_balance: row.max_balance_minor.map(|minor| decimal(minor, currency)),
            clearing: clearing.map(|(threshold, max_age_hours)| Clearing {
                threshold: decimal(threshold, currency),
                max_age_hours,
            }),
            uncleared_since: row.uncleared_since.map(timestamp),
            available: decimal(available, currency),
            held_debits: decimal(row.debits_pending, currency),
            held_credits: decimal(row.credits_pending, currency),
            balance: decimal(row.balance_minor, currency),
            debits: decimal(row.debits_posted, currency),
            credits: decimal(row.credits_posted, currency),
            version: row.version,
            recorded_at: timestamp(row.opened_at),
            updated_at: timestamp(row.updated_at),
        })
    }
}
