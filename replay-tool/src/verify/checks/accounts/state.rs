//! One account as it is at the row that was last applied.

use domain::accounts::{AccountOpened, AccountStatus, AccountType, Mechanism};
use domain::ledger::Direction;
use domain::{AccountId, Currency, MerchantId, Sum};
use uuid::Uuid;

use crate::facts::PostingFacts;
use crate::verify::finding::{Check, Findings, account as named};

/// The sums of a side, in minor units.
#[derive(Debug, Clone, Copy, Default)]
struct Side {
    posted: i128,
    held: i128,
}

#[derive(Debug)]
pub(super) struct State {
    ledger: Uuid,
    minimum: Option<i64>,
    maximum: Option<i64>,
    debits: Side,
    credits: Side,
    currency: Currency,
    kind: AccountType,
    normal: Direction,
    depth: u8,
    mechanism: Option<Mechanism>,
    pub(super) status: AccountStatus,
}

/// How far a balance would go if of all that is held just what lowers it, or just what raises it, came about.
#[derive(Debug, Clone, Copy)]
pub(super) struct Reach {
    lowest: i128,
    highest: i128,
}

/// What happens to postings.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// They count from now on.
    Posted,
    /// They count against the limits until they are released.
    Held,
    /// They were held before, and are no more.
    Released,
}

/// What an event moves.
#[derive(Debug, Clone, Copy)]
pub(super) struct Moved<'a> {
    pub(super) position: i64,
    pub(super) kind: Kind,
    /// The ledger that it is in.
    pub(super) ledger: Uuid,
    /// The mechanism that moves it, if one does.
    pub(super) by: Option<Mechanism>,
    pub(super) postings: &'a [PostingFacts],
}

impl State {
    pub(super) fn opened(event: &AccountOpened) -> Self {
        Self {
            ledger: event.ledger.uuid(),
            minimum: event.min_balance_minor,
            maximum: event.max_balance_minor,
            debits: Side::default(),
            credits: Side::default(),
            currency: event.currency,
            kind: event.kind,
            normal: event.normal_side.unwrap_or(event.kind.normal_side()),
            depth: event.depth,
            mechanism: Mechanism::of(event.ledger, &event.code),
            status: AccountStatus::Open,
        }
    }

    pub(super) fn limit(&mut self, minimum: Option<i64>, maximum: Option<i64>) {
        self.minimum = minimum;
        self.maximum = maximum;
    }

    /// Whether it is that mechanism's own, which moves money in it whatever its status and limits are.
    pub(super) fn kept_by(&self, mechanism: Option<Mechanism>) -> bool {
        mechanism.is_some() && self.mechanism == mechanism
    }

    /// The sides that make the balance grow and shrink.
    fn sides(&self) -> (Side, Side) {
        match self.normal {
            Direction::Debit => (self.debits, self.credits),
            Direction::Credit => (self.credits, self.debits),
        }
    }

    pub(super) fn balance(&self) -> i128 {
        let (normal, other) = self.sides();
        normal.posted - other.posted
    }

    pub(super) fn reach(&self) -> Reach {
        let (normal, other) = self.sides();
        let balance = self.balance();
        Reach { lowest: balance - other.held, highest: balance + normal.held }
    }

    /// What is held, where something is.
    pub(super) fn held(&self) -> Option<String> {
        let (debits, credits) = (self.debits.held, self.credits.held);
        let text =
            || format!("debits of {} and credits of {}", self.money(debits), self.money(credits));
        (debits != 0 || credits != 0).then(text)
    }

    pub(super) fn money(&self, minor: impl Into<i128>) -> String {
        let money = Sum { minor: minor.into(), currency: self.currency };
        format!("{money} {}", self.currency)
    }

    /// All postings to this account: they count together, as they were decided together.
    pub(super) fn take(&mut self, id: Uuid, moved: &Moved<'_>, findings: &mut Findings) {
        let mut add = |expected: String, found: String| {
            findings.add(Check::Accounts, moved.position, named(id), expected, found);
        };
        if self.ledger != moved.ledger {
            add(ledger(moved.ledger), ledger(self.ledger));
        }
        // A frozen account can let go of what it holds; one that is closed holds nothing.
        let may_be_frozen = moved.kind == Kind::Released || self.kept_by(moved.by);
        if !may_be_frozen && self.status != AccountStatus::Open {
            add("an open account".to_owned(), self.status.to_string());
        }
        for posting in moved.postings.iter().filter(|posting| posting.account == id) {
            if posting.currency != self.currency {
                let found = format!("a posting of {}", posting.currency);
                add(format!("a posting of {}", self.currency), found);
            }
            if let Err(held) = self.count(moved.kind, posting) {
                let expected =
                    format!("{} or more held of its {}s", posting.minor, posting.direction.name());
                add(expected, format!("{held} in minor units"));
            }
        }
    }

    /// Adds a posting up; says what is held where that is less than what is released.
    fn count(&mut self, kind: Kind, posting: &PostingFacts) -> Result<(), i128> {
        let side = match posting.direction {
            Direction::Debit => &mut self.debits,
            Direction::Credit => &mut self.credits,
        };
        let minor = i128::from(posting.minor);
        match kind {
            Kind::Posted => side.posted += minor,
            Kind::Held => side.held += minor,
            Kind::Released if side.held < minor => {
                return Err(std::mem::take(&mut side.held));
            }
            Kind::Released => side.held -= minor,
        }
        Ok(())
    }

    /// Whether it keeps its limits, or comes nearer to them than it was `before`.
    pub(super) fn check_limits(
        &self,
        id: Uuid,
        position: i64,
        before: Reach,
        findings: &mut Findings,
    ) {
        let after = self.reach();
        let mut add = |check, expected: String, before, after| {
            let found = format!("{} (before: {})", self.money(after), self.money(before));
            findings.add(check, position, named(id), expected, found);
        };
        let falls = after.lowest < before.lowest;
        if let Some(minimum) = self.minimum.filter(|least| falls && after.lowest < (*least).into())
        {
            let expected = format!("a balance of at least {}", self.money(minimum));
            add(Check::MinimumBalance, expected, before.lowest, after.lowest);
        }
        let rises = after.highest > before.highest;
        if let Some(maximum) = self.maximum.filter(|most| rises && after.highest > (*most).into()) {
            let expected = format!("a balance of at most {}", self.money(maximum));
            add(Check::MaximumBalance, expected, before.highest, after.highest);
        }
    }

    /// Whether some balance keeps both limits.
    pub(super) fn check_limits_cross(&self, add: &mut impl FnMut(String, String)) {
        let limits = self.minimum.zip(self.maximum);
        if let Some((minimum, maximum)) = limits.filter(|(minimum, maximum)| minimum > maximum) {
            let found = format!("{} to {}", self.money(minimum), self.money(maximum));
            add("a minimum up to its maximum".to_owned(), found);
        }
    }

    /// Whether `opened` may be right below this account.
    pub(super) fn check_below(
        &self,
        id: AccountId,
        opened: &AccountOpened,
        add: &mut impl FnMut(String, String),
    ) {
        let above = named(id.uuid());
        if self.ledger != opened.ledger.uuid() {
            let expected = format!("{above} in {}", ledger(opened.ledger.uuid()));
            add(expected, format!("in {}", ledger(self.ledger)));
        }
        if self.status == AccountStatus::Closed {
            add(format!("{above} not to be closed"), self.status.to_string());
        }
        if self.kind != opened.kind {
            add(format!("type {}, as {above}", self.kind.name()), opened.kind.name().to_owned());
        }
        if opened.depth != self.depth.saturating_add(1) {
            let expected = format!("one account more above it than above {above}, {}", self.depth);
            add(expected, opened.depth.to_string());
        }
    }
}

fn ledger(id: Uuid) -> String {
    format!("ledger {}", MerchantId::from_uuid(id))
}
