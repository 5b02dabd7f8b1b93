//! A decline, as it counts against the limits of a card.

use serde::{Deserialize, Serialize};

use super::CardNetwork;
use crate::event::{Event, events};
use crate::ids::{CardId, MerchantId, PaymentId};
use crate::money::Amount;
use crate::payments::{Barred, DeclineClass, PspName};

/// An attempt with a card was declined.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CardDeclined {
    /// The card.
    pub card_id: CardId,
    /// The merchant at whom.
    pub merchant_id: MerchantId,
    /// Its network, as far as it is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub network: Option<CardNetwork>,
    /// The payment.
    pub payment_id: PaymentId,
    /// The payment's attempt.
    pub attempt: u32,
    /// The PSP that it was made at.
    pub psp: PspName,
    /// How much was asked for.
    pub amount: Amount,
    /// What kind of reason there was.
    pub class: DeclineClass,
    /// What must not be tried again; absent where nothing is barred.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub barred: Option<Barred>,
}

events! {
    /// Everything that can happen to a card.
    pub enum CardEvent {
        Declined(CardDeclined): "card.declined" v 1,
    }
}

impl CardEvent {
    /// The card that it happened to.
    pub fn card_id(&self) -> CardId {
        match self {
            Self::Declined(event) => event.card_id,
        }
    }
}

impl From<CardEvent> for Event {
    fn from(event: CardEvent) -> Self {
        Self::Card(event)
    }
}
