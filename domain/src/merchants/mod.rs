//! Merchants: who trades on the platform, and on which fee terms.

mod fees;
mod register;

pub use crate::rounding::{Rounding, UnknownRounding};
pub use fees::{FeeTerms, FeeTermsError};
pub use register::{MerchantRegistered, RegisterMerchant};

use crate::ids::MerchantId;
use crate::stream::StreamVersion;
use crate::text::Name;

/// A merchant, folded from its stream.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Merchant {
    /// Its id, and that of its ledger.
    pub id: MerchantId,
    /// What it trades as.
    pub name: Name,
    /// What the platform keeps of each payment.
    pub fees: FeeTerms,
    /// The version of its stream that this state is at.
    pub version: StreamVersion,
}

impl Merchant {
    /// The state right after registration.
    pub(crate) fn registered(event: &MerchantRegistered, version: StreamVersion) -> Self {
        Self { id: event.merchant_id, name: event.name.clone(), fees: event.fees.clone(), version }
    }
}
