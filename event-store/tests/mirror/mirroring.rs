//! The stream is a copy of the log or the mirror says why not.

use event_store::log::Position;
use event_store::mirror::{MIRROR_LOCK, MirrorAlarm, MirrorStatus, reset};
use sqlx::Connection;
use testkit::{Proxy, killed_at, killed_at_every_wait, nats_url};
use tokio_util::sync::CancellationToken;

use crate::given::World;

#[tokio::test]
async fn every_event_is_at_the_sequence_that_is_its_position() {
    let world = World::new().await;
    world.append(300).await;
    let mut mirror = world.mirror();
    mirror.reaches_position(world.head().await).await;
    world.append(50).await;
    mirror.reaches_position(world.head().await).await;
    let state = world.js_stream().await.cached_info().state.clone();
    assert_eq!((state.first_sequence, state.last_sequence), (1, 350));
    assert_eq!(world.check_stream().await, 350);
}

#[tokio::test]
async fn a_second_mirror_stands_by_and_takes_over() {
    let world = World::new().await;
    world.append(3).await;
    let mut first = world.mirror();
    first.reaches_position(world.head().await).await;
    let mut second = world.mirror();
    second.reaches(|status| *status == MirrorStatus::Standby).await;
    drop(first);
    world.append(3).await;
    second.reaches_position(world.head().await).await;
    assert_eq!(world.check_stream().await, 6);
}

#[tokio::test]
async fn a_stranger_with_the_lock_is_an_alarm_and_cannot_write_to_the_stream() {
    let world = World::new().await;
    world.append(3).await;
    let mut stranger = world.database.owner().await;
    let take = sqlx::query("select pg_advisory_lock($1)").bind(MIRROR_LOCK);
    take.execute(&mut stranger).await.expect("taken");
    let mut mirror = world.mirror();
    let alarm = mirror.reaches(|status| status.alarm().is_some()).await;
    let MirrorStatus::Alarm(MirrorAlarm::LockTaken { holder }) = alarm else { panic!("{alarm:?}") };
    assert!(holder.contains("session"), "{holder}");
    stranger.close().await.expect("closes");
    mirror.reaches_position(world.head().await).await;
    assert_eq!(world.check_stream().await, 3);
}

/// A lock belongs to one database, so that of a copy holds nobody off.
#[tokio::test]
async fn two_mirrors_that_no_lock_parts_make_one_copy() {
    let world = World::new().await;
    world.append(300).await;
    let copy = World::on(world.database.copy_while_in_use().await, world.stream.clone()).await;
    let head = world.head().await;
    let (mut one, mut other) = (world.mirror(), copy.mirror());
    one.reaches_position(head).await;
    other.reaches_position(head).await;
    let state = world.js_stream().await.cached_info().state.clone();
    assert_eq!((state.first_sequence, state.last_sequence), (1, 300));
    assert_eq!(world.check_stream().await, 300);
}

/// Mirrors that die at every step, each step twice, and the next one that goes on.
#[tokio::test(flavor = "multi_thread")]
async fn a_mirror_may_die_at_every_step() {
    let world = World::new().await;
    let mut events = 0;
    let deaths = killed_at_every_wait(async |waits| {
        world.append(1).await;
        events += 1;
        let head = world.head().await;
        let (mirror, mut status) = world.new_mirror(nats_url());
        let mirrored =
            |status: &MirrorStatus| matches!(status, MirrorStatus::Mirrored(at) if *at >= head);
        let life = async {
            tokio::select! {
                () = mirror.run(CancellationToken::new()) => {}
                _ = status.wait_for(mirrored) => {}
            }
        };
        let lived = killed_at(waits, life).is_some();
        if !lived {
            world.mirror().reaches_position(head).await;
        }
        assert_eq!(world.check_stream().await, events, "each event once, where it belongs");
        lived
    })
    .await;
    assert!(deaths > 5, "it connects, locks, compares, publishes and hears of it: {deaths}");
}

#[tokio::test]
async fn nats_may_be_away_at_the_start_and_later() {
    let world = World::new().await;
    let target = nats_url().trim_start_matches("nats://").to_owned();
    let proxy = Proxy::to(target).await;
    proxy.cut();
    let mut mirror = world.mirror_by(format!("nats://{}", proxy.address()));
    world.append(5).await;
    mirror.reaches(|status| matches!(status, MirrorStatus::NatsAway(_))).await;
    proxy.forward();
    mirror.reaches_position(world.head().await).await;
    proxy.cut();
    world.append(5).await;
    mirror.reaches(|status| matches!(status, MirrorStatus::NatsAway(_))).await;
    proxy.forward();
    mirror.reaches_position(world.head().await).await;
    assert_eq!(world.check_stream().await, 10);
}

#[tokio::test]
async fn a_stream_wiped_while_running_is_made_again() {
    let world = World::new().await;
    world.append(5).await;
    let mut mirror = world.mirror();
    mirror.reaches_position(world.head().await).await;
    reset(&world.jetstream, &world.stream).await.expect("wiped");
    world.append(1).await;
    mirror.reaches_position(world.head().await).await;
    assert_eq!(world.check_stream().await, 6);
}

#[tokio::test]
async fn a_lost_tail_is_published_again_although_nothing_new_arrives() {
    let world = World::new().await;
    let stream = world.make_deletable_stream().await;
    world.append(10).await;
    let mut mirror = world.mirror();
    mirror.reaches_position(Position::from_number(10)).await;
    // What a power cut can do to JetStream: the stream is there, its last messages never were.
    reset(&world.jetstream, &world.stream).await.expect("gone");
    drop(stream);
    let stream = world.make_deletable_stream().await;
    for event in world.events().await.iter().take(7) {
        let (headers, body) = event_store::mirror::encode(event);
        let subject = world.stream.subject(event);
        let published = world.jetstream.publish_with_headers(subject, headers, body).await;
        published.expect("sent").await.expect("stored");
    }
    let restored = async {
        while stream.get_info().await.expect("info").state.last_sequence < 10 {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(std::time::Duration::from_secs(20), restored).await.expect("restored");
    assert_eq!(world.check_stream().await, 10);
}

#[tokio::test]
async fn messages_deleted_from_the_middle_are_left_as_holes() {
    let world = World::new().await;
    let stream = world.make_deletable_stream().await;
    world.append(10).await;
    let mut mirror = world.mirror();
    mirror.reaches_position(Position::from_number(10)).await;
    for sequence in 4..=6 {
        assert!(stream.delete_message(sequence).await.expect("deleted"));
    }
    world.append(2).await;
    mirror.reaches_position(Position::from_number(12)).await;
    assert_eq!(world.check_stream().await, 9);
}

#[tokio::test]
async fn a_mirror_made_by_the_store_refuses_deletion() {
    let world = World::new().await;
    world.append(3).await;
    let mut mirror = world.mirror();
    mirror.reaches_position(world.head().await).await;
    assert!(world.js_stream().await.delete_message(2).await.is_err());
    assert!(world.js_stream().await.purge().await.is_err());
}

#[tokio::test]
async fn an_older_database_under_a_newer_stream_is_an_alarm_and_nothing_is_overwritten() {
    let world = World::new().await;
    world.append(5).await;
    let backup = world.database.copy_while_in_use().await;
    world.append(5).await;
    let mut mirror = world.mirror();
    mirror.reaches_position(world.head().await).await;
    drop(mirror);
    let restored = World::on(backup, world.stream.clone()).await;
    let mut mirror = restored.mirror();
    let alarm = |status: &MirrorStatus| status.alarm().is_some();
    assert_eq!(
        mirror.reaches(alarm).await,
        MirrorStatus::Alarm(MirrorAlarm::StreamAhead { stream: 10, log: Position::from_number(5) })
    );
    // The restored log grows past the stream's end: still another history.
    restored.append(7).await;
    let other =
        MirrorStatus::Alarm(MirrorAlarm::OtherHistory { position: Position::from_number(10) });
    assert_eq!(mirror.reaches(|status| *status == other).await, other);
    assert_eq!(world.check_stream().await, 10, "the stream is as it was");
    // A person decides: the stream is made anew from the log as it is now.
    reset(&restored.jetstream, &restored.stream).await.expect("reset");
    mirror.reaches_position(restored.head().await).await;
    assert_eq!(restored.check_stream().await, 12);
    assert_eq!(mirror.status().alarm(), None);
}
