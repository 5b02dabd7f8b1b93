//! The merchants and API keys that an installation begins with.
//!
//! Their ids and secrets are in `secrets.env` before they are in the log, so every start makes sure
//! of all of them: the first issues them, the following find them, and one over a database that was
//! replaced issues the same again.

use anyhow::Context;
use api_conventions::ApiKeyToken;
use domain::api_keys::{IssueApiKey, Role};
use domain::merchants::{FeeTerms, RegisterMerchant};
use domain::{Command, MerchantId, Name, Rejection};
use event_store::EventStore;

use super::secrets::Secrets;
use crate::administration::give;
use crate::env_file::EnvFile;

const ACTOR: &str = "runut-up";

struct FirstMerchant {
    variable: &'static str,
    name: &'static str,
}

const MERCHANT: FirstMerchant =
    FirstMerchant { variable: "MERCHANT_ID", name: "Runut Demo Merchant" };
const OTHER_MERCHANT: FirstMerchant =
    FirstMerchant { variable: "OTHER_MERCHANT_ID", name: "Other Demo Merchant" };

struct FirstKey {
    variable: &'static str,
    role: Role,
    merchant: Option<FirstMerchant>,
}

const KEYS: [FirstKey; 6] = [
    FirstKey { variable: "MERCHANT_KEY", role: Role::Merchant, merchant: Some(MERCHANT) },
    FirstKey { variable: "MERCHANT_READ_KEY", role: Role::MerchantRead, merchant: Some(MERCHANT) },
    FirstKey {
        variable: "OTHER_MERCHANT_KEY",
        role: Role::Merchant,
        merchant: Some(OTHER_MERCHANT),
    },
    FirstKey { variable: "OPERATOR_KEY", role: Role::Operator, merchant: None },
    FirstKey { variable: "AUDITOR_KEY", role: Role::Auditor, merchant: None },
    FirstKey { variable: "ANALYST_KEY", role: Role::Analyst, merchant: None },
];

/// Makes sure that the log has every first merchant and key; their ids and tokens.
pub(super) async fn ensure(store: &EventStore, secrets: &mut Secrets) -> anyhow::Result<EnvFile> {
    let head = store.head().borrow().number();
    if head > 0 && !secrets.has(MERCHANT.variable) {
        tracing::warn!(
            head,
            "this folder has no keys of this log, which is not new: other merchants and keys are made"
        );
    }
    let mut ensured = EnvFile::default();
    for FirstMerchant { variable, name } in [MERCHANT, OTHER_MERCHANT] {
        let id = secrets.merchant(variable)?;
        ensure_merchant(store, id, name).await.with_context(|| format!("`{name}` is missing"))?;
        ensured.set(variable, id.to_string());
    }
    for key in KEYS {
        let issuing = ensure_key(store, secrets, &key).await;
        let token = issuing.with_context(|| format!("{} cannot be issued", key.variable))?;
        ensured.set(key.variable, token.expose());
    }
    Ok(ensured)
}

async fn ensure_merchant(store: &EventStore, id: MerchantId, name: &str) -> anyhow::Result<()> {
    let (name, fees) = (Name::parse(name)?, FeeTerms::free());
    let command = RegisterMerchant { merchant_id: id, name, fees };
    match give(store, ACTOR, Command::RegisterMerchant(command)).await? {
        Ok(()) | Err(Rejection::MerchantIdTaken { .. }) => Ok(()),
        Err(rejection) => Err(rejection.into()),
    }
}

/// A key that was revoked meanwhile, or has another secret in the log, is replaced by a new one.
async fn ensure_key(
    store: &EventStore,
    secrets: &mut Secrets,
    key: &FirstKey,
) -> anyhow::Result<ApiKeyToken> {
    let merchant_id = match &key.merchant {
        Some(merchant) => secrets.merchant(merchant.variable)?,
        None => MerchantId::PLATFORM,
    };
    let mut token = secrets.token(key.variable)?;
    match store.api_key(token.key_id()).await? {
        Some(known) if token.opens(&known) => return Ok(token),
        Some(_) => {
            tracing::warn!(
                key = key.variable,
                "the key opens nothing any more, a new one is issued"
            );
            token = secrets.draw_token(key.variable)?;
        }
        None => {}
    }
    let command = IssueApiKey {
        key_id: token.key_id(),
        merchant_id,
        role: key.role,
        label: Some(Name::parse(&format!("{} of `runut up`", key.role.name()))?),
        secret: token.secret_digest(),
    };
    give(store, ACTOR, Command::IssueApiKey(command)).await??;
    Ok(token)
}
