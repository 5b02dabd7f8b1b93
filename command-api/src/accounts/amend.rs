//! `PATCH /v1/accounts/{id}`

use std::collections::BTreeMap;

use api_conventions::{CommandEnvelope, DecimalText, FieldErrors, PathId, Problem};
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use domain::accounts::{AmendAccount, Change};
use domain::{
    AccountId, Command, Currency, Decision, Event, MerchantId, Name, Rejection, State as Aggregate,
    StreamVersion, Timestamp,
};
use event_store::NewAnswer;
use serde::{Deserialize, Deserializer, Serialize};
use utoipa::ToSchema;

use super::clearing::NewClearing;
use crate::answer::{respond_with_version, success};
use crate::limits::ACCOUNT_BODY_BYTES_MAX;
use crate::metadata::checked_metadata;
use crate::state::ApiState;
use crate::submission::{no_answer, submit};
use crate::versions::expected_versions;

/// What a field of a body asks for: nothing where it is absent, its removal where it is null.
type Given<T> = Option<Option<T>>;

/// What is to be changed of an account. A field that is absent stays as it is; null takes it away.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"name": "Petty cash", "max_balance": "500.00", "min_balance": null}))]
pub(crate) struct AccountAmendment {
    /// What statements call it.
    #[schema(value_type = Option<String>, min_length = 1, max_length = 255)]
    #[serde(default, deserialize_with = "given")]
    name: Given<String>,
    /// What to find it by, as a whole: at most 50 keys of up to 64 characters, with values of up to
    /// 500.
    #[schema(value_type = Option<BTreeMap<String, String>>)]
    #[serde(default, deserialize_with = "given")]
    metadata: Given<BTreeMap<String, String>>,
    /// The least that its balance may be. If it is less already it may only rise.
    #[schema(value_type = Option<String>, example = "0.00")]
    #[serde(default, deserialize_with = "given")]
    min_balance: Given<DecimalText>,
    /// The most that its balance may be. If it is more already it may only fall.
    #[schema(value_type = Option<String>, example = "500.00")]
    #[serde(default, deserialize_with = "given")]
    max_balance: Given<DecimalText>,
    /// When a balance in it is a reason for an alert.
    #[schema(value_type = Option<NewClearing>)]
    #[serde(default, deserialize_with = "given")]
    clearing: Given<NewClearing>,
}

fn given<'de, T: Deserialize<'de>, D: Deserializer<'de>>(field: D) -> Result<Given<T>, D::Error> {
    Option::deserialize(field).map(Some)
}

/// An account that is as asked for.
#[derive(Serialize, ToSchema)]
pub(crate) struct AmendedAccount {
    /// The account.
    #[schema(value_type = String, example = "acc_7h455vb4pex5vsknk084sn02q0")]
    id: AccountId,
    /// Its version now, which is its `ETag`.
    #[schema(value_type = i64, example = 2)]
    version: StreamVersion,
    /// When this was found or made so.
    #[schema(value_type = String, format = DateTime)]
    recorded_at: Timestamp,
}

/// Amend an account
///
/// Changes what the body names, in one go. An account that is as asked for already stays at its
/// version.
#[utoipa::path(
    patch, path = "/v1/accounts/{id}", tag = "accounts", request_body = AccountAmendment,
    params(
        ("id" = String, Path, description = "The account",
         example = "acc_7h455vb4pex5vsknk084sn02q0"),
        ("If-Match" = Option<String>, Header,
         description = "Versions (`ETag`s) at which to do it; at any other: 412",
         example = "\"1\""),
    ),
    responses(
        (status = 200, description = "As asked for", body = AmendedAccount,
         headers(("ETag" = String, description = "The account's version"))),
        (status = 404, description = "`account-not-found`, `not-found`"),
        (status = 409, description = "`account-closed`, `idempotency-key-in-use`"),
        (status = 412, description = "`precondition-failed`: another version than `If-Match` says"),
        (status = 422, description = "`invalid-request`, `limits-cross`, `system-account`, \
                                      `mechanism-account`, `idempotency-key-reused`"),
    )
)]
pub(crate) async fn amend_account(
    State(api): State<ApiState>,
    PathId(account_id): PathId<AccountId>,
    envelope: CommandEnvelope<ACCOUNT_BODY_BYTES_MAX>,
) -> Result<Response, Problem> {
    let ledger = envelope.caller.merchant_id;
    let expected_versions = expected_versions(envelope.if_match.as_ref());
    let body: AccountAmendment = envelope.json()?;
    // What an amount says depends on the account's currency, which never changes.
    let found = api.store.account(account_id).await.map_err(|error| no_answer(&error))?;
    let found = found.filter(|account| account.profile.ledger == ledger);
    let account = found.ok_or(Rejection::AccountNotFound { account_id })?;
    let command = body.into_command(ledger, account_id, account.profile.currency)?;
    let command = Command::AmendAccount(AmendAccount { expected_versions, ..command });
    Ok(respond_with_version(&submit(&api.store, envelope, command, amended).await?))
}

impl AccountAmendment {
    fn into_command(
        self,
        ledger: MerchantId,
        account_id: AccountId,
        currency: Currency,
    ) -> Result<AmendAccount, Problem> {
        let mut errors = FieldErrors::new();
        let errors_ = &mut errors;
        let name = change(self.name, |text| errors_.check("/name", Name::parse(&text)));
        let metadata =
            change(self.metadata, |entries| checked_metadata(errors_, "/metadata", Some(entries)));
        let mut limit = |at: &'static str, given: Given<DecimalText>| {
            change(given, |text| errors_.check(at, text.signed(currency)).map(|money| money.minor))
        };
        let least = limit("/min_balance", self.min_balance);
        let most = limit("/max_balance", self.max_balance);
        let clearing = change(self.clearing, |terms| terms.checked(errors_, currency));
        errors.finish(|| {
            Some(AmendAccount {
                ledger,
                account_id,
                name,
                metadata,
                min_balance_minor: least,
                max_balance_minor: most,
                clearing,
                expected_versions: None,
            })
        })
    }
}

/// The change that a field asks for; where its value is wrong, which `check` notes, any.
fn change<T, U>(given: Given<T>, check: impl FnOnce(T) -> Option<U>) -> Change<U> {
    match given {
        None => Change::Keep,
        Some(value) => Change::Set(value.and_then(check)),
    }
}

pub(crate) fn amended(decision: &Decision, recorded_at: Timestamp) -> Option<NewAnswer> {
    let (id, version) = match decision {
        Decision::Append(events) => {
            let first = events.first()?;
            let Event::AccountAmended(amended) = &first.event else { return None };
            (amended.account_id, first.version)
        }
        Decision::Already(Aggregate::Account(account)) => (account.profile.id, account.version),
        Decision::Already(_) | Decision::Several { .. } => return None,
    };
    Some(success(StatusCode::OK, id, &AmendedAccount { id, version, recorded_at }))
}
