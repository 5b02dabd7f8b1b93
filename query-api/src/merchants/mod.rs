//! Merchants, as they were taken on.

pub(crate) mod list;
pub(crate) mod show;

use api_conventions::{AmountDto, Problem};
use domain::merchants::{FeeTerms, Rounding};
use domain::{MerchantId, Timestamp};
use serde::Serialize;
use sqlx::FromRow;
use sqlx::types::Json as JsonColumn;
use time::OffsetDateTime;
use utoipa::ToSchema;
use uuid::Uuid;

use crate::row_values::timestamp;

/// A merchant.
#[derive(Serialize, ToSchema)]
pub(crate) struct Merchant {
    /// Its id, and that of its ledger.
    #[schema(value_type = String, example = "mer_01h455vb4pex5vsknk084sn02q")]
    id: MerchantId,
    /// What it trades as.
    #[schema(example = "Toko Runut")]
    name: String,
    /// What the platform keeps of its payments.
    fees: MerchantFees,
    /// Its version, which is its `ETag`.
    #[schema(example = 1)]
    version: i64,
    /// When it was taken on.
    #[schema(value_type = String, format = DateTime)]
    recorded_at: Timestamp,
}

/// What the platform keeps of each payment: a share of the sum, and a fixed fee of its currency.
#[derive(Serialize, ToSchema)]
#[schema(as = FeeTerms)]
pub(crate) struct MerchantFees {
    /// Per cent of the sum.
    #[schema(example = "2.9")]
    percent: String,
    /// One fee for each currency that has one.
    fixed: Vec<AmountDto>,
    /// How fees are rounded.
    #[schema(value_type = String, example = "half_even")]
    rounding: Rounding,
}

#[derive(FromRow)]
struct MerchantRow {
    merchant_id: Uuid,
    name: String,
    fees: JsonColumn<FeeTerms>,
    version: i64,
    registered_at: OffsetDateTime,
    registered_position: i64,
}

impl TryFrom<MerchantRow> for Merchant {
    type Error = Problem;

    fn try_from(row: MerchantRow) -> Result<Self, Problem> {
        let fees = row.fees.0;
        let fixed = fees.fixed().map_err(Problem::internal)?;
        Ok(Self {
            id: MerchantId::from_uuid(row.merchant_id),
            name: row.name,
            fees: MerchantFees {
                percent: fees.percent().to_string(),
                fixed: fixed.into_iter().map(AmountDto::from).collect(),
                rounding: fees.rounding(),
            },
            version: row.version,
            recorded_at: timestamp(row.registered_at),
        })
    }
}
