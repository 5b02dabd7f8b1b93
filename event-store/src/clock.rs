//! Time and ids come from outside, through these two ports.

use std::fmt::Debug;

use domain::Timestamp;
use uuid::Uuid;

/// Says what time it is.
pub trait Clock: Debug + Send + Sync {
    /// Now, UTC, in whole microseconds.
    fn now(&self) -> Timestamp;
}

/// Draws fresh ids.
pub trait IdSource: Debug + Send + Sync {
    /// A UUIDv7 that nobody else draws.
    fn next(&self) -> Uuid;
}

/// The machine's clock.
#[derive(Debug, Clone, Copy, Default)]
pub struct SystemClock;

impl Clock for SystemClock {
    #[expect(clippy::disallowed_methods, reason = "this is the edge where time enters")]
    fn now(&self) -> Timestamp {
        Timestamp::from_datetime(time::OffsetDateTime::now_utc())
    }
}

/// UUIDv7 (RFC 9562) from the machine's clock and random numbers.
#[derive(Debug, Clone, Copy, Default)]
pub struct RandomIds;

impl IdSource for RandomIds {
    #[expect(clippy::disallowed_methods, reason = "this is the edge where ids enter")]
    fn next(&self) -> Uuid {
        Uuid::now_v7()
    }
}
