//! `POST /v1/accounts`

use std::collections::BTreeMap;

use api_conventions::{CommandEnvelope, DecimalText, FieldErrors, Problem};
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use domain::accounts::{AccountCode, AccountStatus, AccountType, OpenAccount};
use domain::{
    AccountId, Command, Currency, Decision, Event, MerchantId, Money, Name, StreamVersion,
    Timestamp,
};
use event_store::NewAnswer;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::clearing::NewClearing;
use crate::answer::{respond_with_version, success};
use crate::limits::ACCOUNT_BODY_BYTES_MAX;
use crate::metadata::checked_metadata;
use crate::names;
use crate::state::ApiState;
use crate::submission::submit;

/// An account to be opened.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({
    "code": "cash", "type": "asset", "currency": "USD", "min_balance": "0.00", "name": "Cash"
}))]
pub(crate) struct NewAccount {
    /// What the ledger calls it: ASCII letters, digits and `:._-`, not used in the ledger before.
    /// Accounts with codes that start with `fx:`, `wallet:` or `wallets:` come with conversions and
    /// wallets, and are opened by these alone.
    #[schema(example = "cash", min_length = 1, max_length = 100)]
    code: String,
    /// What it stands for.
    #[schema(schema_with = names::account_type)]
    r#type: String,
    /// The one currency it holds: the upper-case ISO 4217 code.
    #[schema(example = "USD", min_length = 3, max_length = 3)]
    currency: String,
    /// The least that its balance may be; may be negative, as for a credit line. No limit where it
    /// is not given.
    #[schema(value_type = Option<String>, example = "0.00")]
    min_balance: Option<DecimalText>,
    /// The most that its balance may be. No limit where it is not given.
    #[schema(value_type = Option<String>, example = "5000.00")]
    max_balance: Option<DecimalText>,
    /// The side that makes its balance grow, where that is not its type's: a contra account.
    #[schema(schema_with = names::normal_side)]
    normal_side: Option<String>,
    /// The account above it in the chart of accounts, of the same type.
    #[schema(example = "acc_2m1zq4x8kd9rj5b7c3wfhvt6gy")]
    parent: Option<String>,
    /// What statements call it.
    #[schema(min_length = 1, max_length = 255)]
    name: Option<String>,
    /// What to find it by: at most 50 keys of up to 64 characters, with values of up to 500.
    metadata: Option<BTreeMap<String, String>>,
    /// When a balance in it is a reason for an alert, for an account that should clear.
    clearing: Option<NewClearing>,
}

/// An account that was opened.
#[derive(Serialize, ToSchema)]
#[schema(as = Account)]
pub(crate) struct OpenedAccount<'a> {
    /// Its id: the same for this code in this ledger, for ever.
    #[schema(value_type = String, example = "acc_7h455vb4pex5vsknk084sn02q0")]
    id: AccountId,
    /// What the ledger calls it.
    #[schema(value_type = String, example = "cash")]
    code: &'a AccountCode,
    /// What statements call it.
    #[schema(value_type = Option<String>, required)]
    name: Option<&'a Name>,
    /// What it stands for.
    #[schema(schema_with = names::account_type)]
    r#type: AccountType,
    /// The one currency it holds.
    #[schema(value_type = String, example = "USD")]
    currency: Currency,
    /// The least that its balance may be; null where there is no limit.
    #[schema(value_type = Option<String>, required, example = "0.00")]
    min_balance: Option<DecimalText>,
    /// Whether it takes postings: `open`.
    #[schema(schema_with = names::account_status)]
    status: AccountStatus,
    /// Its version, which is its `ETag`.
    #[schema(value_type = i64, example = 1)]
    version: StreamVersion,
    /// When it was opened.
    #[schema(value_type = String, format = DateTime)]
    recorded_at: Timestamp,
}

/// Open an account
///
/// Opens an account in the ledger of the key's merchant; that of an operator's key is the platform's
/// own.
#[utoipa::path(
    post, path = "/v1/accounts", tag = "accounts", request_body = NewAccount,
    responses(
        (status = 201, description = "Opened", body = OpenedAccount<'_>,
         headers(("ETag" = String, description = "The account's version"))),
        (status = 404, description = "`account-not-found`: there is no such `parent`"),
        (status = 409, description = "`account-code-taken`, `account-closed` of the `parent`, \
                                      `idempotency-key-in-use`"),
        (status = 422, description = "`invalid-request`, `limits-cross`, `parent-of-other-type`, \
                                      `chart-too-deep`, `idempotency-key-reused`"),
    )
)]
pub(crate) async fn open_account(
    State(api): State<ApiState>,
    envelope: CommandEnvelope<ACCOUNT_BODY_BYTES_MAX>,
) -> Result<Response, Problem> {
    let command = envelope.json::<NewAccount>()?.into_command(envelope.caller.merchant_id)?;
    let answer = submit(&api.store, envelope, Command::OpenAccount(command), opened);
    Ok(respond_with_version(&answer.await?))
}

impl NewAccount {
    fn into_command(self, ledger: MerchantId) -> Result<OpenAccount, Problem> {
        let mut errors = FieldErrors::new();
        let code = errors.check("/code", AccountCode::chosen(&self.code, ledger));
        let name = errors.check_optional("/name", self.name.map(|name| Name::parse(&name)));
        let kind = errors.check("/type", self.r#type.parse());
        let side = self.normal_side.map(|side| side.parse());
        let contra_side = errors.check_optional("/normal_side", side);
        let parent = errors.check_optional("/parent", self.parent.map(|parent| parent.parse()));
        let metadata = checked_metadata(&mut errors, "/metadata", self.metadata);
        let currency: Option<Currency> = errors.check("/currency", self.currency.parse());
        // Without its currency, an amount says nothing.
        let amounts = currency.and_then(|currency| {
            let mut limit = |at, text: Option<DecimalText>| {
                let limit = errors.check_optional(at, text.map(|text| text.signed(currency)));
                limit.map(|money| money.map(|money| money.minor))
            };
            let least = limit("/min_balance", self.min_balance);
            let most = limit("/max_balance", self.max_balance);
            let clearing = match self.clearing {
                Some(clearing) => clearing.checked(&mut errors, currency).map(Some),
                None => Some(None),
            };
            Some((least?, most?, clearing?))
        });
        errors.finish(|| {
            let (min_balance_minor, max_balance_minor, clearing) = amounts?;
            Some(OpenAccount {
                ledger,
                code: code?,
                name: name?,
                kind: kind?,
                currency: currency?,
                contra_side: contra_side?,
                parent: parent?,
                metadata: metadata?,
                min_balance_minor,
                max_balance_minor,
                clearing,
            })
        })
    }
}

pub(crate) fn opened(decision: &Decision, recorded_at: Timestamp) -> Option<NewAnswer> {
    let Decision::Append(events) = decision else { return None };
    let first = events.first()?;
    let Event::AccountOpened(opened) = &first.event else { return None };
    let (account_id, currency) = (opened.account_id, opened.currency);
    let least = opened.min_balance_minor.map(|minor| Money { minor, currency });
    let body = OpenedAccount {
        id: account_id,
        code: &opened.code,
        name: opened.name.as_ref(),
        r#type: opened.kind,
        currency,
        min_balance: least.map(DecimalText::from),
        status: AccountStatus::Open,
        version: first.version,
        recorded_at,
    };
    Some(success(StatusCode::CREATED, account_id, &body))
}
