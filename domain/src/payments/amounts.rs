//! The amounts of a payment, each from what happened to it.

use serde::{Deserialize, Serialize};

use super::{Operation, Payment, PaymentState, RefundState};

/// What of a payment is where, in minor units of its currency.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct PaymentAmounts {
    /// What a PSP held ready, at the most.
    pub authorized_minor: i64,
    /// What may still be captured.
    pub capturable_minor: i64,
    /// What was captured, less what failed later.
    pub captured_minor: i64,
    /// What was given back, less what failed later.
    pub refunded_minor: i64,
    /// What may still be given back; refunds under way are taken off.
    pub refundable_minor: i64,
}

impl Payment {
    /// Its amounts.
    pub fn amounts(&self) -> PaymentAmounts {
        let authorized_minor = self.authorization.as_ref().map_or(0, |held| held.amount_minor);
        let captures = self.captures.iter().filter(|capture| !capture.failed);
        let captured_minor: i64 = captures.map(|capture| capture.amount_minor).sum();
        let refunds = |states: &[RefundState]| -> i64 {
            let of = self.refunds.iter().filter(|refund| states.contains(&refund.state()));
            of.map(|refund| refund.amount_minor).sum()
        };
        let refunded_minor = refunds(&[RefundState::Succeeded]);
        let under_way =
            refunds(&[RefundState::Requested, RefundState::Processing, RefundState::Unknown]);
        PaymentAmounts {
            authorized_minor,
            capturable_minor: self.capturable_minor(authorized_minor),
            captured_minor,
            refunded_minor,
            // What failed after it was refunded leaves less than nothing.
            refundable_minor: (captured_minor - refunded_minor - under_way).max(0),
        }
    }

    /// A capture that failed later does not give the authorization back.
    fn capturable_minor(&self, authorized_minor: i64) -> i64 {
        let open = self.authorization.as_ref().is_some_and(|held| !held.closed);
        if !open || self.standing != PaymentState::Authorized {
            return 0;
        }
        let taken: i64 = self.captures.iter().map(|capture| capture.amount_minor).sum();
        let being_taken = match &self.open {
            Some(open) => match open.operation {
                Operation::Capture { .. } => open.amount_minor,
                // All of it is about to be released.
                Operation::Void => authorized_minor,
                Operation::Authorize
                | Operation::Sale
                | Operation::Refund { .. }
                | Operation::Reverse { .. } => 0,
            },
            None => 0,
        };
        (authorized_minor - taken - being_taken).max(0)
    }
}
