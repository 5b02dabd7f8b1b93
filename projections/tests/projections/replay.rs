//! Scratch copies for auditors, and that the same events always yield the same rows.

use std::collections::HashMap;

use domain::accounts::AccountType;
use domain::api_keys::Role as KeyRole;
use domain::{Day, MerchantId, Timestamp};
use event_store::log::Position;
use migrations::Role;
use projections::{LedgerBalance, Options};
use proptest::prelude::*;

use super::events::{
    Happened, SHOP, frozen, issued, merchant, opened, posted, registered, reversed, revoked,
    unfrozen, way_of_a_payment,
};
use super::ledger_events::{End, amended, closed_day, dated, partly_reversed, way_of_a_hold};
use super::scenario::{Running, Scenario};
use super::tables::{dump, expected, same};

#[tokio::test]
async fn an_auditor_folds_a_copy_up_to_any_position() {
    let mut scenario = Scenario::with_accounts().await;
    scenario.sell(20).await;
    let mut db = scenario.database.connect(Role::Auditor).await;
    let to = Position::from_number(12);
    let mut told = Vec::new();
    let folded =
        projections::fold_into(&mut db, &LedgerBalance, "pg_temp", to, |at| told.push(at)).await;
    let folded = folded.expect("folds");
    assert_eq!(folded.position, to);
    assert_eq!(folded.leaf_hash, Some(scenario.log.recorded[11].leaf_hash));
    assert_eq!(told, [to]);
    let entries: i64 = sqlx::query_scalar("select count(*) from pg_temp.entries")
        .fetch_one(&mut db)
        .await
        .expect("reads");
    assert_eq!(entries, 10);
}

#[tokio::test]
async fn a_copy_ends_at_the_head_and_may_be_empty() {
    let scenario = Scenario::new().await;
    let mut db = scenario.database.connect(Role::Auditor).await;
    let far = Position::from_number(100);
    for projection in projections::all() {
        let folded = projections::fold_into(&mut db, &*projection, "pg_temp", far, |_| {}).await;
        assert_eq!(folded.expect("folds").position, Position::START);
        for table in projection.tables() {
            assert!(!table.key.is_empty(), "{} has a key", table.name);
        }
    }
}

#[tokio::test]
async fn rows_are_the_same_whether_few_are_inserted_or_many_copied_in() {
    let mut scenario = Scenario::with_accounts().await;
    scenario.log.append([opened("fees", AccountType::Expense, "USD")]).await;
    let running = Running::start(scenario.options_without_nats());
    for batch in 0..6 {
        let first = scenario.log.position().next();
        let entries = (0..200).map(|number| {
            let reference = format!("ref \\N {batch}\\t{number} ☕");
            let debit = if number % 3 == 0 { "cash" } else { "fees" };
            posted(&reference, debit, "sales", 1 + number)
        });
        scenario.log.append(entries).await;
        let reversal = reversed(&scenario.log.entry(first));
        scenario.log.append(reversal).await;
        running.reaches(scenario.log.position()).await;
    }
    running.stop().await;
    let mut db = scenario.database.owner().await;
    let inserted = dump(&mut db, &LedgerBalance, "read").await;
    let database = scenario.options().database;
    projections::rebuild(&database, &LedgerBalance, &|_| {}).await.expect("rebuilds");
    same(&dump(&mut db, &LedgerBalance, "read").await, &inserted);
}

/// When the first event of a log is recorded, about.
const BEGAN: Timestamp = Timestamp::from_micros(1_750_000_000_000_000);

/// What a random history is made of; what makes no sense at its turn is left out.
#[derive(Debug, Clone)]
enum Wish {
    Open(u8),
    Post(u8, u8, i64),
    Reverse(u8),
    Freeze(u8),
    Unfreeze(u8),
    Register(u8),
    Issue(u8, u8),
    Revoke(u8),
    /// The next of what happens to a payment.
    Pay(u8),
    Amend(u8, i64),
    /// An entry that takes effect so many minutes before or after the log began.
    Date(u8, u8, i64, i64),
    /// A hundredth of an entry.
    ReversePart(u8),
    /// The next of what happens to a hold.
    Hold(u8),
    /// The next of what happens to the books.
    Close,
    /// The runner is at the head before the history goes on: where a batch is cut.
    Pause,
}

fn wish() -> impl Strategy<Value = Wish> {
    prop_oneof![
        2 => (0_u8..6).prop_map(Wish::Open),
        8 => (0_u8..6, 0_u8..6, 1_i64..1_000_000).prop_map(|(a, b, n)| Wish::Post(a, b, n)),
        3 => any::<u8>().prop_map(Wish::Reverse),
        1 => (0_u8..6).prop_map(Wish::Freeze),
        1 => (0_u8..6).prop_map(Wish::Unfreeze),
        1 => (0_u8..4).prop_map(Wish::Register),
        1 => (0_u8..4, 0_u8..8).prop_map(|(m, k)| Wish::Issue(m, k)),
        1 => (0_u8..8).prop_map(Wish::Revoke),
        4 => (0_u8..4).prop_map(Wish::Pay),
        1 => (0_u8..6, 1_i64..1_000).prop_map(|(a, n)| Wish::Amend(a, n)),
        4 => (0_u8..6, 0_u8..6, 1_i64..1_000_000, -3_000_i64..3_000)
            .prop_map(|(a, b, n, at)| Wish::Date(a, b, n, at)),
        2 => any::<u8>().prop_map(Wish::ReversePart),
        6 => (0_u8..6).prop_map(Wish::Hold),
        1 => Just(Wish::Close),
        2 => Just(Wish::Pause),
    ]
}

/// What is there already, so that only histories are made that can have happened.
#[derive(Default)]
struct Made {
    accounts: [bool; 6],
    merchants: [bool; 4],
    /// The owner of each key; `None` once revoked, too.
    keys: [Option<u8>; 8],
    issued: [bool; 8],
    /// Positions of entries that can still be reversed.
    reversible: Vec<Position>,
    /// Parts of entries that were reversed, a hundredth each.
    parts: HashMap<Position, usize>,
    /// How far each payment is on its way.
    paid: [usize; 4],
    held: [usize; 6],
    closed: usize,
}

fn code(number: u8) -> String {
    format!("account:{number}")
}

fn kind(number: u8) -> AccountType {
    AccountType::ALL[usize::from(number) % AccountType::ALL.len()]
}

impl Made {
    /// The next that happens to a payment, if it is not at the end of its way.
    fn pay(&mut self, number: u8) -> Vec<Happened> {
        let at = &mut self.paid[usize::from(number)];
        let next = way_of_a_payment(u128::from(number)).into_iter().nth(*at);
        *at += 1;
        next.into_iter().collect()
    }

    /// A hundredth of an entry of which a whole reversal still finds something left.
    fn reverse_part(&mut self, position: Position, scenario: &Scenario) -> Vec<Happened> {
        let entry = scenario.log.entry(position);
        let hundredth = entry.postings[0].amount.minor() / 100;
        let parts = self.parts.entry(position).or_default();
        if hundredth == 0 || *parts > 50 {
            return Vec::new();
        }
        *parts += 1;
        partly_reversed(&entry, *parts, hundredth).to_vec()
    }

    fn hold(&mut self, number: u8) -> Vec<Happened> {
        let end = [End::Posted, End::Voided, End::Expired][usize::from(number) % 3];
        let at = &mut self.held[usize::from(number)];
        let code = code(number);
        let next = way_of_a_hold(number, (&code, &code), end).into_iter().nth(*at);
        *at += 1;
        next.unwrap_or_default()
    }

    /// Days from the last but one of a month on.
    fn close(&mut self) -> Vec<Happened> {
        let mut day: Day = "2025-05-30".parse().expect("a day");
        for _ in 0..self.closed / 2 {
            day = day.next();
        }
        let next = closed_day(day).into_iter().nth(self.closed % 2);
        self.closed += 1;
        next.unwrap_or_default()
    }

    /// The events of a wish that makes sense now.
    fn grant(&mut self, wish: &Wish, scenario: &Scenario) -> Vec<Happened> {
        let open = |number: u8| self.accounts[usize::from(number)];
        match *wish {
            Wish::Open(number) if !open(number) => {
                self.accounts[usize::from(number)] = true;
                vec![opened(&code(number), kind(number), "USD")]
            }
            Wish::Post(debit, credit, minor) if open(debit) && open(credit) => {
                let at = scenario.log.position().next();
                self.reversible.push(at);
                vec![posted(&format!("ref {at}"), &code(debit), &code(credit), minor)]
            }
            Wish::Amend(number, threshold) if open(number) => {
                vec![amended(&code(number), threshold)]
            }
            Wish::Date(debit, credit, minor, minutes) if open(debit) && open(credit) => {
                let at = scenario.log.position().next();
                let time = BEGAN.plus_millis(minutes * 60_000);
                self.reversible.push(at);
                vec![dated(&format!("ref {at}"), (&code(debit), &code(credit)), minor, time)]
            }
            Wish::ReversePart(index) if !self.reversible.is_empty() => {
                let position = self.reversible[usize::from(index) % self.reversible.len()];
                self.reverse_part(position, scenario)
            }
            Wish::Hold(number) if open(number) => self.hold(number),
            Wish::Close => self.close(),
            Wish::Reverse(index) if !self.reversible.is_empty() => {
                let index = usize::from(index) % self.reversible.len();
                let position = self.reversible.swap_remove(index);
                reversed(&scenario.log.entry(position)).to_vec()
            }
            Wish::Freeze(number) if open(number) => vec![frozen(&code(number))],
            Wish::Unfreeze(number) if open(number) => vec![unfrozen(&code(number))],
            Wish::Register(number) if !self.merchants[usize::from(number)] => {
                self.merchants[usize::from(number)] = true;
                vec![registered(merchant(u128::from(number) + 1), "A Shop")]
            }
            Wish::Issue(owner, key) if !self.issued[usize::from(key)] => {
                self.issued[usize::from(key)] = true;
                self.keys[usize::from(key)] = Some(owner);
                let owner = if owner == 0 { MerchantId::PLATFORM } else { SHOP };
                vec![issued(u128::from(key), owner, KeyRole::Merchant)]
            }
            Wish::Revoke(key) if self.keys[usize::from(key)].take().is_some() => {
                vec![revoked(u128::from(key), SHOP)]
            }
            Wish::Open(_)
            | Wish::Post(..)
            | Wish::Reverse(_)
            | Wish::Freeze(_)
            | Wish::Unfreeze(_)
            | Wish::Register(_)
            | Wish::Issue(..)
            | Wish::Revoke(_)
            | Wish::Amend(..)
            | Wish::Date(..)
            | Wish::ReversePart(_)
            | Wish::Hold(_)
            | Wish::Pause => Vec::new(),
            Wish::Pay(number) => self.pay(number),
        }
    }
}

async fn rows_depend_on_events_alone(wishes: Vec<Wish>) {
    let mut scenario = Scenario::with_accounts().await;
    let options = Options { projections: projections::all(), ..scenario.options_without_nats() };
    let running = Running::start(options);
    let mut made = Made::default();
    for wish in &wishes {
        if let Wish::Pause = wish {
            running.reaches(scenario.log.position()).await;
        }
        let happened = made.grant(wish, &scenario);
        scenario.log.append(happened).await;
    }
    running.reaches(scenario.log.position()).await;
    running.one_reaches("payments", scenario.log.position()).await;
    running.stop().await;
    scenario.assert_exactly_once().await;
    let mut db = scenario.database.owner().await;
    for projection in projections::all() {
        let live = dump(&mut db, &*projection, "read").await;
        same(&live, &expected(&mut db, &*projection).await);
        let database = scenario.options().database;
        projections::rebuild(&database, &*projection, &|_| {}).await.expect("rebuilds");
        same(&dump(&mut db, &*projection, "read").await, &live);
    }
    let sums: Vec<(String, bool)> = sqlx::query_as(
        "select currency, sum(debits_posted) = sum(credits_posted) from read.trial_balance \
         group by ledger, currency",
    )
    .fetch_all(&mut db)
    .await
    .expect("reads");
    assert!(sums.iter().all(|(_, balanced)| *balanced), "the books balance: {sums:?}");
}

proptest! {
    // Each case has a database of its own, which is what takes the time.
    #![proptest_config(ProptestConfig {
        cases: 12,
        failure_persistence: None,
        max_shrink_iters: 40,
        ..ProptestConfig::default()
    })]

    #[test]
    fn live_fresh_and_rebuilt_read_models_are_the_same(
        wishes in prop::collection::vec(wish(), 1..120),
    ) {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(2)
            .enable_all()
            .build()
            .expect("a runtime");
        runtime.block_on(rows_depend_on_events_alone(wishes));
    }
}
