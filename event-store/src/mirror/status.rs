//! What the mirror is doing, for health, metrics and people.

use crate::log::Position;

/// Why the mirror stopped until a person decides: going on would overwrite or contradict what is there.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum MirrorAlarm {
    /// The stream holds more than the log: an older database was restored under it.
    #[error("the stream ends at {stream}, the log at {log}: an older database was restored")]
    StreamAhead {
        /// The stream's last sequence.
        stream: u64,
        /// The head of the log.
        log: Position,
    },
    /// The stream's last message is not the log's event at that position.
    #[error("the message at {position} is not the log's event")]
    OtherHistory {
        /// Where they differ.
        position: Position,
    },
    /// A session that is no mirror holds the lock that makes one mirror of several, so that nobody mirrors. It
    /// can do no more than that: what the stream takes does not depend on the lock.
    #[error("{holder} holds the lock of the mirror and is no mirror: end that session")]
    LockTaken {
        /// Whose session it is, and which.
        holder: String,
    },
}

/// What the mirror is doing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum MirrorStatus {
    /// Not there yet.
    Starting,
    /// Another process mirrors this log; this one takes over when it ends.
    Standby,
    /// Everything up to this position is in the stream.
    Mirrored(Position),
    /// NATS cannot be reached; commands and projections go on without it.
    NatsAway(String),
    /// The log cannot be read.
    LogAway(String),
    /// Stopped until a person acts.
    Alarm(MirrorAlarm),
}

impl MirrorStatus {
    /// Whether a person must act.
    pub const fn alarm(&self) -> Option<&MirrorAlarm> {
        match self {
            Self::Alarm(alarm) => Some(alarm),
            Self::Starting
            | Self::Standby
            | Self::Mirrored(_)
            | Self::NatsAway(_)
            | Self::LogAway(_) => None,
        }
    }
}

impl std::fmt::Display for MirrorStatus {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Starting => f.write_str("starting"),
            Self::Standby => f.write_str("standby: another process mirrors"),
            Self::Mirrored(position) => write!(f, "mirrored up to {position}"),
            Self::NatsAway(why) => write!(f, "NATS is away: {why}"),
            Self::LogAway(why) => write!(f, "the log is away: {why}"),
            Self::Alarm(alarm) => write!(f, "stopped: {alarm}"),
        }
    }
}
