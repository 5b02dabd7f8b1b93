//! What is asked of the ledger, in small numbers: accounts, entries and holds are called by numbers, so that a
//! sequence of steps reads well and what is left after some were taken out still means something.

use std::fmt;

use domain::accounts::AccountType;
use domain::ledger::Direction;

/// The number of an account, an entry or a hold that never is.
pub(crate) const NOWHERE: u8 = u8::MAX;
/// The two currencies, by number.
pub(crate) const CURRENCIES: [&str; 2] = ["USD", "JPY"];
pub(crate) const SECOND: i64 = 1_000_000;
pub(crate) const HOUR: i64 = 60 * 60 * SECOND;
pub(crate) const DAY: i64 = 24 * HOUR;

/// Something is asked; then some microseconds go by.
#[derive(Debug, Clone)]
pub(crate) struct Step {
    pub(crate) asked: Asked,
    pub(crate) wait: i64,
}

/// All that is asked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Asked {
    Open(Opening),
    /// A limit that is not named stays.
    Amend {
        account: u8,
        min: Option<Option<i64>>,
        max: Option<Option<i64>>,
    },
    Freeze(u8),
    Unfreeze(u8),
    Close(u8),
    Post(Posting),
    Reverse(Reversing),
    Replace {
        entry: u8,
        by: Posting,
    },
    Hold(Holding),
    PostHold(HoldPosting),
    Void(u8),
    Expire(u8),
    Several {
        steps: Vec<Asked>,
        atomic: bool,
    },
    CutOff(i32),
    /// With the digest of the close before, or with none.
    CloseDay {
        day: i32,
        chained: bool,
    },
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Opening {
    pub(crate) account: u8,
    pub(crate) kind: AccountType,
    pub(crate) contra_side: Option<Direction>,
    pub(crate) currency: u8,
    pub(crate) min: Option<i64>,
    pub(crate) max: Option<i64>,
}

/// One side of one account, moved by minor units.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) struct Leg {
    pub(crate) account: u8,
    pub(crate) side: Direction,
    pub(crate) minor: i64,
    pub(crate) currency: u8,
}

/// An entry that is to be posted. Times are in microseconds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Posting {
    pub(crate) name: u8,
    pub(crate) legs: Vec<Leg>,
    pub(crate) note: Option<u8>,
    pub(crate) effective_at: Option<i64>,
    pub(crate) up_to: bool,
}

/// How much of an entry or a hold.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Share {
    Rest,
    Amount { minor: i64, currency: u8 },
    Legs(Vec<Leg>),
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Reversing {
    pub(crate) entry: u8,
    pub(crate) name: Option<u8>,
    pub(crate) share: Share,
    pub(crate) note: Option<u8>,
    pub(crate) effective_at: Option<i64>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Holding {
    pub(crate) name: u8,
    pub(crate) legs: Vec<Leg>,
    pub(crate) note: Option<u8>,
    pub(crate) expires_at: Option<i64>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct HoldPosting {
    pub(crate) hold: u8,
    pub(crate) name: Option<u8>,
    pub(crate) share: Share,
    pub(crate) last: bool,
    pub(crate) note: Option<u8>,
    pub(crate) effective_at: Option<i64>,
}

impl fmt::Debug for Leg {
    /// On one line: a sequence that fails is read by somebody.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let currency = CURRENCIES[usize::from(self.currency)];
        write!(f, "{} {} {} of {}", self.side.name(), self.minor, currency, self.account)
    }
}

impl Leg {
    pub(crate) fn opposite(self) -> Self {
        Self { side: self.side.opposite(), ..self }
    }

    /// Whether both are on the same side of the same account.
    pub(crate) fn same_place(self, other: Self) -> bool {
        (self.account, self.side, self.currency) == (other.account, other.side, other.currency)
    }
}

pub(crate) fn opposite(legs: &[Leg]) -> Vec<Leg> {
    legs.iter().map(|leg| leg.opposite()).collect()
}

impl Asked {
    /// The accounts that have to be open for this to make sense.
    pub(crate) fn accounts(&self) -> Vec<u8> {
        let of = |legs: &[Leg]| legs.iter().map(|leg| leg.account).collect();
        match self {
            Self::Amend { account, .. }
            | Self::Freeze(account)
            | Self::Unfreeze(account)
            | Self::Close(account) => vec![*account],
            Self::Post(posting) | Self::Replace { by: posting, .. } => of(&posting.legs),
            Self::Hold(holding) => of(&holding.legs),
            Self::Several { steps, .. } => steps.iter().flat_map(Self::accounts).collect(),
            Self::Open(_)
            | Self::Reverse(_)
            | Self::PostHold(_)
            | Self::Void(_)
            | Self::Expire(_)
            | Self::CutOff(_)
            | Self::CloseDay { .. } => Vec::new(),
        }
    }

    /// The entry that this is about.
    pub(crate) fn entry(&self) -> Option<u8> {
        match self {
            Self::Reverse(reversing) => Some(reversing.entry),
            Self::Replace { entry, .. } => Some(*entry),
            _ => None,
        }
    }

    /// The hold that this is about.
    pub(crate) fn hold(&self) -> Option<u8> {
        match self {
            Self::PostHold(posting) => Some(posting.hold),
            Self::Void(hold) | Self::Expire(hold) => Some(*hold),
            _ => None,
        }
    }
}
