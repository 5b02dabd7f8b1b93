//! A log made by the real sequencer, hands that break it, and what verify says.

use std::sync::Arc;

use domain::accounts::{AccountType, CloseAccount, FreezeAccount, OpenAccount, UnfreezeAccount};
use domain::ledger::{
    Details, Direction, ExternalRef, Part, PostEntry, Posting, Postings, ReverseEntry,
};
use domain::merchants::{FeeTerms, RegisterMerchant};
use domain::{AccountId, Amount, Command, Decision, EntryId, Event, MerchantId, Name, Timestamp};
use event_store::log::{Position, RecordedEvent, events_after};
use event_store::{
    Clock, EventStore, IdSource, NewAnswer, Origin, RandomIds, Request, RequestKey, RequestPart,
    StoreOptions, SystemClock,
};
use migrations::Role;
use replay_tool::verify::{Check, Finding, Observer, Summary, VerifyOptions, verify};
use sqlx::{AssertSqlSafe, PgConnection};
use testkit::TestDatabase;
use tokio_util::sync::{CancellationToken, DropGuard};
use uuid::Uuid;

pub(crate) const LEDGER: MerchantId = MerchantId::from_uuid(Uuid::from_u128(7));
const FINGERPRINT: [u8; 32] = [0xab; 32];

pub(crate) struct World {
    pub(crate) database: TestDatabase,
    pub(crate) store: EventStore,
    _stops: DropGuard,
}

impl World {
    /// A log of nothing at a time that only tests move, with the database's clock and this one.
    pub(crate) async fn at(now: Timestamp, clock: Arc<dyn Clock>) -> Self {
        let database = TestDatabase::create().await;
        database.stop_clock_at(now.micros()).await;
        Self::on(database, clock).await
    }

    /// A log of nothing.
    pub(crate) async fn empty() -> Self {
        Self::on(TestDatabase::create().await, Arc::new(SystemClock)).await
    }

    async fn on(database: TestDatabase, clock: Arc<dyn Clock>) -> Self {
        let options = StoreOptions {
            database_url: database.url(Role::Application),
            clock,
            ids: Arc::new(RandomIds),
        };
        let (store, sequencer) = EventStore::open(options).await.expect("the log opens");
        let stop = CancellationToken::new();
        tokio::spawn(sequencer.run(stop.clone()));
        Self { database, store, _stops: stop.drop_guard() }
    }

    /// A log with two accounts and nothing else.
    pub(crate) async fn new() -> Self {
        let world = Self::empty().await;
        world.submit(open("cash", None)).await;
        world.submit(open("sales", None)).await;
        world
    }

    /// A log of 14 events with something of everything:
    /// 1–2 accounts, 3–4 entries, 5 reversing 3, 6 marking it, 7 an account, 8–10 frozen, unfrozen,
    /// closed, 11 an entry, 12–14 merchants.
    pub(crate) async fn with_history() -> Self {
        let world = Self::new().await;
        world.submit(post("r1", "cash", "sales", 500)).await;
        world.submit_with_key(post("r2", "cash", "sales", 70), "k2").await;
        world.reverse(3).await;
        world.submit(open("old", Some(0))).await;
        let (ledger, account_id) = (LEDGER, account("old"));
        world
            .submit(Command::FreezeAccount(FreezeAccount {
                ledger,
                account_id,
                expected_versions: None,
            }))
            .await;
        world
            .submit(Command::UnfreezeAccount(UnfreezeAccount {
                ledger,
                account_id,
                expected_versions: None,
            }))
            .await;
        world
            .submit(Command::CloseAccount(CloseAccount {
                ledger,
                account_id,
                expected_versions: None,
            }))
            .await;
        world.submit_with_key(post("r3", "cash", "sales", 9), "k3").await;
        for _ in 0..3 {
            world.submit(merchant()).await;
        }
        assert_eq!(world.events().await.len(), 14);
        world
    }

    pub(crate) async fn submit(&self, command: Command) -> u16 {
        self.store.submit(request(command, None)).await.expect("answered").status
    }

    pub(crate) async fn submit_with_key(&self, command: Command, key: &str) -> u16 {
        let key = RequestKey {
            owner: LEDGER,
            key: key.to_owned(),
            fingerprint: FINGERPRINT,
            part: RequestPart::Whole,
        };
        self.store.submit(request(command, Some(key))).await.expect("answered").status
    }

    /// Reverses the entry at that position, with a key.
    async fn reverse(&self, position: usize) {
        let event = self.events().await.swap_remove(position - 1);
        let Ok(Event::EntryPosted(posted)) = event.decode() else { panic!("an entry") };
        let id: EntryId = posted.entry_id;
        let command =
            ReverseEntry::new(LEDGER, id, None, Details::default(), Part::Rest, Some(&posted));
        assert_eq!(self.submit_with_key(Command::ReverseEntry(command), "k1").await, 201);
    }

    pub(crate) async fn events(&self) -> Vec<RecordedEvent> {
        let mut owner = self.database.owner().await;
        events_after(&mut owner, Position::START, 10_000).await.expect("events")
    }

    /// Does what only a superuser can, past every guard, and puts the guards back.
    pub(crate) async fn tamper(&self, statements: &str) {
        let mut owner = self.database.owner().await;
        let tampering = format!(
            "alter table events disable trigger all; alter table log_head disable trigger all; \
             {statements}; \
             alter table events enable always trigger events_append_only; \
             alter table events enable always trigger events_no_truncate; \
             alter table log_head enable always trigger log_head_no_delete; \
             alter table log_head enable always trigger log_head_never_falls"
        );
        sqlx::raw_sql(AssertSqlSafe(tampering)).execute(&mut owner).await.expect("tampered");
    }

    /// Tampers, and makes the hashes of all rows anew, as somebody who knows how would.
    pub(crate) async fn tamper_and_rehash(&self, statements: &str) {
        self.tamper(statements).await;
        for event in self.events().await {
            let hash = event.computed_hash();
            if hash != event.leaf_hash {
                let position = event.position;
                self.tamper(&format!(
                    "update events set leaf_hash = '\\x{hash}' where position = {position}"
                ))
                .await;
            }
        }
    }

    pub(crate) fn options(&self) -> VerifyOptions {
        VerifyOptions::of(self.database.url(Role::Auditor))
    }

    pub(crate) async fn verified(&self) -> Verified {
        verified(&self.options()).await
    }

    pub(crate) async fn owner(&self) -> PgConnection {
        self.database.owner().await
    }
}

/// What verify said.
#[derive(Debug)]
pub(crate) struct Verified {
    pub(crate) findings: Vec<Finding>,
    pub(crate) summary: Summary,
}

#[derive(Default)]
struct Listener(Vec<Finding>);

impl Observer for Listener {
    fn progress(&mut self, _: replay_tool::verify::Part, _: u64, _: u64) {}

    fn finding(&mut self, finding: &Finding) {
        self.0.push(finding.clone());
    }
}

pub(crate) async fn verified(options: &VerifyOptions) -> Verified {
    let mut listener = Listener::default();
    let summary = verify(options, &mut listener).await.expect("verified");
    Verified { findings: listener.0, summary }
}

impl Verified {
    #[track_caller]
    pub(crate) fn assert_clean(&self) {
        assert_eq!(self.findings, [], "nothing is wrong");
        assert!(self.summary.clean());
    }

    /// Exactly these, in any order.
    #[track_caller]
    pub(crate) fn assert_finds<const N: usize>(&self, expected: [(Check, Option<i64>); N]) {
        let mut found: Vec<_> =
            self.findings.iter().map(|finding| (finding.check, finding.position)).collect();
        let mut expected = expected.to_vec();
        found.sort_unstable();
        expected.sort_unstable();
        assert_eq!(found, expected, "{:#?}", self.findings);
    }

    /// The one finding that there is.
    #[track_caller]
    pub(crate) fn only(&self) -> &Finding {
        let [finding] = &self.findings[..] else { panic!("{:#?}", self.findings) };
        finding
    }
}

pub(crate) fn request(command: Command, key: Option<RequestKey>) -> Request {
    let answer = |decided: &Result<Decision, domain::Rejection>, _| {
        let status = match decided {
            Ok(Decision::Append(_) | Decision::Several { .. }) => 201,
            Ok(Decision::Already(_)) => 200,
            Err(_) => 409,
        };
        let (resource_id, body) = (String::new(), "{}".to_owned());
        NewAnswer { status, resource_id, body, replay_body: None }
    };
    let origin = Origin { actor: "test".to_owned(), ..Origin::default() };
    Request { command, key, origin, answer: Arc::new(answer), bytes: Request::BYTES_USUAL }
}

pub(crate) fn account(code: &str) -> AccountId {
    AccountId::of(LEDGER, &code.parse().expect("a code"))
}

pub(crate) fn open(code: &str, min_balance_minor: Option<i64>) -> Command {
    let (code, currency) = (code.parse().expect("a code"), "USD".parse().expect("a currency"));
    let plain = OpenAccount::plain(LEDGER, code, AccountType::Asset, currency);
    Command::OpenAccount(OpenAccount { min_balance_minor, ..plain })
}

pub(crate) fn posting(code: &str, direction: Direction, minor: i64) -> Posting {
    let amount = Amount::from_minor(minor, "USD".parse().expect("a currency"));
    Posting { account_id: account(code), direction, amount: amount.expect("an amount") }
}

/// One amount from one account to another.
pub(crate) fn pair(debit: &str, credit: &str, minor: i64) -> Vec<Posting> {
    vec![posting(debit, Direction::Debit, minor), posting(credit, Direction::Credit, minor)]
}

pub(crate) fn reference(text: &str) -> ExternalRef {
    ExternalRef::parse(text).expect("a reference")
}

pub(crate) fn entry(reference_text: &str, debit: &str, credit: &str, minor: i64) -> PostEntry {
    PostEntry::new(
        LEDGER,
        reference(reference_text),
        Details::default(),
        Postings::new(pair(debit, credit, minor)).expect("balanced"),
    )
}

pub(crate) fn post(reference: &str, debit: &str, credit: &str, minor: i64) -> Command {
    Command::PostEntry(entry(reference, debit, credit, minor))
}

pub(crate) fn merchant() -> Command {
    Command::RegisterMerchant(RegisterMerchant {
        merchant_id: MerchantId::from_uuid(RandomIds.next()),
        name: Name::parse("Toko").expect("a name"),
        fees: FeeTerms::free(),
    })
}
