//! Revoking an API key.

use serde::{Deserialize, Serialize};

use crate::Context;
use crate::command::Decision;
use crate::event::{Event, NewEvent};
use crate::ids::ApiKeyId;
use crate::rejection::Rejection;
use crate::state::{State, StateKey, States};
use crate::stream::StreamId;

/// Takes a key back, for ever.
#[derive(Debug, Clone)]
pub struct RevokeApiKey {
    /// The key.
    pub key_id: ApiKeyId,
}

/// A key was taken back.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ApiKeyRevoked {
    /// The key.
    pub key_id: ApiKeyId,
}

impl RevokeApiKey {
    pub(crate) fn reads(&self) -> Vec<StateKey> {
        vec![StateKey::ApiKey(self.key_id)]
    }

    pub(crate) fn decide(
        &self,
        states: &impl States,
        context: &Context,
    ) -> Result<Decision, Rejection> {
        let key =
            states.api_key(self.key_id).ok_or(Rejection::ApiKeyNotFound { key_id: self.key_id })?;
        if key.revoked {
            return Ok(Decision::Already(State::ApiKey(key.clone())));
        }
        Ok(Decision::Append(vec![NewEvent {
            event_id: context.event_id,
            stream: StreamId::api_key(self.key_id),
            version: key.version.next(),
            merchant_id: key.merchant_id,
            event: Event::ApiKeyRevoked(ApiKeyRevoked { key_id: self.key_id }),
        }]))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api_keys::Role;
    use crate::given_when_then::{
        KEY, MERCHANT, api_key_issued, api_key_revoked, given, merchant_registered,
    };

    fn revoke() -> crate::Command {
        crate::Command::RevokeApiKey(RevokeApiKey { key_id: KEY })
    }

    #[test]
    fn an_issued_key_is_revoked() {
        given([merchant_registered(), api_key_issued(Role::Merchant, MERCHANT)])
            .when(revoke())
            .then([api_key_revoked()]);
    }

    #[test]
    fn revoking_twice_changes_nothing_more() {
        given([merchant_registered(), api_key_issued(Role::Merchant, MERCHANT), api_key_revoked()])
            .when(revoke())
            .then_already();
    }

    #[test]
    fn an_unknown_key_is_not_found() {
        given([]).when(revoke()).then_rejected(Rejection::ApiKeyNotFound { key_id: KEY });
    }
}
