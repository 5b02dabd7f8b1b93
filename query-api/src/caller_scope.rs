//! Whose rows a caller sees, and whose it asks for.

use std::str::FromStr;

use api_conventions::Caller;
use domain::{MerchantId, ParseIdError};
use serde::{Deserialize, Deserializer};
use uuid::Uuid;

/// The one merchant whose rows a key shows; `None` shows everybody's. Bound in every statement, so
/// that what belongs to another is not there.
pub(crate) fn visible_to(caller: &Caller) -> Option<Uuid> {
    caller.role.of_one_merchant().then_some(caller.merchant_id.uuid())
}

/// The one ledger that a list is of, if it is of one: the one visible, else the one asked for. It is empty where
/// these are two, which [`ASKED_IS_SEEN`] says.
pub(crate) fn one_ledger(visible: Option<Uuid>, asked: Option<Uuid>) -> Option<Uuid> {
    visible.or(asked)
}

/// Whether the ledger asked for, `$2`, is the one that is listed, `$1`. It names no column: see [`crate::key_range`].
pub(crate) const ASKED_IS_SEEN: &str = "($2::uuid is null or $2 = $1)";

/// The owner of rows as the answer names it: null for the platform itself.
pub(crate) fn owner(id: Uuid) -> Option<MerchantId> {
    let owner = MerchantId::from_uuid(id);
    (!owner.platform()).then_some(owner)
}

/// An owner to filter by: a merchant, or `platform`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct OwnerFilter(pub(crate) MerchantId);

impl OwnerFilter {
    pub(crate) fn uuid(self) -> Uuid {
        self.0.uuid()
    }
}

impl FromStr for OwnerFilter {
    type Err = ParseIdError;

    fn from_str(text: &str) -> Result<Self, ParseIdError> {
        if text == "platform" { Ok(Self(MerchantId::PLATFORM)) } else { text.parse().map(Self) }
    }
}

impl<'de> Deserialize<'de> for OwnerFilter {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = <std::borrow::Cow<'de, str>>::deserialize(deserializer)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}
