//! Where a payment stands, and what its merchant may do there.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use super::{Operation, Payment, Phase};

/// Where a payment stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PaymentState {
    /// Nothing was asked of a PSP.
    Created,
    /// The method cannot be used; another one, or a corrected one, is needed.
    RequiresMethod,
    /// A PSP is being asked, or will be asked again at a known time.
    Authorizing,
    /// A PSP holds the money; it can be captured.
    Authorized,
    /// The money is being taken.
    Capturing,
    /// The money was taken.
    Captured,
    /// It is not known what came of the last call; the PSP is being asked for its truth.
    Unknown,
    /// The payer's bank said no.
    Declined,
    /// It could not be carried out; certainly nothing was charged. It may be tried again.
    Failed,
    /// Given up before anything was authorized.
    Canceled,
    /// The authorization was released.
    Voided,
    /// The authorization lapsed.
    Expired,
    /// What was captured came back later.
    CaptureFailed,
}

impl PaymentState {
    /// Every state.
    pub const ALL: [Self; 13] = [
        Self::Created,
        Self::RequiresMethod,
        Self::Authorizing,
        Self::Authorized,
        Self::Capturing,
        Self::Captured,
        Self::Unknown,
        Self::Declined,
        Self::Failed,
        Self::Canceled,
        Self::Voided,
        Self::Expired,
        Self::CaptureFailed,
    ];

    /// The name as stored and on the wire.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Created => "created",
            Self::RequiresMethod => "requires_method",
            Self::Authorizing => "authorizing",
            Self::Authorized => "authorized",
            Self::Capturing => "capturing",
            Self::Captured => "captured",
            Self::Unknown => "unknown",
            Self::Declined => "declined",
            Self::Failed => "failed",
            Self::Canceled => "canceled",
            Self::Voided => "voided",
            Self::Expired => "expired",
            Self::CaptureFailed => "capture_failed",
        }
    }
}

impl fmt::Display for PaymentState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for PaymentState {
    type Err = UnknownPaymentState;

    fn from_str(text: &str) -> Result<Self, UnknownPaymentState> {
        Self::ALL.into_iter().find(|state| state.name() == text).ok_or(UnknownPaymentState)
    }
}

/// The text names no state of a payment.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("not a state of a payment")]
pub struct UnknownPaymentState;

/// What a merchant may do with a payment.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum PaymentAction {
    /// Ask a PSP.
    Authorize,
    /// Give another method.
    ReplaceMethod,
    /// Take the money, or a part of it.
    Capture,
    /// Give it up before anything is authorized.
    Cancel,
    /// Release the authorization.
    Void,
    /// Give money back.
    Refund,
}

impl PaymentAction {
    /// Every action.
    pub const ALL: [Self; 6] = [
        Self::Authorize,
        Self::ReplaceMethod,
        Self::Capture,
        Self::Cancel,
        Self::Void,
        Self::Refund,
    ];

    /// The name, as errors and documentation say it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Authorize => "authorize",
            Self::ReplaceMethod => "replace the method",
            Self::Capture => "capture",
            Self::Cancel => "cancel",
            Self::Void => "void",
            Self::Refund => "refund",
        }
    }
}

impl Payment {
    /// Where it stands now.
    pub fn state(&self) -> PaymentState {
        let Some(open) = &self.open else { return self.standing };
        match (open.phase, open.operation) {
            (Phase::Unknown { .. }, _) => PaymentState::Unknown,
            (_, Operation::Authorize | Operation::Sale) => PaymentState::Authorizing,
            (_, Operation::Capture { .. }) => PaymentState::Capturing,
            // A release that is under way can still turn out not to have been one.
            (_, Operation::Void | Operation::Refund { .. } | Operation::Reverse { .. }) => {
                self.standing
            }
        }
    }

    /// Whether nothing is under way: not with the payment, nor with a refund of it, nor with what the PSP
    /// did unasked.
    pub fn at_rest(&self) -> bool {
        self.open.is_none()
            && self.refunds.iter().all(|refund| refund.open.is_none())
            && self.checks.is_empty()
            && self.late.iter().all(|late| late.open.is_none())
    }

    /// Whether its state allows `action`; amounts are another matter.
    pub fn allows(&self, action: PaymentAction) -> bool {
        match action {
            PaymentAction::Authorize => self.open.is_none() && self.standing_awaits_authorization(),
            PaymentAction::ReplaceMethod | PaymentAction::Cancel => self.nothing_sent(),
            PaymentAction::Capture => {
                self.open.is_none() && self.standing == PaymentState::Authorized
            }
            PaymentAction::Void => {
                self.open.is_none()
                    && self.standing == PaymentState::Authorized
                    && self.captures.is_empty()
            }
            PaymentAction::Refund => self.amounts().refundable_minor > 0,
        }
    }

    /// Everything that its state allows and that would not be refused for want of a method.
    pub fn allowed(&self) -> Vec<PaymentAction> {
        let useful = |action: &PaymentAction| match action {
            PaymentAction::Authorize => self.method.is_some(),
            _ => true,
        };
        let allowed = PaymentAction::ALL.into_iter().filter(|action| self.allows(*action));
        allowed.filter(useful).collect()
    }

    /// Nothing is authorized and no attempt is under way, at most one is to be made later.
    fn nothing_sent(&self) -> bool {
        let waits = self.open.as_ref().is_none_or(|open| matches!(open.phase, Phase::Due { .. }));
        waits && self.standing_awaits_authorization()
    }

    fn standing_awaits_authorization(&self) -> bool {
        match self.standing {
            PaymentState::Created
            | PaymentState::RequiresMethod
            | PaymentState::Declined
            | PaymentState::Failed => true,
            PaymentState::Authorizing
            | PaymentState::Authorized
            | PaymentState::Capturing
            | PaymentState::Captured
            | PaymentState::Unknown
            | PaymentState::Canceled
            | PaymentState::Voided
            | PaymentState::Expired
            | PaymentState::CaptureFailed => false,
        }
    }
}
