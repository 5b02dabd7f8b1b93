//! Events: what happened. Their JSON is the stored format, for ever.

use uuid::Uuid;

use crate::accounts::{
    AccountAmended, AccountClosed, AccountFrozen, AccountOpened, AccountUnfrozen,
};
use crate::api_keys::{ApiKeyIssued, ApiKeyRevoked};
use crate::books::BooksEvent;
use crate::cards::CardEvent;
use crate::fx::FxEvent;
use crate::holds::HoldEvent;
use crate::ids::MerchantId;
use crate::ledger::{EntryPosted, EntryReversed, Movements};
use crate::merchants::MerchantRegistered;
use crate::payments::PaymentEvent;
use crate::psps::PspEvent;
use crate::stream::{StreamId, StreamVersion};

/// An event that a decision wants appended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewEvent {
    /// Its own UUID.
    pub event_id: Uuid,
    /// The stream it goes to.
    pub stream: StreamId,
    /// Its number there; the log refuses it if that number is taken.
    pub version: StreamVersion,
    /// The merchant it concerns, the platform itself included.
    pub merchant_id: MerchantId,
    /// What happened.
    pub event: Event,
}

/// Why stored bytes are not an event.
#[derive(Debug, thiserror::Error)]
pub enum DecodeError {
    /// No event has this name.
    #[error("unknown event type `{event_type}`")]
    UnknownType {
        /// The name.
        event_type: String,
    },
    /// This program knows the type, not this version of it.
    #[error("unknown version {schema_version} of `{event_type}`")]
    UnknownVersion {
        /// The name.
        event_type: String,
        /// The version.
        schema_version: i16,
    },
    /// The data does not have the shape that the type has.
    #[error("malformed data of `{event_type}`")]
    Malformed {
        /// The name.
        event_type: String,
        /// What is wrong with it.
        #[source]
        source: serde_json::Error,
    },
}

/// An enum of events with their stored names and versions. Those of a `group` are an enum of their own.
macro_rules! events {
    (
        $(#[$doc:meta])*
        pub enum $Events:ident {
            $($variant:ident($data:ident): $name:literal v $version:literal),* $(,)?
        }
        $(groups { $($group:ident($group_events:ident)),* $(,)? })?
    ) => {
        $(#[$doc])*
        #[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
        #[serde(untagged)]
        #[expect(missing_docs, reason = "each variant carries the event of that name, documented there")]
        pub enum $Events {
            $($variant($data),)*
            $($($group($group_events),)*)?
        }

        impl $Events {
            /// Names of all of them, as stored.
            pub fn types() -> Vec<&'static str> {
                #[allow(unused_mut, reason = "not every one has groups")]
                let mut types = vec![$($name),*];
                $($(types.extend($group_events::types());)*)?
                types
            }

            /// Whether one of them is stored under this name.
            pub fn has_type(name: &str) -> bool {
                matches!(name, $($name)|*) $($(|| $group_events::has_type(name))*)?
            }

            /// The name, as stored: `<category>.<what happened>`.
            pub const fn event_type(&self) -> &'static str {
                match self {
                    $(Self::$variant(_) => $name,)*
                    $($(Self::$group(event) => event.event_type(),)*)?
                }
            }

            /// The version of the data's shape that this program writes.
            pub const fn schema_version(&self) -> i16 {
                match self {
                    $(Self::$variant(_) => $version,)*
                    $($(Self::$group(event) => event.schema_version(),)*)?
                }
            }

            /// Reads stored data of any version that was ever written.
            ///
            /// # Errors
            /// [`DecodeError`](crate::DecodeError).
            pub fn decode(
                event_type: &str,
                schema_version: i16,
                data: &str,
            ) -> Result<Self, $crate::DecodeError> {
                use $crate::upcast::upcast;
                match event_type {
                    $($name => upcast::<$data>(event_type, schema_version, $version, data)
                        .map(Self::$variant),)*
                    unknown => {
                        $($(if $group_events::has_type(unknown) {
                            return $group_events::decode(unknown, schema_version, data)
                                .map(Self::$group);
                        })*)?
                        Err($crate::DecodeError::UnknownType { event_type: unknown.to_owned() })
                    }
                }
            }
        }
    };
}
pub(crate) use events;

events! {
    /// Everything that can happen. A new one is added here or in its group, one line with its name and version.
    pub enum Event {
        MerchantRegistered(MerchantRegistered): "merchant.registered" v 1,
        ApiKeyIssued(ApiKeyIssued): "api_key.issued" v 1,
        ApiKeyRevoked(ApiKeyRevoked): "api_key.revoked" v 1,
        AccountOpened(AccountOpened): "ledger.account_opened" v 1,
        AccountAmended(AccountAmended): "ledger.account_amended" v 1,
        AccountFrozen(AccountFrozen): "ledger.account_frozen" v 1,
        AccountUnfrozen(AccountUnfrozen): "ledger.account_unfrozen" v 1,
        AccountClosed(AccountClosed): "ledger.account_closed" v 1,
        EntryPosted(EntryPosted): "ledger.entry_posted" v 1,
        EntryReversed(EntryReversed): "ledger.entry_reversed" v 1,
    }
    groups {
        Hold(HoldEvent),
        Books(BooksEvent),
        Fx(FxEvent),
        Payment(PaymentEvent),
        Card(CardEvent),
        Psp(PspEvent),
    }
}

impl Event {
    /// What this does to the totals of accounts.
    pub fn movements(&self) -> Movements<'_> {
        match self {
            Self::EntryPosted(event) => Movements::posted(&event.postings),
            Self::Hold(event) => event.movements(),
            Self::MerchantRegistered(_)
            | Self::ApiKeyIssued(_)
            | Self::ApiKeyRevoked(_)
            | Self::AccountOpened(_)
            | Self::AccountAmended(_)
            | Self::AccountFrozen(_)
            | Self::AccountUnfrozen(_)
            | Self::AccountClosed(_)
            | Self::EntryReversed(_)
            | Self::Books(_)
            | Self::Fx(_)
            | Self::Payment(_)
            | Self::Card(_)
            | Self::Psp(_) => Movements::default(),
        }
    }

    /// The data as it is stored: these very bytes are hashed.
    pub fn to_json(&self) -> String {
        // Every event is a struct of texts, numbers and lists, for which this cannot fail.
        serde_json::to_string(self)
            .unwrap_or_else(|error| unreachable!("an event is JSON: {error}"))
    }
}
