//! `POST /v1/wallets`

use std::collections::BTreeMap;

use api_conventions::{CommandEnvelope, DecimalText, FieldErrors, Problem};
use axum::extract::State;
use axum::response::Response;
use domain::accounts::{AccountCode, AccountType, OpenAccount};
use domain::{Command, Currency, InvalidText, MerchantId, Name};
use serde::Deserialize;
use utoipa::ToSchema;

use crate::accounts::open::{OpenedAccount, opened};
use crate::answer::respond_with_version;
use crate::limits::ACCOUNT_BODY_BYTES_MAX;
use crate::metadata::checked_metadata;
use crate::state::ApiState;
use crate::submission::submit;

/// The most characters of a wallet's name: its code has a few before it.
const NAME_CHARACTERS_MAX: usize = AccountCode::CHARACTERS_MAX - AccountCode::WALLET_PREFIX.len();

/// A wallet to be opened.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({
    "name": "customer-42", "currency": "USD", "holder": "Ibu Sri", "max_balance": "1000.00"
}))]
pub(crate) struct NewWallet {
    /// What it is called: ASCII letters, digits and `:._-`, not used in the ledger before. Its
    /// account has the code `wallet:<name>`.
    #[schema(example = "customer-42", min_length = 1, max_length = 93)]
    name: String,
    /// The one currency it holds: the upper-case ISO 4217 code.
    #[schema(example = "USD", min_length = 3, max_length = 3)]
    currency: String,
    /// Whose it is, for statements.
    #[schema(example = "Ibu Sri", min_length = 1, max_length = 255)]
    holder: Option<String>,
    /// The most that its balance may be. No limit where it is not given.
    #[schema(value_type = Option<String>, example = "1000.00")]
    max_balance: Option<DecimalText>,
    /// What to find it by: at most 50 keys of up to 64 characters, with values of up to 500.
    metadata: Option<BTreeMap<String, String>>,
}

/// Open a wallet
///
/// Opens a liability account with the code `wallet:<name>`, whose balance does not fall below zero.
/// It is an account like any other: `/v1/accounts/{id}` freezes, unfreezes, amends (but not to fall below
/// zero) and closes it, and its statement is `GET /v1/accounts/{id}/statement` of the query API.
#[utoipa::path(
    post, path = "/v1/wallets", tag = "wallets", request_body = NewWallet,
    responses(
        (status = 201, description = "Opened", body = OpenedAccount<'_>,
         headers(("ETag" = String, description = "The account's version"))),
        (status = 409, description = "`account-code-taken`, `idempotency-key-in-use`"),
        (status = 422, description = "`invalid-request`, `limits-cross`, `idempotency-key-reused`"),
    )
)]
pub(crate) async fn open_wallet(
    State(api): State<ApiState>,
    envelope: CommandEnvelope<ACCOUNT_BODY_BYTES_MAX>,
) -> Result<Response, Problem> {
    let command = envelope.json::<NewWallet>()?.into_command(envelope.caller.merchant_id)?;
    let answer = submit(&api.store, envelope, Command::OpenAccount(command), opened);
    Ok(respond_with_version(&answer.await?))
}

impl NewWallet {
    fn into_command(self, ledger: MerchantId) -> Result<OpenAccount, Problem> {
        let mut errors = FieldErrors::new();
        let code = errors.check("/name", wallet_code(&self.name));
        let name = errors.check_optional("/holder", self.holder.map(|name| Name::parse(&name)));
        let currency: Option<Currency> = errors.check("/currency", self.currency.parse());
        let metadata = checked_metadata(&mut errors, "/metadata", self.metadata);
        // Without its currency, an amount says nothing.
        let most = currency.and_then(|currency| {
            let most = self.max_balance.map(|text| text.signed(currency));
            errors.check_optional("/max_balance", most)
        });
        errors.finish(|| {
            let plain = OpenAccount::plain(ledger, code?, AccountType::Liability, currency?);
            Some(OpenAccount {
                name: name?,
                metadata: metadata?,
                min_balance_minor: Some(0),
                max_balance_minor: most?.map(|money| money.minor),
                ..plain
            })
        })
    }
}

/// The code of the wallet's account.
fn wallet_code(name: &str) -> Result<AccountCode, InvalidText> {
    if name.is_empty() || name.len() > NAME_CHARACTERS_MAX {
        return Err(InvalidText::Length { max: NAME_CHARACTERS_MAX });
    }
    format!("{}{name}", AccountCode::WALLET_PREFIX).parse()
}
