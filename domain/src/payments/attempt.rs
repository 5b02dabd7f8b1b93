//! Attempts: one call to one PSP each, with a key of its own that is in the log before the call is made.

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use uuid::Builder;

use super::{DeclineClass, Operation, PspName, UnknownReason};
use crate::ids::PaymentId;
use crate::money::Amount;
use crate::time::Timestamp;

/// What makes a repetition of an attempt known to its PSP: a UUID as text, so that it fits the 64
/// characters that the narrowest PSP takes.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct AttemptKey(String);

impl AttemptKey {
    /// The key of an attempt: derived, so that an attempt that is decided twice has one key.
    pub fn of(payment_id: PaymentId, attempt: u32) -> Self {
        let mut hasher = Sha256::new();
        hasher.update(b"runut attempt\0");
        hasher.update(payment_id.uuid().as_bytes());
        hasher.update(attempt.to_be_bytes());
        let digest: [u8; 32] = hasher.finalize().into();
        let mut bytes = [0_u8; 16];
        bytes.copy_from_slice(&digest[..16]);
        Self(Builder::from_custom_bytes(bytes).into_uuid().to_string())
    }

    /// A key as a PSP says it; whether there is such an attempt is another matter.
    pub fn from_text(text: String) -> Self {
        Self(text)
    }

    /// The text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// An attempt and what came of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Attempt {
    /// Its number in the payment, from 1.
    pub number: u32,
    /// What the PSP was asked for.
    pub operation: Operation,
    /// The PSP.
    pub psp: PspName,
    /// Its key.
    pub key: AttemptKey,
    /// How much was asked for, in minor units.
    pub amount_minor: i64,
    /// When it was put into the log, right before it was sent.
    pub started_at: Timestamp,
    /// When it was sent last.
    pub sent_at: Timestamp,
    /// How often it was sent again under its key, because the PSP did not know of it.
    pub resent: u32,
    /// What came of it.
    pub conclusion: Option<AttemptConclusion>,
    /// When that was known.
    pub concluded_at: Option<Timestamp>,
}

/// What came of an attempt.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "outcome", rename_all = "snake_case")]
pub enum AttemptConclusion {
    /// It was carried out.
    Succeeded {
        /// What the PSP calls it.
        psp_reference: String,
    },
    /// The payer's bank or the PSP said no.
    Declined {
        /// The reason's code, in the PSP's words.
        code: String,
        /// What kind of reason that is.
        class: DeclineClass,
        /// Whether it was attempted elsewhere at once.
        #[serde(default, skip_serializing_if = "std::ops::Not::not")]
        failover: bool,
    },
    /// Nothing was done, for certain.
    Failed {
        /// Why.
        reason: String,
        /// Whether it never even reached the PSP.
        unsent: bool,
    },
}

/// An attempt is about to be sent. Nothing is sent to a PSP before this is in the log.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AttemptStarted {
    /// The payment.
    pub payment_id: PaymentId,
    /// The attempt's number.
    pub attempt: u32,
    /// What is asked for.
    pub operation: Operation,
    /// Whom it is asked of.
    pub psp: PspName,
    /// The key that it is sent with.
    pub key: AttemptKey,
    /// How much.
    pub amount: Amount,
    /// When the PSP is asked what came of it, if nobody said so before.
    pub ask_at: Timestamp,
}

/// An attempt of which the PSP does not know is about to be sent again, under its key.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AttemptResent {
    /// The payment.
    pub payment_id: PaymentId,
    /// The attempt's number.
    pub attempt: u32,
    /// When the PSP is asked what came of it, if nobody said so before.
    pub ask_at: Timestamp,
}

/// The PSP took an attempt and will say later what came of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AttemptPending {
    /// The payment.
    pub payment_id: PaymentId,
    /// The attempt's number.
    pub attempt: u32,
    /// When the PSP is asked again, if nobody said so before.
    pub ask_at: Timestamp,
}

/// It is not known what came of an attempt.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AttemptUnknown {
    /// The payment.
    pub payment_id: PaymentId,
    /// The attempt's number.
    pub attempt: u32,
    /// Why.
    pub reason: UnknownReason,
    /// When the PSP is asked (again).
    pub ask_at: Timestamp,
}

/// An attempt was declined.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AttemptDeclined {
    /// The payment.
    pub payment_id: PaymentId,
    /// The attempt's number.
    pub attempt: u32,
    /// The reason's code, in the PSP's words.
    pub code: String,
    /// What the scheme advises to do.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub advice: Option<String>,
    /// The response code of the payer's bank, as the scheme passed it on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub network_code: Option<String>,
    /// What kind of reason that is.
    pub class: DeclineClass,
    /// The version of the tables that say so.
    pub declines_version: u16,
    /// Whether another PSP is asked at once.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub failover: bool,
    /// When the operation is attempted again; absent where it is not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retry_at: Option<Timestamp>,
    /// Whether another method would help.
    pub requires_method: bool,
}

/// An attempt came to nothing; certainly nothing was done.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AttemptFailed {
    /// The payment.
    pub payment_id: PaymentId,
    /// The attempt's number.
    pub attempt: u32,
    /// Why.
    pub reason: String,
    /// Whether it never even reached the PSP.
    pub unsent: bool,
    /// When the operation is attempted again; absent where it is not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retry_at: Option<Timestamp>,
    /// When the PSP is asked once more all the same; absent where there is no reason to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub check_at: Option<Timestamp>,
}
