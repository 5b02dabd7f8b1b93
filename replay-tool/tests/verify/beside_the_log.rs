//! Balances and idempotency keys that do not agree with the log.

use replay_tool::verify::{Check, Severity, VerifyOptions};

use crate::given::{World, account, post, verified};
use crate::ledger::with_everything;

#[tokio::test]
async fn a_balance_that_is_off_by_one_is_found() {
    let world = World::with_history().await;
    let cash = account("cash");
    let change = "update account_balances set debits_posted = debits_posted + 1";
    world.tamper(&format!("{change} where account_id = '{}'", cash.uuid())).await;
    let verified = world.verified().await;
    verified.assert_finds([(Check::Balances, Some(11))]);
    let finding = verified.only();
    assert_eq!(finding.subject, format!("account {cash}"));
    insta::assert_snapshot!(format!("{}\n{}", finding.expected, finding.found));
}

#[tokio::test]
async fn a_balance_of_another_position_is_found() {
    let world = World::with_history().await;
    let cash = account("cash").uuid();
    world
        .tamper(&format!("update account_balances set position = 5 where account_id = '{cash}'"))
        .await;
    world.verified().await.assert_finds([(Check::Balances, Some(5))]);
}

#[tokio::test]
async fn a_missing_balance_is_found() {
    let world = World::with_history().await;
    let sales = account("sales");
    world
        .tamper(&format!("delete from account_balances where account_id = '{}'", sales.uuid()))
        .await;
    let verified = world.verified().await;
    verified.assert_finds([(Check::Balances, None)]);
    assert_eq!(verified.only().subject, format!("account {sales}"));
}

#[tokio::test]
async fn a_balance_without_postings_is_found() {
    let world = World::with_history().await;
    world
        .tamper(&format!(
            "insert into account_balances select 1, '{}', 1, 0, 0, 0, 14",
            account("old").uuid()
        ))
        .await;
    world.verified().await.assert_finds([(Check::Balances, Some(14))]);
}

#[tokio::test]
async fn a_key_with_another_fingerprint_is_found() {
    let world = World::with_history().await;
    world.tamper("update idempotency_keys set fingerprint = sha256('x') where key = 'k2'").await;
    let verified = world.verified().await;
    // Once by the row and once by the event, which asks for its row.
    verified.assert_finds([(Check::IdempotencyKeys, Some(4)), (Check::MissingKeys, Some(4))]);
}

#[tokio::test]
async fn a_key_that_points_to_nothing_is_found() {
    let world = World::with_history().await;
    world.tamper("update idempotency_keys set position = 99 where key = 'k2'").await;
    world.verified().await.assert_finds([(Check::IdempotencyKeys, Some(99))]);
    world.tamper("update idempotency_keys set position = 12 where key = 'k2'").await;
    world.verified().await.assert_finds([(Check::IdempotencyKeys, Some(12))]);
}

#[tokio::test]
async fn a_refusal_that_made_something_is_found() {
    let world = World::with_history().await;
    world.tamper("update idempotency_keys set status = 409 where key = 'k2'").await;
    world.verified().await.assert_finds([(Check::IdempotencyKeys, Some(4))]);
}

/// As when a key was lost, and its request came once more and was refused.
#[tokio::test]
async fn a_refusal_that_was_given_later_than_the_effect_is_found() {
    let world = World::with_history().await;
    for later in [
        "status = 409, position = 12, recorded_at = recorded_at + interval '1 second'",
        // What was done already, once more.
        "status = 200, position = 12, recorded_at = recorded_at + interval '1 second'",
        "status = 409, position = 1",
    ] {
        world.tamper(&format!("update idempotency_keys set {later} where key = 'k2'")).await;
        world.verified().await.assert_finds([(Check::IdempotencyKeys, Some(4))]);
    }
}

/// As when a key was lost, and its request came once more and had its effect again.
#[tokio::test]
async fn a_second_effect_right_after_the_first_is_found() {
    let world = World::with_history().await;
    let first = world.events().await.len() + 1;
    for key in ["once", "again"] {
        world.submit_with_key(post(key, "cash", "sales", 1), key).await;
    }
    let last = first + 1;
    world
        .tamper_and_rehash(&format!(
            "update events set metadata = (select metadata from events where position = {last}) \
             where position = {first}; delete from idempotency_keys where key = 'once'"
        ))
        .await;
    let position = i64::try_from(first).ok();
    world.verified().await.assert_finds([(Check::IdempotencyKeys, position)]);
}

#[tokio::test]
async fn a_missing_key_of_a_young_event_is_a_warning() {
    let world = World::with_history().await;
    world.tamper("delete from idempotency_keys where key = 'k3'").await;
    let verified = world.verified().await;
    verified.assert_finds([(Check::MissingKeys, Some(11))]);
    assert_eq!(verified.only().severity, Severity::Warning);
    assert!(verified.summary.clean(), "the log itself is in order");
}

#[tokio::test]
async fn every_event_of_an_append_misses_a_key_that_is_gone() {
    let world = World::with_history().await;
    world.tamper("delete from idempotency_keys where key = 'k1'").await;
    let both = [(Check::MissingKeys, Some(5)), (Check::MissingKeys, Some(6))];
    world.verified().await.assert_finds(both);
    // Of a part of the log no rows are scanned; the keys are asked for one by one.
    let part = VerifyOptions { from: Some(4), to: Some(5), ..world.options() };
    verified(&part).await.assert_finds([(Check::MissingKeys, Some(5))]);
}

#[tokio::test]
async fn a_refusal_at_an_event_of_another_request_is_in_order() {
    let world = World::with_history().await;
    let before = world.events().await.len();
    world.submit_with_key(post("r2", "cash", "sales", 1), "other").await;
    assert_eq!(world.events().await.len(), before, "refused: the reference is taken");
    world.submit_with_key(post("r4", "cash", "sales", 1), "k4").await;
    world.submit_with_key(post("r4", "cash", "sales", 2), "after k4").await;
    world.verified().await.assert_clean();
}

#[tokio::test]
async fn a_key_that_was_pruned_in_its_time_is_not_missed() {
    let world = World::new().await;
    world.submit_with_key(post("r1", "cash", "sales", 5), "k").await;
    world
        .tamper_and_rehash(
            "update events set recorded_at = recorded_at - interval '72 hours'; \
             delete from idempotency_keys",
        )
        .await;
    world.verified().await.assert_clean();
}

/// With room for one account there are as many passes over the events as accounts, and what they say
/// together is the same.
#[tokio::test]
async fn accounts_are_compared_in_as_many_parts_as_memory_takes() {
    let world = World::with_history().await;
    let options = VerifyOptions { accounts_per_pass: 1, ..world.options() };
    let sound = verified(&options).await;
    sound.assert_clean();
    let names: Vec<&str> = sound.summary.parts.iter().map(|part| part.name).collect();
    assert_eq!(names.iter().filter(|name| name.ends_with("further accounts")).count(), 2);
    let (cash, old) = (account("cash").uuid(), account("old").uuid());
    world
        .tamper(&format!(
            "update account_balances set credits_posted = 1 where account_id = '{cash}'; \
             insert into account_balances select 1, '{old}', 1, 0, 0, 0, 14"
        ))
        .await;
    verified(&options)
        .await
        .assert_finds([(Check::Balances, Some(11)), (Check::Balances, Some(14))]);
}

#[tokio::test]
async fn what_is_held_is_a_part_of_a_balance() {
    let (world, _) = with_everything().await;
    let (cash, bank) = (account("cash").uuid(), account("bank").uuid());
    let held = "update account_balances set debits_pending = debits_pending - 3";
    world.tamper(&format!("{held} where account_id = '{cash}'")).await;
    let held = "update account_balances set credits_pending = credits_pending + 1";
    world.tamper(&format!("{held} where account_id = '{bank}'")).await;
    let last = i64::try_from(world.events().await.len()).ok();
    let verified = world.verified().await;
    verified.assert_finds([(Check::Balances, last), (Check::Balances, last)]);
    let found: Vec<&str> = verified
        .findings
        .iter()
        .filter_map(|finding| Some(finding.found.split_once(", pending ")?.1))
        .collect();
    let last = world.events().await.len();
    assert!(found.contains(&format!("0 and 0, last moved at {last}").as_str()), "{found:?}");
    assert!(found.contains(&format!("0 and 4, last moved at {last}").as_str()), "{found:?}");
}
