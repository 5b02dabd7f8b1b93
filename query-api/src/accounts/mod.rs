//! Accounts: where money is, and how it got there.

pub(crate) mod list;
pub(crate) mod show;
pub(crate) mod statement;

use api_conventions::{DecimalText, Problem};
use domain::{AccountId, MerchantId, Timestamp};
use serde::Serialize;
use sqlx::FromRow;
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
    /// The one currency it holds.
    #[schema(example = "USD")]
    currency: String,
    /// Whether it takes postings: `open`, `frozen` or `closed`.
    #[schema(example = "open")]
    status: String,
    /// The least that its balance may be; null where there is no limit.
    #[schema(value_type = Option<String>, required, example = "0.00")]
    min_balance: Option<DecimalText>,
    /// What is in it, positive on the side by which it grows.
    #[schema(value_type = String, example = "75.00")]
    balance: DecimalText,
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

#[derive(FromRow)]
struct AccountRow {
    account_id: Uuid,
    ledger: Uuid,
    code: String,
    name: Option<String>,
    r#type: String,
    currency: String,
    status: String,
    min_balance_minor: Option<i64>,
    balance_minor: i64,
    debits_posted: i64,
    credits_posted: i64,
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
        Ok(Self {
            id: AccountId::from_uuid(row.account_id),
            ledger: owner(row.ledger),
            code: row.code,
            name: row.name,
            r#type: row.r#type,
            currency: row.currency,
            status: row.status,
            min_balance: row.min_balance_minor.map(|minor| decimal(minor, currency)),
            balance: decimal(row.balance_minor, currency),
            debits: decimal(row.debits_posted, currency),
            credits: decimal(row.credits_posted, currency),
            version: row.version,
            recorded_at: timestamp(row.opened_at),
            updated_at: timestamp(row.updated_at),
        })
    }
}
