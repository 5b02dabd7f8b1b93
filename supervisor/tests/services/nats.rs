use nix::sys::signal::{Signal, kill};
use nix::unistd::{Pid, getpgid, getpgrp};
use supervisor::{Error, Nats};

use crate::ground::{BACK_MAX, Ground, runs, store_a_message, stored_messages};

#[tokio::test]
async fn messages_and_port_survive_a_stop_and_a_restart() {
    let ground = Ground::new(0o700);
    let nats = ground.nats().await;
    let (port, pid) = (nats.port(), nats.pid().expect("a pid"));
    let group = getpgid(Some(Pid::from_raw(i32::try_from(pid).expect("a pid"))));
    assert_ne!(group, Ok(getpgrp()), "Ctrl-C in our terminal does not reach it");
    store_a_message(&nats).await;
    nats.stop().await.expect("stopped");
    assert!(!runs(pid), "nothing outlives a stop");

    let nats = ground.nats().await;
    assert_eq!(nats.port(), port);
    assert!(stored_messages(&nats).await);
    nats.restart().await.expect("restarted");
    assert!(stored_messages(&nats).await);
    nats.stop().await.expect("stopped");
}

#[tokio::test]
async fn an_orphan_of_a_killed_run_is_stopped_and_its_messages_kept() {
    let ground = Ground::new(0o700);
    let orphan = ground.nats().await;
    let (port, pid) = (orphan.port(), orphan.pid().expect("a pid"));
    store_a_message(&orphan).await;
    orphan.abandon().await.expect("abandoned");
    assert!(runs(pid), "an orphan runs on");

    let nats = ground.nats().await;
    assert!(!runs(pid));
    assert_eq!(nats.port(), port);
    assert!(stored_messages(&nats).await);
    nats.stop().await.expect("stopped");
}

#[tokio::test]
async fn a_supervised_server_comes_back_after_a_crash() {
    let ground = Ground::new(0o700);
    let nats = ground.nats().await;
    let pid = nats.pid().expect("a pid");
    kill(Pid::from_raw(i32::try_from(pid).expect("a pid")), Signal::SIGKILL).expect("killed");
    nats.ready_after(pid, BACK_MAX).await.expect("back");
    store_a_message(&nats).await;
    nats.stop().await.expect("stopped");
}

#[tokio::test]
async fn both_services_share_a_folder_and_each_start_of_one_is_refused_twice() {
    let ground = Ground::new(0o711);
    let (postgres, nats) = tokio::join!(ground.postgres(), ground.nats());
    assert_ne!(postgres.port(), nats.port());
    let error = Nats::start(ground.nats_options()).await.err().expect("refused");
    assert!(matches!(error, Error::Locked { .. }), "{error}");
    nats.stop().await.expect("stopped");
    postgres.stop().await.expect("stopped");
}

#[tokio::test]
async fn a_dropped_handle_stops_the_server() {
    let ground = Ground::new(0o700);
    let nats = ground.nats().await;
    let pid = nats.pid().expect("a pid");
    drop(nats);
    // The lock is let go of once it has stopped.
    let again = async {
        loop {
            match Nats::start(ground.nats_options()).await {
                Err(Error::Locked { .. }) => tokio::time::sleep(BACK_MAX / 1_000).await,
                other => return other.expect("started"),
            }
        }
    };
    let nats = tokio::time::timeout(BACK_MAX, again).await.expect("let go of");
    assert!(!runs(pid));
    nats.stop().await.expect("stopped");
}

#[tokio::test]
async fn a_port_in_use_is_an_error_if_it_was_asked_for() {
    let ground = Ground::new(0o700);
    let taken = std::net::TcpListener::bind("127.0.0.1:0").expect("a listener");
    let mut options = ground.nats_options();
    options.port = taken.local_addr().expect("its address").port();
    let error = Nats::start(options).await.err().expect("refused");
    let Error::Ended { tail, .. } = error else { panic!("{error}") };
    assert!(tail.contains("address already in use"), "{tail}");
}
