//! What is asked, as the domain's commands.

use std::sync::LazyLock;

use domain::accounts::{
    AccountCode, AmendAccount, Change, CloseAccount, FreezeAccount, OpenAccount, UnfreezeAccount,
};
use domain::books::{CloseDay, CutOffDay};
use domain::holds::{CreateHold, ExpireHold, PostHold, VoidHold};
use domain::ledger::{
    Details, ExternalRef, LedgerStep, Part, PostBatch, PostEntry, Postings, ReplaceEntry,
    ReverseEntry,
};
use domain::{
    AccountId, Amount, Command, Currency, Day, EntryId, HoldId, MerchantId, Metadata, Name, States,
    Timestamp, ledger,
};
use uuid::Uuid;

use crate::commands::{
    Asked, CURRENCIES, HoldPosting, Holding, Leg, Opening, Posting, Reversing, Share,
};
use crate::running::Running;

/// The ledger of all of it.
pub(crate) const LEDGER: MerchantId = MerchantId::from_uuid(Uuid::from_u128(1));

fn code(account: u8) -> AccountCode {
    format!("account-{account}").parse().unwrap()
}

/// Ids of every number, since they are asked for often and hashed each time.
fn every<T>(id: fn(u8) -> T) -> Vec<T> {
    (0..=u8::MAX).map(id).collect()
}

pub(crate) fn account_id(account: u8) -> AccountId {
    static IDS: LazyLock<Vec<AccountId>> =
        LazyLock::new(|| every(|account| AccountId::of(LEDGER, &code(account))));
    IDS[usize::from(account)]
}

pub(crate) fn currency(number: u8) -> Currency {
    CURRENCIES[usize::from(number)].parse().unwrap()
}

pub(crate) fn reference(name: u8) -> ExternalRef {
    ExternalRef::parse(&format!("name-{name}")).unwrap()
}

pub(crate) fn entry_id(name: u8) -> EntryId {
    static IDS: LazyLock<Vec<EntryId>> =
        LazyLock::new(|| every(|name| EntryId::of(LEDGER, &reference(name))));
    IDS[usize::from(name)]
}

pub(crate) fn hold_id(name: u8) -> HoldId {
    static IDS: LazyLock<Vec<HoldId>> =
        LazyLock::new(|| every(|name| HoldId::of(LEDGER, &reference(name))));
    IDS[usize::from(name)]
}

pub(crate) fn posting(leg: Leg) -> ledger::Posting {
    let amount = Amount::from_minor(leg.minor, currency(leg.currency)).unwrap();
    ledger::Posting { account_id: account_id(leg.account), direction: leg.side, amount }
}

fn postings(legs: &[Leg]) -> Postings {
    Postings::new(legs.iter().copied().map(posting).collect()).unwrap()
}

fn details(note: Option<u8>, effective_at: Option<i64>) -> Details {
    Details {
        description: note.map(|note| Name::parse(&format!("note {note}")).unwrap()),
        metadata: Metadata::default(),
        effective_at: effective_at.map(Timestamp::from_micros),
        payment_id: None,
        dispute_id: None,
    }
}

fn part(share: &Share) -> Part {
    match share {
        Share::Rest => Part::Rest,
        Share::Amount { minor, currency: number } => {
            Part::Amount(Amount::from_minor(*minor, currency(*number)).unwrap())
        }
        Share::Legs(legs) => Part::Postings(postings(legs)),
    }
}

fn open(opening: &Opening) -> Command {
    let (code, currency) = (code(opening.account), currency(opening.currency));
    Command::OpenAccount(OpenAccount {
        contra_side: opening.contra_side,
        min_balance_minor: opening.min,
        max_balance_minor: opening.max,
        ..OpenAccount::plain(LEDGER, code, opening.kind, currency)
    })
}

fn amend(account: u8, min: Option<Option<i64>>, max: Option<Option<i64>>) -> Command {
    let change = |limit: Option<Option<i64>>| limit.map_or(Change::Keep, Change::Set);
    Command::AmendAccount(AmendAccount {
        ledger: LEDGER,
        account_id: account_id(account),
        name: Change::Keep,
        metadata: Change::Keep,
        min_balance_minor: change(min),
        max_balance_minor: change(max),
        clearing: Change::Keep,
        expected_versions: None,
    })
}

fn post(asked: &Posting) -> PostEntry {
    let details = details(asked.note, asked.effective_at);
    let post = PostEntry::new(LEDGER, reference(asked.name), details, postings(&asked.legs));
    if asked.up_to { post.up_to().unwrap() } else { post }
}

fn hold(asked: &Holding) -> CreateHold {
    CreateHold::new(
        LEDGER,
        reference(asked.name),
        details(asked.note, None),
        postings(&asked.legs),
        asked.expires_at.map(Timestamp::from_micros),
    )
}

/// The commands as they are made before they are decided: with what the log says of entries and holds then.
impl Running {
    pub(crate) fn command(&self, asked: &Asked) -> Command {
        match asked {
            Asked::Open(opening) => open(opening),
            Asked::Amend { account, min, max } => amend(*account, *min, *max),
            Asked::Freeze(account) => Command::FreezeAccount(FreezeAccount {
                ledger: LEDGER,
                account_id: account_id(*account),
                expected_versions: None,
            }),
            Asked::Unfreeze(account) => Command::UnfreezeAccount(UnfreezeAccount {
                ledger: LEDGER,
                account_id: account_id(*account),
                expected_versions: None,
            }),
            Asked::Close(account) => Command::CloseAccount(CloseAccount {
                ledger: LEDGER,
                account_id: account_id(*account),
                expected_versions: None,
            }),
            Asked::Post(asked) => Command::PostEntry(post(asked)),
            Asked::Reverse(asked) => Command::ReverseEntry(self.reverse(asked)),
            Asked::Replace { entry, by } => {
                let entry_id = entry_id(*entry);
                let original = self.posted(entry_id);
                Command::ReplaceEntry(ReplaceEntry::new(entry_id, post(by), original))
            }
            Asked::Hold(asked) => Command::CreateHold(hold(asked)),
            Asked::PostHold(asked) => Command::PostHold(self.post_hold(asked)),
            Asked::Void(name) => Command::VoidHold(self.void(*name)),
            Asked::Expire(name) => {
                let hold_id = hold_id(*name);
                Command::ExpireHold(ExpireHold::new(hold_id, self.states.hold(hold_id)))
            }
            Asked::Several { steps, atomic } => {
                let steps = steps.iter().map(|step| self.ledger_step(step)).collect();
                Command::PostBatch(PostBatch { steps, atomic: *atomic })
            }
            Asked::CutOff(day) => {
                let day = Day::from_number(*day);
                Command::CutOffDay(CutOffDay { ledger: LEDGER, day })
            }
            Asked::CloseDay { day, chained } => {
                let day = Day::from_number(*day);
                let closed = self.states.books(LEDGER).and_then(|books| books.closed);
                let previous = closed.map(|(_, digest)| digest).filter(|_| *chained);
                let balances = self.day_balances(day, previous);
                Command::CloseDay(CloseDay { ledger: LEDGER, day, previous, balances })
            }
        }
    }

    fn reverse(&self, asked: &Reversing) -> ReverseEntry {
        let entry_id = entry_id(asked.entry);
        ReverseEntry::new(
            LEDGER,
            entry_id,
            asked.name.map(reference),
            details(asked.note, asked.effective_at),
            part(&asked.share),
            self.posted(entry_id),
        )
    }

    fn post_hold(&self, asked: &HoldPosting) -> PostHold {
        let hold_id = hold_id(asked.hold);
        PostHold::new(
            LEDGER,
            hold_id,
            asked.name.map(reference),
            details(asked.note, asked.effective_at),
            part(&asked.share),
            asked.last,
            self.states.hold(hold_id),
        )
    }

    fn void(&self, name: u8) -> VoidHold {
        let hold_id = hold_id(name);
        VoidHold::new(LEDGER, hold_id, self.states.hold(hold_id))
    }

    fn ledger_step(&self, step: &Asked) -> LedgerStep {
        match step {
            Asked::Post(asked) => LedgerStep::Post(post(asked)),
            Asked::Reverse(asked) => LedgerStep::Reverse(self.reverse(asked)),
            Asked::Hold(asked) => LedgerStep::Hold(hold(asked)),
            Asked::PostHold(asked) => LedgerStep::PostHold(self.post_hold(asked)),
            Asked::Void(name) => LedgerStep::VoidHold(self.void(*name)),
            other => unreachable!("no step of a batch: {other:?}"),
        }
    }
}
