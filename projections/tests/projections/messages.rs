//! What NATS does to messages, and to itself: every event still has its effect once, in order.

use event_store::log::{LeafHash, Position, RecordedEvent};
use event_store::mirror::encode;
use projections::{Feed, NatsOptions, Options};
use testkit::Proxy;

use super::events::{Happened, posted};
use super::scenario::{Running, Scenario};

/// A scenario whose stream is there and holds all events, and a runner at its end.
async fn mirrored() -> (Scenario, Running) {
    let mut scenario = Scenario::with_accounts().await;
    scenario.create_stream(1).await;
    let events = scenario.log.recorded.clone();
    scenario.publish(&events).await;
    let running = Running::start(scenario.options());
    running.reaches(scenario.log.position()).await;
    (scenario, running)
}

async fn ends_exactly_once(scenario: Scenario, running: Running) {
    running.reaches(scenario.log.position()).await;
    running.stop().await;
    scenario.assert_exactly_once().await;
}

#[tokio::test]
async fn events_are_applied_as_messages_bring_them() {
    let (mut scenario, running) = mirrored().await;
    for _ in 0..20 {
        let events = scenario.sell(3).await;
        scenario.publish(&events).await;
    }
    ends_exactly_once(scenario, running).await;
}

#[tokio::test]
async fn holes_are_read_from_postgres() {
    let (mut scenario, running) = mirrored().await;
    scenario.delete_stream().await;
    let events = scenario.sell(30).await;
    // Position 3 to 12 are in no stream; a message later on is lost from within it.
    scenario.create_stream(13).await;
    scenario.publish(&events[10..]).await;
    let name = scenario.stream.name().to_owned();
    let stream = scenario.jetstream().await.get_stream(name).await.expect("a stream");
    for sequence in [15, 16, 20] {
        stream.delete_message(sequence).await.expect("deletes");
    }
    ends_exactly_once(scenario, running).await;
}

#[tokio::test]
async fn repeated_and_reordered_events_are_applied_once() {
    let (mut scenario, running) = mirrored().await;
    let events = scenario.sell(6).await;
    // As a mirror without a fence would have left them: sequence and position differ.
    let order = [0, 0, 2, 1, 5, 4, 3, 3];
    let mut at = events[0].position;
    for index in order {
        scenario.publish_as(&events[index], at).await;
        at = at.next();
    }
    ends_exactly_once(scenario, running).await;
}

#[tokio::test]
async fn nats_that_is_absent_at_first_is_found_when_it_comes() {
    let mut scenario = Scenario::with_accounts().await;
    let server = testkit::nats_url().trim_start_matches("nats://").to_owned();
    let proxy = Proxy::to(server).await;
    proxy.cut();
    let nats = NatsOptions { url: proxy.address().to_string(), stream: scenario.stream.clone() };
    let running = Running::start(Options { feed: Feed::Nats(nats), ..scenario.options() });
    scenario.sell(5).await;
    running.reaches(scenario.log.position()).await;
    proxy.forward();
    scenario.create_stream(1).await;
    let events = scenario.log.recorded.clone();
    scenario.publish(&events).await;
    consumed(&mut scenario).await;
    let events = scenario.sell(5).await;
    scenario.publish(&events).await;
    running.reaches(scenario.log.position()).await;
    proxy.cut();
    scenario.sell(5).await;
    ends_exactly_once(scenario, running).await;
}

/// Waits until the runner's two projections consume from the stream.
async fn consumed(scenario: &mut Scenario) {
    let name = scenario.stream.name().to_owned();
    let context = scenario.jetstream().await;
    super::scenario::eventually("two consumers", async || {
        let mut stream = context.get_stream(&name).await.expect("a stream");
        let info = stream.info().await.expect("information");
        (info.state.consumer_count == 2).then_some(())
    })
    .await;
}

#[tokio::test]
async fn a_stream_wiped_while_running_and_made_anew_costs_nothing() {
    let (mut scenario, running) = mirrored().await;
    consumed(&mut scenario).await;
    let events = scenario.sell(4).await;
    scenario.publish(&events[..2]).await;
    scenario.delete_stream().await;
    running.reaches(scenario.log.position()).await;
    // From a lower number, from far beyond the head, and at last as the mirror makes it.
    for first in [1, 4_000, 13] {
        scenario.sell(2).await;
        running.reaches(scenario.log.position()).await;
        scenario.create_stream(first).await;
        consumed(&mut scenario).await;
        if first != 13 {
            scenario.delete_stream().await;
        }
    }
    let events = scenario.log.recorded.clone();
    scenario.publish(&events[12..]).await;
    let events = scenario.sell(4).await;
    scenario.publish(&events).await;
    ends_exactly_once(scenario, running).await;
}

#[tokio::test]
async fn a_lost_tail_is_found_with_nothing_new_arriving() {
    let (mut scenario, running) = mirrored().await;
    let events = scenario.sell(10).await;
    scenario.publish(&events[..4]).await;
    ends_exactly_once(scenario, running).await;
}

#[tokio::test]
async fn a_message_with_wrong_content_is_not_believed() {
    let (mut scenario, running) = mirrored().await;
    consumed(&mut scenario).await;
    let events = scenario.sell(4).await;
    let forged = |event: &RecordedEvent, refit: bool| {
        let mut forged = event.clone();
        forged.data = forged.data.replace("\"amount_minor\":1", "\"amount_minor\":1000");
        assert_ne!(forged.data, event.data, "there is an amount to forge");
        forged.leaf_hash = if refit { forged.computed_hash() } else { event.leaf_hash };
        forged
    };
    // One whose hash no longer fits, one whose hash was made to fit, and one that is true.
    scenario.publish(&[forged(&events[0], false)]).await;
    scenario.publish(&[forged(&events[1], true)]).await;
    scenario.publish(&events[2..3]).await;
    // One that is no event at all.
    let (mut headers, _) = encode(&events[3]);
    headers.insert("ce-time", "yesterday");
    let subject = scenario.stream.subject(&events[3]);
    scenario.publish_raw(subject, headers, b"\xff\x00".to_vec()).await;
    ends_exactly_once(scenario, running).await;
}

/// An older database was restored, the stream was not: it holds events that no longer are, at
/// positions that are taken by others now, and beyond the head.
#[tokio::test]
async fn a_stream_of_another_timeline_is_never_applied() {
    let mut scenario = Scenario::with_accounts().await;
    scenario.create_stream(1).await;
    scenario.sell(8).await;
    let lost = scenario.log.recorded.clone();
    scenario.publish(&lost).await;
    scenario.log.cut_after(Position::from_number(4)).await;
    let running = Running::start(scenario.options());
    running.reaches(Position::from_number(4)).await;
    consumed(&mut scenario).await;
    for round in 0..3 {
        let other: Vec<Happened> = (0..2)
            .map(|index| posted(&format!("other {round}/{index}"), "sales", "cash", 7))
            .collect();
        scenario.log.append(other).await;
        running.reaches(scenario.log.position()).await;
    }
    assert_ne!(lost[9].leaf_hash, scenario.log.recorded[9].leaf_hash, "the timelines differ");
    ends_exactly_once(scenario, running).await;
}

#[tokio::test]
async fn a_hash_from_nowhere_is_no_reason_to_wait() {
    let (mut scenario, running) = mirrored().await;
    let events = scenario.sell(2).await;
    let mut beyond = events[1].clone();
    beyond.position = Position::from_number(9_000);
    beyond.leaf_hash = LeafHash::from_bytes(&[7; 32]).expect("32 bytes");
    scenario.publish_as(&beyond, events[0].position).await;
    beyond.leaf_hash = beyond.computed_hash();
    scenario.publish_as(&beyond, events[1].position).await;
    ends_exactly_once(scenario, running).await;
}
