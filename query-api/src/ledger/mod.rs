//! The ledger: its entries, and whether it balances.

pub(crate) mod closes;
pub(crate) mod holds;
pub(crate) mod list_entries;
pub(crate) mod show_entry;
pub(crate) mod trial_balance;

use std::collections::BTreeMap;

use domain::{DisputeId, EntryId, HoldId, MerchantId, PaymentId, Timestamp};
use serde::Serialize;
use sqlx::FromRow;
use sqlx::types::Json as JsonColumn;
use time::OffsetDateTime;
use utoipa::ToSchema;
use uuid::Uuid;

use crate::caller_scope::owner;
use crate::row_values::timestamp;

/// An entry, without what it moved.
#[derive(Serialize, ToSchema)]
pub(crate) struct EntrySummary {
    /// Its id.
    #[schema(value_type = String, example = "ent_01h455vb4pex5vsknk084sn02q")]
    id: EntryId,
    /// The ledger it is in: its merchant's id; null for the platform's own.
    #[schema(value_type = Option<String>, required, example = "mer_01h455vb4pex5vsknk084sn02q")]
    ledger: Option<MerchantId>,
    /// What the ledger calls it.
    #[schema(example = "order-1042")]
    external_ref: String,
    /// What it says of itself.
    #[schema(required, example = "Order 1042")]
    description: Option<String>,
    /// What to find it by.
    #[schema(example = json!({"order": "1042"}))]
    metadata: BTreeMap<String, String>,
    /// When it takes effect: when it was posted, unless its poster said otherwise.
    #[schema(value_type = String, format = DateTime)]
    effective_at: Timestamp,
    /// When it was meant to take effect, where the books of that day were closed already.
    #[schema(value_type = Option<String>, required, format = DateTime)]
    late_for: Option<Timestamp>,
    /// The payment it belongs to.
    #[schema(value_type = Option<String>, required)]
    payment: Option<PaymentId>,
    /// The dispute it belongs to.
    #[schema(value_type = Option<String>, required)]
    dispute: Option<DisputeId>,
    /// The hold that it posted, or a part of it.
    #[schema(value_type = Option<String>, required)]
    hold: Option<HoldId>,
    /// The entry that it is in the place of.
    #[schema(value_type = Option<String>, required)]
    replaces: Option<EntryId>,
    /// The entry that it reverses, or a part of it.
    #[schema(value_type = Option<String>, required)]
    reverses: Option<EntryId>,
    /// The entries that reversed parts of it, or all of it.
    #[schema(value_type = Vec<String>)]
    reversals: Vec<EntryId>,
    /// The entry that reversed the last of it; null while something of it is left.
    #[schema(value_type = Option<String>, required)]
    reversed_by: Option<EntryId>,
    /// How many postings it has.
    #[schema(example = 2)]
    posting_count: i16,
    /// 1, and one more with each reversal; its `ETag`.
    #[schema(example = 1)]
    version: i64,
    /// Its position in the log.
    #[schema(example = 42)]
    position: i64,
    /// When it was posted.
    #[schema(value_type = String, format = DateTime)]
    recorded_at: Timestamp,
}

#[derive(FromRow)]
struct EntryRow {
    entry_id: Uuid,
    ledger: Uuid,
    external_ref: String,
    description: Option<String>,
    metadata: JsonColumn<BTreeMap<String, String>>,
    effective_at: Option<OffsetDateTime>,
    late_for: Option<OffsetDateTime>,
    payment_id: Option<Uuid>,
    dispute_id: Option<Uuid>,
    hold_id: Option<Uuid>,
    replaces: Option<Uuid>,
    reverses: Option<Uuid>,
    reversals: Option<Vec<Uuid>>,
    reversed_by: Option<Uuid>,
    posting_count: i16,
    version: i64,
    position: i64,
    recorded_at: OffsetDateTime,
}

impl From<EntryRow> for EntrySummary {
    fn from(row: EntryRow) -> Self {
        Self {
            id: EntryId::from_uuid(row.entry_id),
            ledger: owner(row.ledger),
            external_ref: row.external_ref,
            description: row.description,
            metadata: row.metadata.0,
            effective_at: timestamp(row.effective_at.unwrap_or(row.recorded_at)),
            late_for: row.late_for.map(timestamp),
            payment: row.payment_id.map(PaymentId::from_uuid),
            dispute: row.dispute_id.map(DisputeId::from_uuid),
            hold: row.hold_id.map(HoldId::from_uuid),
            replaces: row.replaces.map(EntryId::from_uuid),
            reverses: row.reverses.map(EntryId::from_uuid),
            reversals: row.reversals.into_iter().flatten().map(EntryId::from_uuid).collect(),
            reversed_by: row.reversed_by.map(EntryId::from_uuid),
            posting_count: row.posting_count,
            version: row.version,
            position: row.position,
            recorded_at: timestamp(row.recorded_at),
        }
    }
}
