//! What merchants can make a process hold in memory is bounded in bytes.

use std::collections::BTreeMap;

use domain::accounts::{AccountType, OpenAccount};
use domain::ledger::{Details, Direction, ExternalRef, PostEntry, Posting, Postings};
use domain::{Amount, Command, Metadata};
use event_store::{LOADED_BYTES_MAX, SubmitError};
use futures::StreamExt;
use testkit::TestDatabase;

use crate::given::{LEDGER, Process, account, check_log, usd};

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
