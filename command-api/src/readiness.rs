//! Whether commands should be sent here.

use api_conventions::ReadinessCheck;
use event_store::mirror::MirrorStatus;
use event_store::{EventStore, OldSnapshot, QUEUE_COMMANDS_MAX};
use tokio::sync::watch;

/// What a process that appends is asked for by `/health/ready`.
///
/// The log, its clock among it, and the queue before it decide; the mirror, old snapshots and a head that is ahead of
/// the clock are shown, but commands go on whatever they are.
pub async fn readiness_checks(
    store: EventStore,
    mirror: Option<watch::Receiver<MirrorStatus>>,
) -> Vec<ReadinessCheck> {
    let trouble = store.trouble().await;
    let log = ReadinessCheck {
        name: "log",
        ok: trouble.is_none(),
        detail: trouble.unwrap_or_else(|| "can be written".to_owned()),
    };
    let snapshots = snapshots(store.old_snapshot().borrow().as_ref());
    let mut checks = vec![log, queue(store.free_places()), snapshots, head(store.head_is_ahead())];
    checks.extend(mirror.map(|status| mirrored(&status.borrow())));
    checks
}

fn queue(free_places: usize) -> ReadinessCheck {
    ReadinessCheck {
        name: "queue",
        ok: free_places > 0,
        detail: format!("{free_places} of {QUEUE_COMMANDS_MAX} places are free"),
    }
}

/// Never the reason to send commands elsewhere, as with the mirror. Who it is stays in the log: anybody may
/// ask for this.
fn snapshots(old: Option<&OldSnapshot>) -> ReadinessCheck {
    let detail = match old {
        Some(OldSnapshot { held_for, .. }) => format!(
            "alarm, a person must act; a snapshot held for {} s slows appends down; the log says by whom",
            held_for.as_secs()
        ),
        None => "none is old".to_owned(),
    };
    ReadinessCheck { name: "snapshots", ok: true, detail }
}

/// Never the reason to send commands elsewhere: every process has the same head.
fn head(ahead: bool) -> ReadinessCheck {
    let detail = if ahead {
        "alarm, a person must act; its time is ahead of the database's clock: one of the two leapt"
    } else {
        "its time is not ahead of the clock"
    };
    ReadinessCheck { name: "head", ok: true, detail: detail.to_owned() }
}

/// Never the reason to send commands elsewhere: every process would have the same one.
fn mirrored(status: &MirrorStatus) -> ReadinessCheck {
    let detail = match status {
        MirrorStatus::Starting | MirrorStatus::Standby | MirrorStatus::Mirrored(_) => {
            status.to_string()
        }
        MirrorStatus::NatsAway(_) | MirrorStatus::LogAway(_) => format!("degraded; {status}"),
        MirrorStatus::Alarm(_) => format!("alarm, a person must act; {status}"),
    };
    ReadinessCheck { name: "mirror", ok: true, detail }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    use event_store::log::Position;
    use event_store::mirror::MirrorAlarm;

    #[test]
    fn a_full_queue_is_not_ready() {
        assert!(queue(1).ok);
        assert!(!queue(0).ok);
    }

    #[test]
    fn an_old_snapshot_is_said() {
        let holders = vec!["session 7 of ana".to_owned()];
        let alarm = snapshots(Some(&OldSnapshot { held_for: Duration::from_secs(9), holders }));
        let said = "alarm, a person must act; a snapshot held for 9 s slows appends down; \
            the log says by whom";
        assert_eq!((alarm.ok, alarm.detail.as_str()), (true, said));
        assert_eq!(snapshots(None).detail, "none is old");
    }

    #[test]
    fn a_head_ahead_of_the_clock_is_said() {
        assert!(head(true).ok && head(true).detail.starts_with("alarm, a person must act"));
        assert_eq!(head(false).detail, "its time is not ahead of the clock");
    }

    #[test]
    fn whatever_the_mirror_does_commands_go_on() {
        let position = Position::from_number(7);
        let alarm = MirrorStatus::Alarm(MirrorAlarm::OtherHistory { position });
        for (status, detail) in [
            (MirrorStatus::Mirrored(position), "mirrored up to 7"),
            (MirrorStatus::NatsAway("refused".to_owned()), "degraded; NATS is away: refused"),
            (alarm, "alarm, a person must act; stopped: the message at 7 is not the log's event"),
        ] {
            let check = mirrored(&status);
            assert_eq!((check.ok, check.detail.as_str()), (true, detail));
        }
    }
}
