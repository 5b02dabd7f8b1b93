//! The mirror compared with the log.

use async_nats::jetstream;
use async_nats::jetstream::stream::Config;
use event_store::mirror::{LogStream, encode};
use replay_tool::verify::{Check, MirrorSource, VerifyOptions};
use testkit::{nats_url, unique_name};

use crate::given::{Verified, World, merchant, verified};

struct Mirrored {
    world: World,
    stream: LogStream,
    jetstream: jetstream::Context,
}

impl Mirrored {
    /// Publishes the events, each as `alter` leaves it.
    async fn of(world: World, first: u64, alter: impl Fn(&mut Vec<u8>, usize)) -> Self {
        let stream = LogStream::named(&unique_name("audited"));
        let client = async_nats::connect(nats_url()).await.expect("NATS");
        let jetstream = jetstream::new(client);
        let config = Config {
            name: stream.name().to_owned(),
            subjects: vec![stream.subjects()],
            first_sequence: Some(first),
            ..Config::default()
        };
        jetstream.create_stream(config).await.expect("a stream");
        for event in world.events().await {
            if event.position.sequence() < first {
                continue;
            }
            let (headers, body) = encode(&event);
            let mut body = body.to_vec();
            alter(&mut body, usize::try_from(event.position.number()).expect("a position"));
            jetstream
                .publish_with_headers(stream.subject(&event), headers, body.into())
                .await
                .expect("sent")
                .await
                .expect("stored");
        }
        Self { world, stream, jetstream }
    }

    async fn verified(&self) -> Verified {
        let mirror = MirrorSource { nats_url: nats_url(), stream: self.stream.clone() };
        verified(&VerifyOptions { mirror: Some(mirror), ..self.world.options() }).await
    }
}

#[tokio::test]
async fn a_faithful_mirror_is_in_order_wherever_it_begins() {
    for first in [1, 9] {
        let mirrored = Mirrored::of(World::with_history().await, first, |_, _| {}).await;
        let verified = mirrored.verified().await;
        verified.assert_clean();
        let compared = verified.summary.parts.last().expect("parts").count;
        assert_eq!(compared, 15 - first);
    }
}

#[tokio::test]
async fn a_message_with_another_body_is_found() {
    let change = |body: &mut Vec<u8>, position| {
        if position == 12 {
            let text = String::from_utf8(body.clone()).expect("text");
            *body = text.replace("Toko", "Toka").into_bytes();
        }
    };
    let mirrored = Mirrored::of(World::with_history().await, 1, change).await;
    // It contradicts its own header and the log.
    mirrored.verified().await.assert_finds([(Check::Mirror, Some(12)), (Check::Mirror, Some(12))]);
}

#[tokio::test]
async fn a_mirror_of_another_history_is_found() {
    let mirrored = Mirrored::of(World::with_history().await, 1, |_, _| {}).await;
    let change = "update events set data = replace(data::text, 'Toko', 'Toka')::json";
    mirrored.world.tamper_and_rehash(&format!("{change} where position = 14")).await;
    mirrored.verified().await.assert_finds([(Check::Mirror, Some(14))]);
}

#[tokio::test]
async fn holes_are_told_and_are_no_violation() {
    let mirrored = Mirrored::of(World::with_history().await, 1, |_, _| {}).await;
    let stream = mirrored.jetstream.get_stream(mirrored.stream.name()).await.expect("a stream");
    for sequence in [4, 5, 14] {
        stream.delete_message(sequence).await.expect("deleted");
    }
    let verified = mirrored.verified().await;
    verified.assert_finds([(Check::MirrorHoles, Some(4))]);
    assert_eq!(verified.only().found, "none up to 5");
    assert!(verified.summary.clean());
}

#[tokio::test]
async fn a_mirror_ahead_of_the_log_is_found() {
    let mirrored = Mirrored::of(World::with_history().await, 1, |_, _| {}).await;
    mirrored
        .world
        .tamper("delete from events where position = 14; update log_head set position = 13")
        .await;
    mirrored.verified().await.assert_finds([(Check::Mirror, Some(14)), (Check::Mirror, Some(14))]);
}

#[tokio::test]
async fn a_mirror_that_stands_still_is_told() {
    let mirrored = Mirrored::of(World::with_history().await, 1, |_, _| {}).await;
    mirrored.world.submit(merchant()).await;
    mirrored.verified().await.assert_clean();
    mirrored.world.database.skew_clock(61_000_000).await;
    let verified = mirrored.verified().await;
    verified.assert_finds([(Check::MirrorBehind, Some(15))]);
    assert!(verified.only().found.starts_with("it ends at 14, and"), "{}", verified.only().found);
    assert!(verified.summary.clean(), "the log is whole");
}

#[tokio::test]
async fn a_mirror_that_is_not_there_is_not_checked() {
    let world = World::new().await;
    let stream = LogStream::named(&unique_name("audited"));
    let mirror = MirrorSource { nats_url: nats_url(), stream };
    let verified = verified(&VerifyOptions { mirror: Some(mirror), ..world.options() }).await;
    verified.assert_clean();
    assert_eq!(verified.summary.not_checked.len(), 1);
}
