//! A ledger's log with something of all that ledgers do, at times that the test sets.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use domain::accounts::{
    AccountType, AmendAccount, Change, FreezeAccount, OpenAccount, UnfreezeAccount,
};
use domain::books::{BalancesDigest, BooksEvent, CloseDay, CutOffDay, DayBalance, DayBalances};
use domain::holds::{CreateHold, ExpireHold, PostHold, VoidHold};
use domain::ledger::{
    Details, Direction, LedgerStep, Part, PostBatch, Posting, Postings, ReplaceEntry, ReverseEntry,
};
use domain::{AccountId, Amount, Command, Currency, Day, EntryId, Event, HoldId, Timestamp};
use event_store::Clock;

use crate::given::{LEDGER, World, account, entry, open, pair, post, reference};

/// Says what the test says.
#[derive(Debug)]
pub(crate) struct HandClock(AtomicI64);

impl HandClock {
    /// A log of nothing at that time, which only this clock moves.
    pub(crate) async fn world_at(text: &str) -> (World, Arc<Self>) {
        let now = time(text);
        let clock = Arc::new(Self(AtomicI64::new(now.micros())));
        (World::at(now, Arc::<Self>::clone(&clock)).await, clock)
    }

    /// Has it be that time, by the database's clock too.
    pub(crate) async fn set(&self, world: &World, text: &str) {
        let now = time(text).micros();
        world.database.stop_clock_at(now).await;
        self.0.store(now, Ordering::Relaxed);
    }
}

impl Clock for HandClock {
    fn now(&self) -> Timestamp {
        Timestamp::from_micros(self.0.load(Ordering::Relaxed))
    }
}

pub(crate) fn time(text: &str) -> Timestamp {
    text.parse().expect("a time")
}

pub(crate) fn day(text: &str) -> Day {
    text.parse().expect("a day")
}

pub(crate) fn amount(minor: i64) -> Part {
    let amount = Amount::from_minor(minor, "USD".parse().expect("a currency"));
    Part::Amount(amount.expect("an amount"))
}

pub(crate) fn hold_id(text: &str) -> HoldId {
    HoldId::of(LEDGER, &reference(text))
}

pub(crate) fn dated(text: &str) -> Details {
    Details { effective_at: Some(time(text)), ..Details::default() }
}

/// A log at noon of 2026-11-18 with these accounts, and 1,000.00 in cash: `cash` from 0, `bank`, `sales`, and
/// `wear`, which is below bank, grows by credits and stays from 0 to 500.00.
pub(crate) async fn books() -> (World, Arc<HandClock>) {
    let (world, clock) = HandClock::world_at("2026-11-18T12:00:00Z").await;
    world.done(open("cash", Some(0))).await;
    world.done(open("bank", None)).await;
    world.done(open("sales", None)).await;
    world.done(open_below("wear", "bank", Some(0), Some(50_000))).await;
    world.done(post("start", "cash", "sales", 100_000)).await;
    (world, clock)
}

fn open_below(code: &str, parent: &str, min: Option<i64>, max: Option<i64>) -> Command {
    let (code, currency) = (code.parse().expect("a code"), "USD".parse().expect("a currency"));
    Command::OpenAccount(OpenAccount {
        contra_side: Some(Direction::Credit),
        parent: Some(account(parent)),
        min_balance_minor: min,
        max_balance_minor: max,
        ..OpenAccount::plain(LEDGER, code, AccountType::Asset, currency)
    })
}

pub(crate) fn hold(text: &str, debit: &str, credit: &str, minor: i64) -> CreateHold {
    let postings = Postings::new(pair(debit, credit, minor)).expect("balanced");
    CreateHold::new(LEDGER, reference(text), Details::default(), postings, None)
}

impl World {
    /// Submits what cannot be refused.
    #[track_caller]
    pub(crate) fn done(&self, command: Command) -> impl Future<Output = ()> {
        let at = std::panic::Location::caller();
        async move { assert_eq!(self.submit(command).await, 201, "{at}") }
    }

    pub(crate) async fn post_hold(&self, text: &str, part: Part, last: bool) {
        let state = self.store.hold(hold_id(text)).await.expect("the log is there");
        let (id, details) = (hold_id(text), Details::default());
        let command = PostHold::new(LEDGER, id, None, details, part, last, state.as_deref());
        self.done(Command::PostHold(command)).await;
    }

    pub(crate) async fn void_hold(&self, text: &str) {
        let state = self.store.hold(hold_id(text)).await.expect("the log is there");
        let command = VoidHold::new(LEDGER, hold_id(text), state.as_deref());
        self.done(Command::VoidHold(command)).await;
    }

    pub(crate) async fn expire_hold(&self, text: &str) {
        let state = self.store.hold(hold_id(text)).await.expect("the log is there");
        let command = ExpireHold::new(hold_id(text), state.as_deref());
        self.done(Command::ExpireHold(command)).await;
    }

    pub(crate) async fn reverse_part(&self, text: &str, part: Part) {
        let id = EntryId::of(LEDGER, &reference(text));
        let posted = self.store.entry_posted(id).await.expect("the log is there");
        let details = Details::default();
        let command = ReverseEntry::new(LEDGER, id, None, details, part, posted.as_ref());
        self.done(Command::ReverseEntry(command)).await;
    }

    pub(crate) async fn replace_entry(&self, text: &str, by: (&str, &str, &str, i64)) {
        let id = EntryId::of(LEDGER, &reference(text));
        let posted = self.store.entry_posted(id).await.expect("the log is there");
        let by = entry(by.0, by.1, by.2, by.3);
        let command = ReplaceEntry::new(id, by, posted.as_ref());
        self.done(Command::ReplaceEntry(command)).await;
    }

    pub(crate) async fn cut_off(&self, text: &str) {
        let day = day(text);
        self.done(Command::CutOffDay(CutOffDay { ledger: LEDGER, day })).await;
    }

    /// Closes the day that was cut off, with the balances as its ledger's owner would add them up.
    pub(crate) async fn close(&self, text: &str) {
        let day = day(text);
        let (previous, balances) = self.balances_of(day).await;
        let balances = DayBalances::add_up(LEDGER, day, previous, balances);
        let close = CloseDay { ledger: LEDGER, day, previous, balances };
        self.done(Command::CloseDay(close)).await;
    }

    async fn balances_of(&self, day: Day) -> (Option<BalancesDigest>, Vec<DayBalance>) {
        let mut sums: BTreeMap<(AccountId, &str), i64> = BTreeMap::new();
        let (mut previous, mut counting) = (None, true);
        for recorded in self.events().await {
            let event = recorded.decode().expect("an event");
            if let Event::EntryPosted(entry) = &event
                && counting
                && Day::of(entry.effective_at.unwrap_or(recorded.recorded_at)) <= day
            {
                for Posting { account_id, direction, amount } in &entry.postings {
                    let place = (*account_id, amount.currency().code());
                    *sums.entry(place).or_default() += direction.signed(amount.minor());
                }
            }
            if let Event::Books(books) = event {
                match books {
                    BooksEvent::DayCutOff(event) => counting = event.day != day,
                    BooksEvent::DayClosed(event) => previous = Some(event.digest),
                    BooksEvent::MonthClosed(_) => {}
                }
            }
        }
        let currency = |code: &str| code.parse::<Currency>().expect("a currency");
        let balances = sums.into_iter().filter(|(_, minor)| *minor != 0).map(
            |((account_id, code), balance_minor)| DayBalance {
                account_id,
                currency: currency(code),
                balance_minor: balance_minor.into(),
            },
        );
        (previous, balances.collect())
    }

    /// Freezes the account, or lets it be open again.
    pub(crate) async fn freeze(&self, code: &str, frozen: bool) {
        let (ledger, account_id, expected_versions) = (LEDGER, account(code), None);
        self.done(match frozen {
            true => Command::FreezeAccount(FreezeAccount { ledger, account_id, expected_versions }),
            false => {
                Command::UnfreezeAccount(UnfreezeAccount { ledger, account_id, expected_versions })
            }
        })
        .await;
    }

    pub(crate) async fn amend_limits(&self, code: &str, min: Option<i64>, max: Option<i64>) {
        self.done(Command::AmendAccount(AmendAccount {
            ledger: LEDGER,
            account_id: account(code),
            name: Change::Keep,
            metadata: Change::Keep,
            min_balance_minor: Change::Set(min),
            max_balance_minor: Change::Set(max),
            clearing: Change::Keep,
            expected_versions: None,
        }))
        .await;
    }
}

/// All that a ledger does: holds, parts, replacements, limits, chains, cut-offs and closes.
pub(crate) async fn with_everything() -> (World, Arc<HandClock>) {
    let (world, clock) = books().await;
    reversals(&world).await;
    holds(&world, &clock).await;
    closes(&world, &clock).await;
    (world, clock)
}

async fn reversals(world: &World) {
    world.done(post("sale", "cash", "sales", 500)).await;
    world.reverse_part("sale", amount(200)).await;
    let part = Postings::new(pair("cash", "sales", 100)).expect("balanced");
    world.reverse_part("sale", Part::Postings(part)).await;
    world.reverse_part("sale", Part::Rest).await;
    // Together they keep the limit, one after the other they would not.
    world.done(post("spent", "sales", "cash", 100_000)).await;
    world.replace_entry("start", ("start anew", "cash", "sales", 100_000)).await;
    world.reverse_part("spent", amount(60_000)).await;
    world.replace_entry("spent", ("spent anew", "sales", "cash", 30_000)).await;
    // As much as there is room for below the maximum.
    let all = entry("wear", "sales", "wear", 70_000).up_to().expect("one pair");
    world.done(Command::PostEntry(all)).await;
    world.amend_limits("wear", None, Some(10_000)).await;
    world.done(post("nearer", "wear", "sales", 1)).await;
}

async fn holds(world: &World, clock: &HandClock) {
    world.done(Command::CreateHold(hold("card", "sales", "cash", 70_000))).await;
    world.post_hold("card", amount(20_000), false).await;
    world.post_hold("card", amount(10_000), true).await;
    world.done(Command::CreateHold(hold("held", "sales", "cash", 40_000))).await;
    let mut ends = hold("ends", "cash", "bank", 5);
    ends.expires_at = Some(time("2026-11-18T13:00:00Z"));
    world.done(Command::CreateHold(ends)).await;
    world.freeze("cash", true).await;
    world.void_hold("held").await;
    clock.set(world, "2026-11-18T13:00:00Z").await;
    world.expire_hold("ends").await;
    world.freeze("cash", false).await;
    let post = LedgerStep::Post(entry("in", "bank", "sales", 7));
    let held = LedgerStep::Hold(hold("chained", "cash", "bank", 7));
    let chain = PostBatch { steps: vec![post, held], atomic: true };
    world.done(Command::PostBatch(chain)).await;
}

async fn closes(world: &World, clock: &HandClock) {
    let mut early = entry("early", "bank", "sales", 11);
    early.details = dated("2026-11-29T08:00:00Z");
    world.done(Command::PostEntry(early)).await;
    clock.set(world, "2026-11-19T00:00:30Z").await;
    world.done(post("next day", "bank", "sales", 13)).await;
    clock.set(world, "2026-11-19T00:02:00Z").await;
    world.cut_off("2026-11-18").await;
    let mut late = entry("late", "bank", "sales", 17);
    late.details = dated("2026-11-18T20:00:00Z");
    world.done(Command::PostEntry(late)).await;
    world.close("2026-11-18").await;
    world.post_hold("chained", Part::Rest, false).await;
    clock.set(world, "2026-11-20T09:00:00Z").await;
    world.cut_off("2026-11-19").await;
    world.close("2026-11-19").await;
    world.done(post("between", "cash", "bank", 1)).await;
    clock.set(world, "2026-12-01T00:01:00Z").await;
    world.cut_off("2026-11-30").await;
    world.close("2026-11-30").await;
    world.done(post("december", "cash", "bank", 1)).await;
    world.done(Command::CreateHold(hold("open", "cash", "bank", 3))).await;
}
