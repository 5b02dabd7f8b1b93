//! `GET /v1/payments`

use api_conventions::{
    Caller, DecimalText, FieldError, ListQuery, Page, PageParameters, PaymentResource, Problem,
};
use axum::Json;
use axum::extract::State;
use axum::response::Response;
use domain::api_keys::Role;
use domain::payments::{DeclineClass, PaymentState, PspName};
use domain::{Currency, MerchantId, Timestamp};
use serde::Deserialize;
use utoipa::IntoParams;

use super::PaymentRow;
use crate::caller_scope::visible_to;
use crate::database::refused;
use crate::log::{TimeRange, demanded_before};
use crate::page_rows::PageRows;
use crate::position::MinPosition;
use crate::read_model::ReadModel;
use crate::snapshot::Snapshot;
use crate::state::ApiState;

/// Which payments to list; all where nothing is given.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct PaymentFilters {
    /// Where they stand, such as `captured`.
    #[param(value_type = Option<String>, example = "captured")]
    state: Option<PaymentState>,
    /// The payments of this merchant.
    #[param(value_type = Option<String>, example = "mer_01h455vb4pex5vsknk084sn02q")]
    merchant: Option<MerchantId>,
    /// Those of this payer, as the merchant calls them.
    customer: Option<String>,
    /// Those that the merchant calls so.
    #[param(example = "order-1042")]
    reference: Option<String>,
    /// The upper-case ISO 4217 code.
    #[param(value_type = Option<String>, example = "USD")]
    currency: Option<Currency>,
    /// At least this much; needs `currency`.
    #[param(value_type = Option<String>, example = "10.00")]
    amount_min: Option<DecimalText>,
    /// At most this much; needs `currency`.
    #[param(value_type = Option<String>, example = "100.00")]
    amount_max: Option<DecimalText>,
    /// Those that this PSP authorized, or else was asked last.
    #[param(value_type = Option<String>, example = "alpha")]
    psp: Option<PspName>,
    /// Those that were not paid when that was last tried, for a reason of this kind.
    #[param(value_type = Option<String>, example = "soft_funds")]
    decline_class: Option<DeclineClass>,
    /// Not created before this time (RFC 3339).
    #[param(value_type = Option<String>, format = DateTime, example = "2026-01-01T00:00:00Z")]
    from: Option<Timestamp>,
    /// Created before this time (RFC 3339).
    #[param(value_type = Option<String>, format = DateTime, example = "2026-02-01T00:00:00Z")]
    to: Option<Timestamp>,
}

const LIST: &str = "
    select created_position, aggregate::text as aggregate
    from read.payments
    where ($1::uuid is null or merchant_id = $1)
        and ($2::uuid is null or merchant_id = $2)
        and ($3::text is null or state = $3)
        and ($4::text is null or customer = $4)
        and ($5::text is null or reference = $5)
        and ($6::text is null or currency = $6)
        and ($7::bigint is null or amount_minor >= $7)
        and ($8::bigint is null or amount_minor <= $8)
        and ($9::text is null or psp = $9)
        and ($10::text[] is null or decline_class = any($10))
        and created_position > $11 and created_position <= $12
        and ($13::bigint is null or created_position < $13)
    order by created_position desc
    limit $14";

/// List payments
///
/// The payments that the key may see, those created last first.
#[utoipa::path(
    get, path = "/v1/payments", tag = "payments", params(PaymentFilters, PageParameters),
    responses((status = 200, description = "A page", body = Page<PaymentResource>))
)]
pub(crate) async fn list_payments(
    State(api): State<ApiState>,
    caller: Caller,
    query: ListQuery<PaymentFilters, i64>,
    min: MinPosition,
) -> Result<Response, Problem> {
    let filters = &query.filters;
    let amount_min = minor("amount_min", filters.amount_min.as_ref(), filters.currency)?;
    let amount_max = minor("amount_max", filters.amount_max.as_ref(), filters.currency)?;
    let min = min.at_least(demanded_before(filters.to, &api).await?);
    let mut snapshot = Snapshot::of(ReadModel::Payments, &api, min).await?;
    let times = TimeRange::between(filters.from, filters.to, snapshot.db()).await;
    let times = times.map_err(refused)?;
    let listing = sqlx::query(PageRows::statement(LIST))
        .bind(visible_to(&caller))
        .bind(filters.merchant.map(MerchantId::uuid))
        .bind(filters.state.map(PaymentState::name))
        .bind(filters.customer.as_deref())
        .bind(filters.reference.as_deref())
        .bind(filters.currency.map(Currency::code))
        .bind(amount_min)
        .bind(amount_max)
        .bind(filters.psp.as_ref().map(PspName::as_str))
        .bind(filters.decline_class.map(|class| asked_for(class, &caller)))
        .bind(times.after.number())
        .bind(times.up_to.number())
        .bind(query.after)
        .bind(i64::try_from(query.rows_to_read()).unwrap_or(i64::MAX));
    let read = PageRows::read(listing, snapshot.db(), query.limit).await?;
    let resource =
        |row: PaymentRow| Ok((row.created_position, PaymentResource::from(&row.payment()?)));
    let rows: Vec<(i64, PaymentResource)> =
        read.of()?.into_iter().map(resource).collect::<Result<_, Problem>>()?;
    let page = Page::of(rows, read.limit, |(created, _)| *created, |(_, payment)| payment);
    Ok(snapshot.answer(Json(page)))
}

/// The classes that the caller means: nobody but an operator finds out by asking what an answer does not say.
fn asked_for(class: DeclineClass, caller: &Caller) -> Vec<&'static str> {
    if caller.role == Role::Operator {
        return vec![class.name()];
    }
    let shown = DeclineClass::ALL.into_iter().filter(|one| one.shown() == class);
    shown.map(DeclineClass::name).collect()
}

/// An amount to filter by, in minor units.
fn minor(
    parameter: &'static str,
    amount: Option<&DecimalText>,
    currency: Option<Currency>,
) -> Result<Option<i64>, Problem> {
    let Some(amount) = amount else { return Ok(None) };
    let invalid = |detail: &dyn std::fmt::Display| {
        let error = FieldError::of_parameter(parameter, api_conventions::INVALID_VALUE, detail);
        Problem::invalid(vec![error])
    };
    let currency = currency.ok_or_else(|| invalid(&"needs `currency` beside it"))?;
    amount.signed(currency).map(|money| Some(money.minor)).map_err(|error| invalid(&error))
}
