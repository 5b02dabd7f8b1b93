//! Payments as they stand, and how they got there.

pub(crate) mod list;
pub(crate) mod refunds;
pub(crate) mod show;
pub(crate) mod timeline;

use api_conventions::{Caller, Problem};
use domain::PaymentId;
use domain::payments::Payment;
use sqlx::FromRow;

use crate::position::MinPosition;
use crate::read_model::ReadModel;
use crate::shown::Shown;
use crate::state::ApiState;

/// A payment's row: all there is to know is in the aggregate.
#[derive(FromRow)]
struct PaymentRow {
    created_position: i64,
    aggregate: String,
}

impl PaymentRow {
    fn payment(&self) -> Result<Payment, Problem> {
        // Written by the projection of this very version; anything else is a bug.
        serde_json::from_str(&self.aggregate)
            .map_err(|error| Problem::internal(format_args!("a payment's row: {error}")))
    }
}

const SHOW: &str = "
    select model.position as model_position, model.state as model_state,
        model.version as model_version, payment_id is not null as found, created_position,
        aggregate::text as aggregate
    from read.checkpoint as model
    left join read.payments as payment
        on payment_id = $2 and ($3::uuid is null or merchant_id = $3)
    where projection = $1";

/// A payment that the caller may see, and where the read model stood.
async fn shown(
    api: &ApiState,
    caller: &Caller,
    id: PaymentId,
    min: MinPosition,
) -> Result<(Option<Payment>, crate::read_model::Standing), Problem> {
    let Shown { row, standing } =
        Shown::<PaymentRow>::by_key(SHOW, id.uuid(), ReadModel::Payments, api, caller, min).await?;
    let payment = row.map(|row| row.payment()).transpose()?;
    Ok((payment, standing))
}
