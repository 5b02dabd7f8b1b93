//! What verify finds.

use domain::EntryId;
use serde::Serialize;
use uuid::Uuid;

/// What a finding is about. Each is one file under `checks`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Check {
    /// The unique indexes, triggers and privileges that guard the log are there.
    Guards,
    /// Nobody may do what Postgres lets everybody do unless it is revoked.
    LeftToEverybody,
    /// The head stands at the last event.
    Head,
    /// Positions are gapless from 1.
    Positions,
    /// Times never fall with position.
    RecordedAt,
    /// Each row hashes to its stored hash.
    LeafHash,
    /// Data is an event that this program knows.
    Decoding,
    /// Metadata says where the event came from.
    Metadata,
    /// The stream's name and the data name the same thing.
    StreamName,
    /// The row's merchant is the one that the data concerns; a stream is one merchant's.
    Merchant,
    /// Versions are contiguous from 1 in every stream, none twice.
    StreamVersions,
    /// Versions rise with position.
    StreamOrder,
    /// Entries balance in every currency.
    Entries,
    /// Postings go to open accounts of their ledger and currency; account events are in an order that can be.
    Accounts,
    /// No request takes an account below its minimum, with all that is held against it.
    MinimumBalance,
    /// No request takes an account above its maximum, with all that is held for it.
    MaximumBalance,
    /// A reversal and what it reverses, or the part of it, are opposite and marked; a replaced entry is reversed.
    Reversals,
    /// No more is posted or released of a hold than is held, and each posting of it comes with its entry.
    Holds,
    /// Days are cut off and closed in order, with the balances that the log adds up to, and stay closed.
    Closes,
    /// Conversions are at a rate that was recorded, come to what follows from it, and are booked so.
    Conversions,
    /// Each event that moved a payment's money is followed by its entry, and no payment's entry is without one.
    PaymentEntries,
    /// What came of each attempt at a PSP was recorded in time.
    PaymentOutcomes,
    /// The rows of `account_balances` are the sums of what was posted and held.
    Balances,
    /// The rows of `idempotency_keys` agree with the events.
    IdempotencyKeys,
    /// Young events with a key have its row.
    MissingKeys,
    /// The messages of the mirror are the events of the log.
    Mirror,
    /// The mirror lacks messages inside its window.
    MirrorHoles,
    /// The mirror follows the log within a minute.
    MirrorBehind,
    /// Read models are what the log folds into.
    ReadModels,
}

/// How bad a finding is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Severity {
    /// Good to know.
    Info,
    /// Nothing of the log itself is wrong, yet somebody should look.
    Warning,
    /// What is there cannot be true.
    Violation,
}

impl Check {
    /// Its name, for programs.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Guards => "guards",
            Self::LeftToEverybody => "left-to-everybody",
            Self::Head => "head",
            Self::Positions => "positions",
            Self::RecordedAt => "recorded-at",
            Self::LeafHash => "leaf-hash",
            Self::Decoding => "decoding",
            Self::Metadata => "metadata",
            Self::StreamName => "stream-name",
            Self::Merchant => "merchant",
            Self::StreamVersions => "stream-versions",
            Self::StreamOrder => "stream-order",
            Self::Entries => "entries",
            Self::Accounts => "accounts",
            Self::MinimumBalance => "minimum-balance",
            Self::MaximumBalance => "maximum-balance",
            Self::Reversals => "reversals",
            Self::Holds => "holds",
            Self::Closes => "closes",
            Self::Conversions => "conversions",
            Self::PaymentEntries => "payment-entries",
            Self::PaymentOutcomes => "payment-outcomes",
            Self::Balances => "balances",
            Self::IdempotencyKeys => "idempotency-keys",
            Self::MissingKeys => "missing-keys",
            Self::Mirror => "mirror",
            Self::MirrorHoles => "mirror-holes",
            Self::MirrorBehind => "mirror-behind",
            Self::ReadModels => "read-models",
        }
    }

    /// How bad its findings are.
    pub const fn severity(self) -> Severity {
        match self {
            Self::MirrorHoles => Severity::Info,
            // Keys are kept for 72 hours only; the log is whole without them.
            Self::MissingKeys
            // It endangers the server, not what is recorded; and on managed servers nobody can revoke it.
            | Self::LeftToEverybody
            // The log is right; it is the world that it may not know of, or its copy that stands still.
            | Self::PaymentOutcomes
            | Self::MirrorBehind => Severity::Warning,
            Self::Guards
            | Self::Head
            | Self::Positions
            | Self::RecordedAt
            | Self::LeafHash
            | Self::Decoding
            | Self::Metadata
            | Self::StreamName
            | Self::Merchant
            | Self::StreamVersions
            | Self::StreamOrder
            | Self::Entries
            | Self::Accounts
            | Self::MinimumBalance
            | Self::MaximumBalance
            | Self::Reversals
            | Self::Holds
            | Self::Closes
            | Self::Conversions
            | Self::PaymentEntries
            | Self::Balances
            | Self::IdempotencyKeys
            | Self::Mirror
            | Self::ReadModels => Severity::Violation,
        }
    }
}

impl Severity {
    /// Its name, for people and programs.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Info => "info",
            Self::Warning => "warning",
            Self::Violation => "violation",
        }
    }
}

/// Something that is not as it should be.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// Which check says so.
    pub check: Check,
    /// How bad it is.
    pub severity: Severity,
    /// The event that it is about, where it is about one.
    pub position: Option<i64>,
    /// What it is about: a stream, an account, a key, a row.
    pub subject: String,
    /// What was expected.
    pub expected: String,
    /// What was found.
    pub found: String,
}

/// The findings of one step, in order.
#[derive(Debug, Default)]
pub(crate) struct Findings(Vec<Finding>);

impl Findings {
    /// One more.
    pub(crate) fn add(
        &mut self,
        check: Check,
        position: impl Into<Option<i64>>,
        subject: impl Into<String>,
        expected: impl Into<String>,
        found: impl Into<String>,
    ) {
        self.0.push(Finding {
            check,
            severity: check.severity(),
            position: position.into(),
            subject: subject.into(),
            expected: expected.into(),
            found: found.into(),
        });
    }
}

impl IntoIterator for Findings {
    type Item = Finding;
    type IntoIter = std::vec::IntoIter<Finding>;

    fn into_iter(self) -> Self::IntoIter {
        self.0.into_iter()
    }
}

/// An account, as findings name it.
pub(crate) fn account(id: Uuid) -> String {
    format!("account {}", domain::AccountId::from_uuid(id))
}

/// A hold, as findings name it.
pub(crate) fn hold(id: Uuid) -> String {
    format!("hold {}", domain::HoldId::from_uuid(id))
}

/// An entry, as findings name it.
pub(crate) fn entry(id: Uuid) -> String {
    format!("entry {}", EntryId::from_uuid(id))
}
