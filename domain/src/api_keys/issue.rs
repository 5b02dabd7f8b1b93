//! Issuing an API key.

use serde::{Deserialize, Serialize};

use super::{Role, SecretDigest};
use crate::Context;
use crate::command::Decision;
use crate::event::{Event, NewEvent};
use crate::ids::{ApiKeyId, MerchantId};
use crate::rejection::Rejection;
use crate::state::{StateKey, States};
use crate::stream::{StreamId, StreamVersion};
use crate::text::Name;

/// Gives somebody a key.
#[derive(Debug, Clone)]
pub struct IssueApiKey {
    /// A fresh id.
    pub key_id: ApiKeyId,
    /// The merchant it is for; the platform for roles that are not one merchant's.
    pub merchant_id: MerchantId,
    /// What it allows.
    pub role: Role,
    /// What its holder calls it.
    pub label: Option<Name>,
    /// The digest of the secret, which only the holder gets.
    pub secret: SecretDigest,
}

/// A key was given out.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ApiKeyIssued {
    /// The key.
    pub key_id: ApiKeyId,
    /// Whose it is.
    pub merchant_id: MerchantId,
    /// What it allows.
    pub role: Role,
    /// What its holder calls it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub label: Option<Name>,
    /// The digest of its secret, in hex.
    pub secret_sha256: SecretDigest,
}

impl IssueApiKey {
    pub(crate) fn reads(&self) -> Vec<StateKey> {
        let mut keys = vec![StateKey::ApiKey(self.key_id)];
        if !self.merchant_id.platform() {
            keys.push(StateKey::Merchant(self.merchant_id));
        }
        keys
    }

    pub(crate) fn decide(
        &self,
        states: &impl States,
        context: &Context,
    ) -> Result<Decision, Rejection> {
        if self.role.of_one_merchant() == self.merchant_id.platform() {
            return Err(Rejection::RoleNeedsMerchant { role: self.role });
        }
        if !self.merchant_id.platform() && states.merchant(self.merchant_id).is_none() {
            return Err(Rejection::MerchantNotFound { merchant_id: self.merchant_id });
        }
        if states.api_key(self.key_id).is_some() {
            return Err(Rejection::ApiKeyIdTaken { key_id: self.key_id });
        }
        Ok(Decision::Append(vec![NewEvent {
            event_id: context.event_id,
            stream: StreamId::api_key(self.key_id),
            version: StreamVersion::FIRST,
            merchant_id: self.merchant_id,
            event: Event::ApiKeyIssued(ApiKeyIssued {
                key_id: self.key_id,
                merchant_id: self.merchant_id,
                role: self.role,
                label: self.label.clone(),
                secret_sha256: self.secret,
            }),
        }]))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::given_when_then::{
        MERCHANT, api_key_issued, given, issue_api_key, merchant_registered,
    };

    #[test]
    fn a_key_is_issued_to_a_registered_merchant() {
        given([merchant_registered()])
            .when(issue_api_key(Role::Merchant, MERCHANT))
            .then([api_key_issued(Role::Merchant, MERCHANT)]);
    }

    #[test]
    fn an_auditors_key_belongs_to_the_platform() {
        given([])
            .when(issue_api_key(Role::Auditor, MerchantId::PLATFORM))
            .then([api_key_issued(Role::Auditor, MerchantId::PLATFORM)]);
    }

    #[test]
    fn an_unknown_merchant_gets_no_key() {
        given([])
            .when(issue_api_key(Role::MerchantRead, MERCHANT))
            .then_rejected(Rejection::MerchantNotFound { merchant_id: MERCHANT });
    }

    #[test]
    fn role_and_owner_must_fit_before_the_merchant_is_looked_for() {
        for (role, owner) in [(Role::Operator, MERCHANT), (Role::Merchant, MerchantId::PLATFORM)] {
            given([])
                .when(issue_api_key(role, owner))
                .then_rejected(Rejection::RoleNeedsMerchant { role });
        }
    }
}
