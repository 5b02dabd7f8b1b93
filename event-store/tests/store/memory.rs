//! What merchants can make a process hold in memory is bounded in bytes.

use std::collections::BTreeMap;

use domain::accounts::{AccountType, OpenAccount};
use domain::ledger::{
    Details, Direction, ExternalRef, LedgerStep, PostBatch, PostEntry, Posting, Postings,
};
use domain::{Amount, Command, Metadata};
use event_store::{LOADED_BYTES_MAX, SubmitError};
use futures::StreamExt;
use testkit::TestDatabase;

use crate::given::{LEDGER, Process, account, check_log, moving, opened, post, usd};

/// Some 110 KiB, the most that there is.
fn largest_metadata() -> Metadata {
    let wide = |characters: usize| "\u{1F4B6}".repeat(characters);
    let key = |n| format!("{n:02}{}", wide(Metadata::KEY_CHARACTERS_MAX - 2));
    let entries: BTreeMap<_, _> =
        (0..Metadata::KEYS_MAX).map(|n| (key(n), wide(Metadata::VALUE_CHARACTERS_MAX))).collect();
    Metadata::parse(entries).expect("metadata")
}

/// An entry over the first accounts: each gives one to the next.
fn over(accounts: usize) -> Command {
    let posting = |n: usize| Posting {
        account_id: account(&format!("a{n}")),
        direction: if n.is_multiple_of(2) { Direction::Debit } else { Direction::Credit },
        amount: Amount::from_minor(1, usd()).expect("an amount"),
    };
    let postings = Postings::new((0..accounts).map(posting).collect()).expect("balanced");
    let reference = ExternalRef::parse(&format!("over-{accounts}")).expect("a reference");
    Command::PostEntry(PostEntry::new(LEDGER, reference, Details::default(), postings))
}

#[tokio::test]
async fn a_command_over_more_than_may_be_loaded_at_once_is_refused_and_smaller_ones_go_on() {
    let database = TestDatabase::create().await;
    let process = Process::on(&database).await;
    let metadata = largest_metadata();
    let size: usize = metadata.entries().iter().map(|(key, value)| key.len() + value.len()).sum();
    let accounts = (LOADED_BYTES_MAX / size + 20) & !1;
    assert!(accounts < 1_000, "one entry can name {accounts} of them");
    let open = |n: usize| {
        let (code, metadata) = (format!("a{n}").parse().expect("a code"), metadata.clone());
        let plain = OpenAccount::plain(LEDGER, code, AccountType::Asset, usd());
        process.submit(Command::OpenAccount(OpenAccount { metadata, ..plain }))
    };
    let opening = futures::stream::iter(0..accounts).map(open).buffer_unordered(16);
    let opened: Vec<_> = opening.map(|answer| answer.expect("answered").status).collect().await;
    assert!(opened.iter().all(|status| *status == 201));
    process.stop().await;

    let cold = Process::on(&database).await;
    let refused = cold.submit(over(accounts)).await.expect_err("it is too large");
    assert_eq!(refused, SubmitError::StatesTooLarge);
    assert!(!refused.retryable());
    assert_eq!(cold.submit(over(100)).await.expect("answered").status, 201);
    cold.stop().await;
    check_log(&database).await;
}

/// The entries that a batch finds taken are loaded in parts, if they are too large together: the batch is answered, and
/// so is who comes after it.
#[tokio::test]
async fn taken_entries_that_are_too_large_together_hold_up_nobody() {
    let database = TestDatabase::create().await;
    let process = opened(&database).await;
    let metadata = largest_metadata();
    let size: usize = metadata.entries().iter().map(|(key, value)| key.len() + value.len()).sum();
    let entries = LOADED_BYTES_MAX / size + 20;
    let entry = |n: usize, metadata: Metadata| {
        let reference = ExternalRef::parse(&format!("large-{n}")).expect("a reference");
        let details = Details { metadata, ..Details::default() };
        PostEntry::new(LEDGER, reference, details, moving("cash", "sales", 1))
    };
    let large = |n| process.submit(Command::PostEntry(entry(n, metadata.clone())));
    let posting = futures::stream::iter(0..entries).map(large).buffer_unordered(16);
    let posted: Vec<_> = posting.map(|answer| answer.expect("answered").status).collect().await;
    assert!(posted.iter().all(|status| *status == 201));
    process.stop().await;

    let cold = Process::on(&database).await;
    let steps = (0..entries).map(|n| LedgerStep::Post(entry(n, Metadata::default()))).collect();
    cold.submit(Command::PostBatch(PostBatch { steps, atomic: false })).await.expect("answered");
    let after = cold.submit(post("after", "cash", "sales", 1)).await;
    assert_eq!(after.expect("answered").status, 201);
    cold.stop().await;
    check_log(&database).await;
}
