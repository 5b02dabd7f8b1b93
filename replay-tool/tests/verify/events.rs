//! One thing about the events broken at a time, and exactly that named.

use replay_tool::verify::Check;

use crate::given::{LEDGER, World, account, open, post};

#[tokio::test]
async fn a_byte_changed_in_data_is_found() {
    let world = World::with_history().await;
    let change = "update events set data = replace(data::text, 'Toko', 'Toka')::json";
    world.tamper(&format!("{change} where position = 12")).await;
    world.verified().await.assert_finds([(Check::LeafHash, Some(12))]);
}

#[tokio::test]
async fn a_byte_changed_in_metadata_is_found() {
    let world = World::with_history().await;
    let change = "update events set metadata = replace(metadata::text, 'test', 'tess')::json";
    world.tamper(&format!("{change} where position = 4")).await;
    world.verified().await.assert_finds([(Check::LeafHash, Some(4))]);
}

#[tokio::test]
async fn every_other_column_is_under_the_hash() {
    let world = World::with_history().await;
    for (position, change) in [
        (12, "recorded_at = recorded_at + interval '1 microsecond'"),
        (13, "event_id = 'ffffffff-ffff-7fff-bfff-ffffffffffff'"),
        (14, "leaf_hash = sha256('x')"),
    ] {
        // The later events move along, so that times do not fall.
        let later = "update events set recorded_at = recorded_at + interval '1 second'";
        world
            .tamper(&format!(
                "{later} where position > {position}; \
                 update events set {change} where position = {position}"
            ))
            .await;
        let verified = world.verified().await;
        let found = |finding: &replay_tool::verify::Finding| {
            finding.check == Check::LeafHash && finding.position == Some(position)
        };
        assert!(verified.findings.iter().any(found), "{change}: {:#?}", verified.findings);
    }
}

#[tokio::test]
async fn an_event_deleted_from_the_middle_leaves_a_gap() {
    let world = World::with_history().await;
    world.tamper("delete from events where position = 13").await;
    let verified = world.verified().await;
    verified.assert_finds([(Check::Positions, Some(13))]);
    insta::assert_snapshot!(replay_tool::render::finding_text(verified.only()));
}

#[tokio::test]
async fn a_deleted_tail_is_found_by_the_head() {
    let world = World::with_history().await;
    world.tamper("delete from events where position >= 13").await;
    let verified = world.verified().await;
    verified.assert_finds([(Check::Head, Some(13))]);
    insta::assert_snapshot!(replay_tool::render::finding_text(verified.only()));
}

#[tokio::test]
async fn a_head_that_was_set_back_is_found() {
    let world = World::with_history().await;
    world.tamper("update log_head set position = 12").await;
    world.verified().await.assert_finds([(Check::Head, Some(13))]);
    world.tamper("update log_head set position = 14, recorded_at = '2001-01-01'").await;
    world.verified().await.assert_finds([(Check::Head, Some(14))]);
    world.tamper("delete from log_head").await;
    world.verified().await.assert_finds([(Check::Head, Some(14))]);
}

#[tokio::test]
async fn a_skipped_version_is_found() {
    let world = World::with_history().await;
    world.tamper_and_rehash("update events set version = 5 where position = 10").await;
    let verified = world.verified().await;
    verified.assert_finds([(Check::StreamVersions, Some(10))]);
    insta::assert_snapshot!(
        replay_tool::render::finding_text(verified.only())
            .replace(&account("old").to_string(), "acc")
    );
}

#[tokio::test]
async fn a_range_finds_a_skipped_version_too() {
    let world = World::with_history().await;
    world.tamper_and_rehash("update events set version = 5 where position = 10").await;
    let options = replay_tool::verify::VerifyOptions { from: Some(9), ..world.options() };
    let verified = crate::given::verified(&options).await;
    verified.assert_finds([(Check::StreamVersions, Some(10))]);
}

#[tokio::test]
async fn versions_that_fall_with_position_are_found() {
    let world = World::with_history().await;
    // Frozen (2) and unfrozen (3) change their versions; what they say stays in order.
    let swap = "update events set version = 12 - version where position in (8, 9); \
        update events set version = version - 7 where position in (8, 9)";
    world.tamper_and_rehash(swap).await;
    let verified = world.verified().await;
    verified.assert_finds([(Check::StreamOrder, Some(8))]);
    assert_eq!(verified.only().found, "it is at 9");
}

#[tokio::test]
async fn a_time_that_falls_is_found() {
    let world = World::with_history().await;
    world
        .tamper_and_rehash(
            "update events set recorded_at = recorded_at - interval '1 hour' where position = 12",
        )
        .await;
    world.verified().await.assert_finds([(Check::RecordedAt, Some(12))]);
}

#[tokio::test]
async fn an_unbalanced_entry_is_found_though_its_hash_was_made_anew() {
    let world = World::with_history().await;
    // The first amount of the entry alone: 9 becomes 8. Balances follow, so that only the entry is wrong.
    world
        .tamper_and_rehash(
            "update events set data = regexp_replace(data::text, '\"amount_minor\":9', \
                 '\"amount_minor\":8')::json where position = 11; \
             update account_balances set debits_posted = debits_posted - 1 \
                 where debits_posted = 579",
        )
        .await;
    let verified = world.verified().await;
    verified.assert_finds([(Check::Entries, Some(11))]);
    assert_eq!(verified.only().found, "debits − credits = -1 minor units of USD");
}

#[tokio::test]
async fn a_reference_that_is_another_entrys_is_found() {
    let world = World::with_history().await;
    world.tamper_and_rehash(
        "update events set data = replace(data::text, '\"r3\"', '\"r2\"')::json where position = 11",
    ).await;
    world.verified().await.assert_finds([(Check::Entries, Some(11))]);
}

#[tokio::test]
async fn an_entry_in_the_stream_of_another_is_found() {
    let world = World::with_history().await;
    let other = domain::EntryId::of_recorded(LEDGER, "r9");
    world
        .tamper_and_rehash(&format!(
            "update events set stream_id = 'entry-{other}' where position = 11"
        ))
        .await;
    world.verified().await.assert_finds([(Check::StreamName, Some(11))]);
}

#[tokio::test]
async fn an_event_of_another_merchant_than_its_data_says_is_found() {
    let world = World::with_history().await;
    let change = "update events set merchant_id = '00000000-0000-0000-0000-000000000001'";
    world.tamper_and_rehash(&format!("{change} where position = 12")).await;
    world.verified().await.assert_finds([(Check::Merchant, Some(12))]);
    // The data of a freeze names no merchant; the stream's other events do.
    world.tamper_and_rehash(&format!("{change} where position = 8")).await;
    world.verified().await.assert_finds([
        (Check::Merchant, Some(8)),
        (Check::Merchant, Some(9)),
        (Check::Merchant, Some(12)),
    ]);
}

#[tokio::test]
async fn events_that_cannot_be_decoded_are_found() {
    let world = World::with_history().await;
    world
        .tamper_and_rehash(
            "update events set event_type = 'merchant.invented' where position = 12; \
             update events set schema_version = 9 where position = 13; \
             update events set data = '[\"garbage\"]' where position = 14; \
             update events set metadata = '{\"actor\":7}' where position = 7",
        )
        .await;
    let verified = world.verified().await;
    verified.assert_finds([
        (Check::Metadata, Some(7)),
        (Check::Decoding, Some(12)),
        (Check::Decoding, Some(13)),
        (Check::Decoding, Some(14)),
    ]);
    let texts: Vec<_> = verified
        .findings
        .iter()
        .filter(|finding| finding.check == Check::Decoding)
        .map(|finding| finding.found.clone())
        .collect();
    insta::assert_snapshot!(texts.join("\n"));
}

#[tokio::test]
async fn an_amount_that_is_no_number_is_found_and_stops_no_sum() {
    let world = World::with_history().await;
    world
        .tamper_and_rehash(
            "update events set data = replace(data::text, '\"amount_minor\":9', \
                 '\"amount_minor\":\"x\"')::json where position = 11; \
             update account_balances set position = 5, debits_posted = 570, credits_posted = 500 \
                 where debits_posted = 579; \
             update account_balances set position = 5, debits_posted = 500, credits_posted = 570 \
                 where credits_posted = 579",
        )
        .await;
    world.verified().await.assert_finds([(Check::Decoding, Some(11))]);
}

#[tokio::test]
async fn an_amount_that_is_not_positive_is_found() {
    let world = World::new().await;
    world.submit(post("r1", "cash", "sales", 9)).await;
    world
        .tamper_and_rehash(
            "update events set data = replace(data::text, '\"amount_minor\":9', \
                 '\"amount_minor\":-9')::json where position = 3; \
             update account_balances set debits_posted = 0, credits_posted = 0",
        )
        .await;
    let verified = world.verified().await;
    let decoding: Vec<_> =
        verified.findings.iter().filter(|finding| finding.check == Check::Decoding).collect();
    let [finding] = decoding[..] else { panic!("{:#?}", verified.findings) };
    assert_eq!(finding.position, Some(3));
    assert!(finding.found.contains("expected an amount above zero"), "{}", finding.found);
}

#[tokio::test]
async fn postings_that_could_not_be_are_found() {
    let world = World::with_history().await;
    let (cash, closed) = (account("cash"), account("old"));
    world
        .tamper_and_rehash(&format!(
            "update events set data = replace(data::text, '{cash}', '{closed}')::json \
                 where position = 11"
        ))
        .await;
    let verified = world.verified().await;
    let accounts: Vec<_> =
        verified.findings.iter().filter(|finding| finding.check == Check::Accounts).collect();
    let [finding] = accounts[..] else { panic!("{:#?}", verified.findings) };
    assert_eq!((finding.position, finding.found.as_str()), (Some(11), "closed"));
}

#[tokio::test]
async fn an_account_below_its_minimum_is_found() {
    let world = World::new().await;
    world.submit(open("wallet", Some(0))).await;
    world.submit(post("in", "wallet", "sales", 50)).await;
    world.submit(post("out", "sales", "wallet", 50)).await;
    // Somebody takes back the minimum that was asked for, and asks for more.
    world
        .tamper_and_rehash(
            "update events set data = replace(data::text, '\"min_balance_minor\":0', \
                 '\"min_balance_minor\":10')::json where position = 3",
        )
        .await;
    let verified = world.verified().await;
    verified.assert_finds([(Check::MinimumBalance, Some(5))]);
    assert_eq!(verified.only().found, "0.00 USD (before: 0.50 USD)");
}

#[tokio::test]
async fn reversals_that_contradict_each_other_are_found() {
    let world = World::with_history().await;
    let elsewhere = "ent_01h455vb4pex5vsknk084sn02q";
    world
        .tamper_and_rehash(&format!(
            "update events set data = regexp_replace(data::text, '\"reversed_by\":\"[^\"]*\"', \
                 '\"reversed_by\":\"{elsewhere}\"')::json where position = 6"
        ))
        .await;
    world.verified().await.assert_finds([(Check::Reversals, Some(5)), (Check::Reversals, Some(6))]);
}

#[tokio::test]
async fn a_reversal_of_other_postings_is_found() {
    let world = World::with_history().await;
    world
        .tamper_and_rehash(
            "update events set data = replace(data::text, '\"amount_minor\":500', \
                 '\"amount_minor\":400')::json where position = 5; \
             update account_balances set debits_posted = debits_posted - 100 \
                 where debits_posted = 500; \
             update account_balances set credits_posted = credits_posted - 100 \
                 where credits_posted = 500",
        )
        .await;
    world.verified().await.assert_finds([(Check::Reversals, Some(5))]);
}

#[tokio::test]
async fn guards_that_are_gone_are_missed() {
    let world = World::with_history().await;
    let mut owner = world.owner().await;
    sqlx::raw_sql(
        "alter table events disable trigger events_append_only; \
         alter table events drop constraint events_stream_version; \
         grant delete on events to runut_app",
    )
    .execute(&mut owner)
    .await
    .expect("disabled");
    let verified = world.verified().await;
    verified.assert_finds([(Check::Guards, None), (Check::Guards, None), (Check::Guards, None)]);
    assert_eq!(verified.summary.not_checked.len(), 1);
    let texts: Vec<_> = verified.findings.iter().map(replay_tool::render::finding_text).collect();
    insta::assert_snapshot!(texts.join("\n"));
}

#[tokio::test]
async fn many_findings_are_counted_and_few_are_told() {
    let world = World::new().await;
    for number in 0..30 {
        world.submit(post(&format!("r{number}"), "cash", "sales", 1)).await;
    }
    world.tamper("update events set leaf_hash = sha256('x') where position > 2").await;
    let verified = world.verified().await;
    assert_eq!(verified.findings.len(), 20);
    assert_eq!(verified.summary.findings.get(&Check::LeafHash), Some(&30));
}
