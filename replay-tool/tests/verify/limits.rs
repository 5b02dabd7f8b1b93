//! Accounts that are not what they may be: exactly that is named.

use domain::accounts::{AccountAmended, AccountClosed, AccountOpened, AccountType};
use domain::holds::{HoldEvent, HoldVoided};
use domain::ledger::EntryPosted;
use domain::{AccountId, Command, Event, MerchantId, Metadata};
use replay_tool::verify::{Check, VerifyOptions};
use uuid::Uuid;

use crate::forged::{forged_entry, forged_hold, replacing};
use crate::given::{LEDGER, World, account, open, pair, post, verified};
use crate::ledger::{books, hold, hold_id};

fn posted(text: &str, debit: &str, credit: &str, minor: i64) -> Event {
    Event::EntryPosted(forged_entry(text, pair(debit, credit, minor)))
}

fn amended(code: &str, min: Option<i64>, max: Option<i64>) -> Event {
    Event::AccountAmended(AccountAmended {
        account_id: account(code),
        name: None,
        metadata: Metadata::default(),
        min_balance_minor: min,
        max_balance_minor: max,
        clearing: None,
    })
}

fn opened(code: &str, parent: &str, depth: u8) -> AccountOpened {
    let (code, currency) = (code.parse().expect("a code"), "USD".parse().expect("a currency"));
    let plain = AccountOpened::plain(LEDGER, code, AccountType::Asset, currency);
    AccountOpened { parent: Some(account(parent)), depth, ..plain }
}

/// What verify finds at the last of the events, the same in one pass and in several.
async fn check_finds(world: &World, events: Vec<Event>, check: Check) -> String {
    let last = i64::try_from(events.len()).expect("few") - 1;
    let at = world.forge(events).await + last;
    let sound = world.verified().await;
    sound.assert_finds([(check, Some(at))]);
    let options = VerifyOptions { accounts_per_pass: 1, ..world.options() };
    verified(&options).await.assert_finds([(check, Some(at))]);
    sound.only().found.clone()
}

#[tokio::test]
async fn an_account_above_its_maximum_is_found() {
    let (world, _) = books().await;
    let events = vec![posted("e", "cash", "wear", 50_001)];
    let found = check_finds(&world, events, Check::MaximumBalance).await;
    assert_eq!(found, "500.01 USD (before: 0.00 USD)");
}

#[tokio::test]
async fn a_contra_account_is_limited_on_its_own_side() {
    let (world, _) = books().await;
    let events = vec![posted("up", "cash", "wear", 5), posted("down", "wear", "cash", 6)];
    let found = check_finds(&world, events, Check::MinimumBalance).await;
    assert_eq!(found, "-0.01 USD (before: 0.05 USD)");
}

#[tokio::test]
async fn limits_are_those_of_the_last_amendment() {
    let (world, _) = books().await;
    let raised = vec![amended("wear", None, None), posted("e", "cash", "wear", 60_000)];
    world.forge(raised).await;
    world.verified().await.assert_clean();
    let events = vec![amended("wear", Some(60_000), Some(60_000)), posted("f", "wear", "cash", 1)];
    check_finds(&world, events, Check::MinimumBalance).await;
}

#[tokio::test]
async fn what_is_held_counts_against_both_limits() {
    let (world, _) = books().await;
    world.done(Command::CreateHold(hold("out", "sales", "cash", 60_000))).await;
    world.done(Command::CreateHold(hold("in", "sales", "wear", 40_000))).await;
    let events = vec![posted("spent", "bank", "cash", 40_001)];
    let found = check_finds(&world, events, Check::MinimumBalance).await;
    assert_eq!(found, "-0.01 USD (before: 400.00 USD)");

    let (world, _) = books().await;
    world.done(Command::CreateHold(hold("in", "sales", "wear", 40_000))).await;
    let events = vec![posted("more", "sales", "wear", 10_001)];
    check_finds(&world, events, Check::MaximumBalance).await;
}

#[tokio::test]
async fn a_hold_of_more_than_there_is_is_found() {
    let (world, _) = books().await;
    world.done(Command::CreateHold(hold("large", "sales", "cash", 100_000))).await;
    world.alter(6, "\"amount_minor\":100000", "\"amount_minor\":100001").await;
    world.alter(6, "\"amount_minor\":100000", "\"amount_minor\":100001").await;
    let pending = "update account_balances set";
    world
        .tamper(&format!(
            "{pending} debits_pending = 100001 where debits_pending = 100000; \
             {pending} credits_pending = 100001 where credits_pending = 100000"
        ))
        .await;
    world.verified().await.assert_finds([(Check::MinimumBalance, Some(6))]);
}

#[tokio::test]
async fn a_replacement_keeps_the_limits_as_a_whole() {
    let original = forged_entry("start", pair("cash", "sales", 100_000));
    for (minor, broken) in [(90_000, false), (89_999, true)] {
        let (world, _) = books().await;
        world.done(post("spent", "bank", "cash", 90_000)).await;
        let by = forged_entry("anew", pair("cash", "sales", minor));
        let first = world.forge(replacing(&original, by)).await;
        for options in [world.options(), VerifyOptions { accounts_per_pass: 1, ..world.options() }]
        {
            let verified = verified(&options).await;
            match broken {
                true => verified.assert_finds([(Check::MinimumBalance, Some(first))]),
                false => verified.assert_clean(),
            }
        }
    }
}

#[tokio::test]
async fn a_chain_is_checked_step_by_step() {
    let (world, _) = books().await;
    let first = world
        .forge([posted("out", "bank", "cash", 100_001), posted("in", "cash", "bank", 1)])
        .await;
    world.verified().await.assert_finds([(Check::MinimumBalance, Some(first))]);
}

#[tokio::test]
async fn a_frozen_account_takes_no_hold_and_lets_go_of_one() {
    let (world, _) = books().await;
    world.done(Command::CreateHold(hold("kept", "sales", "cash", 5))).await;
    world.freeze("cash", true).await;
    let (hold_id, released) = (hold_id("kept"), pair("sales", "cash", 5));
    let voided = Event::Hold(HoldEvent::Voided(HoldVoided { hold_id, released }));
    world.forge([voided]).await;
    world.verified().await.assert_clean();
    let events = vec![forged_hold("more", pair("sales", "cash", 5))];
    assert_eq!(check_finds(&world, events, Check::Accounts).await, "frozen");
}

#[tokio::test]
async fn an_account_that_is_closed_with_something_held_is_found() {
    let (world, _) = books().await;
    world.done(open("box", None)).await;
    world.done(Command::CreateHold(hold("kept", "box", "cash", 5))).await;
    let closed = Event::AccountClosed(AccountClosed { account_id: account("box") });
    let found = check_finds(&world, vec![closed], Check::Accounts).await;
    assert_eq!(found, "debits of 0.05 USD and credits of 0.00 USD");
    let world = books().await.0;
    world.done(open("box", None)).await;
    let closed = Event::AccountClosed(AccountClosed { account_id: account("box") });
    let amended = amended("box", None, None);
    assert_eq!(check_finds(&world, vec![closed, amended], Check::Accounts).await, "closed");
}

#[tokio::test]
async fn more_released_than_an_account_holds_is_found() {
    let (world, _) = books().await;
    world.done(Command::CreateHold(hold("kept", "sales", "cash", 5))).await;
    let (hold_id, released) = (hold_id("kept"), pair("sales", "cash", 6));
    let voided = Event::Hold(HoldEvent::Voided(HoldVoided { hold_id, released }));
    let first = Some(world.forge([voided]).await);
    world.verified().await.assert_finds([
        (Check::Accounts, first),
        (Check::Accounts, first),
        // No row can say that less than nothing is held.
        (Check::Balances, first),
        (Check::Balances, first),
        (Check::Holds, first),
    ]);
}

#[tokio::test]
async fn limits_that_leave_no_balance_are_found() {
    let (world, _) = books().await;
    let events = vec![amended("wear", Some(2), Some(1))];
    check_finds(&world, events, Check::Accounts).await;
}

#[tokio::test]
async fn an_account_below_one_that_it_cannot_be_below_is_found() {
    let income = AccountOpened { kind: AccountType::Income, ..opened("odd", "bank", 1) };
    let other = MerchantId::from_uuid(Uuid::from_u128(99));
    let code = "odd".parse().expect("a code");
    let foreign = AccountOpened {
        account_id: AccountId::of(other, &code),
        ledger: other,
        ..opened("odd", "bank", 1)
    };
    let cases = [
        (opened("odd", "nobody", 1), LEDGER, "none".to_owned()),
        (opened("odd", "bank", 2), LEDGER, "2".to_owned()),
        (opened("odd", "wear", 1), LEDGER, "1".to_owned()),
        (income, LEDGER, "income".to_owned()),
        (foreign, other, format!("in ledger {LEDGER}")),
        (AccountOpened { parent: None, ..opened("odd", "bank", 1) }, LEDGER, "1".to_owned()),
    ];
    for (event, ledger, found) in cases {
        let (world, _) = books().await;
        let first = world.forge_for(ledger, [Event::AccountOpened(event)]).await;
        for accounts_per_pass in [1, 100] {
            let options = VerifyOptions { accounts_per_pass, ..world.options() };
            let verified = verified(&options).await;
            verified.assert_finds([(Check::Accounts, Some(first))]);
            assert_eq!(verified.only().found, found);
        }
    }
}

#[tokio::test]
async fn an_entry_of_more_than_it_was_to_move_is_found() {
    let (world, _) = books().await;
    let more =
        EntryPosted { up_to_minor: Some(9), ..forged_entry("more", pair("bank", "cash", 10)) };
    let first = world.forge([Event::EntryPosted(more)]).await;
    world.verified().await.assert_finds([(Check::Entries, Some(first))]);
}
