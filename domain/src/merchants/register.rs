//! Registering a merchant.

use serde::{Deserialize, Serialize};

use super::FeeTerms;
use crate::Context;
use crate::command::Decision;
use crate::event::{Event, NewEvent};
use crate::ids::MerchantId;
use crate::rejection::Rejection;
use crate::state::{StateKey, States};
use crate::stream::{StreamId, StreamVersion};
use crate::text::Name;

/// Takes a merchant on.
#[derive(Debug, Clone)]
pub struct RegisterMerchant {
    /// A fresh id.
    pub merchant_id: MerchantId,
    /// What it trades as.
    pub name: Name,
    /// What the platform keeps of its payments.
    pub fees: FeeTerms,
}

/// A merchant was taken on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct MerchantRegistered {
    /// The merchant.
    pub merchant_id: MerchantId,
    /// What it trades as.
    pub name: Name,
    /// Its fee terms.
    pub fees: FeeTerms,
}

impl RegisterMerchant {
    pub(crate) fn reads(&self) -> Vec<StateKey> {
        vec![StateKey::Merchant(self.merchant_id)]
    }

    pub(crate) fn decide(
        &self,
        states: &impl States,
        context: &Context,
    ) -> Result<Decision, Rejection> {
        if states.merchant(self.merchant_id).is_some() || self.merchant_id.platform() {
            return Err(Rejection::MerchantIdTaken { merchant_id: self.merchant_id });
        }
        Ok(Decision::Append(vec![NewEvent {
            event_id: context.event_id,
            stream: StreamId::merchant(self.merchant_id),
            version: StreamVersion::FIRST,
            merchant_id: self.merchant_id,
            event: Event::MerchantRegistered(MerchantRegistered {
                merchant_id: self.merchant_id,
                name: self.name.clone(),
                fees: self.fees.clone(),
            }),
        }]))
    }
}

#[cfg(test)]
mod tests {
    use crate::Rejection;
    use crate::given_when_then::{MERCHANT, given, merchant_registered, register_merchant};

    #[test]
    fn a_new_merchant_is_registered() {
        given([]).when(register_merchant()).then([merchant_registered()]);
    }

    #[test]
    fn an_id_is_given_once() {
        given([merchant_registered()])
            .when(register_merchant())
            .then_rejected(Rejection::MerchantIdTaken { merchant_id: MERCHANT });
    }
}
