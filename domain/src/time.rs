//! Points in time, in whole microseconds, UTC.

use std::fmt;

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

/// −9999-01-01T00:00:00Z: the first that has a date.
const FIRST_MICROS: i64 = -377_705_116_800_000_000;
/// 9999-12-31T23:59:59.999999Z: the last that has one.
const LAST_MICROS: i64 = 253_402_300_799_999_999;

/// A point in time: microseconds since 1970-01-01T00:00:00Z.
///
/// Whole microseconds because that is what Postgres keeps: a time read back equals the one written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Timestamp(i64);

/// When an event was recorded, and when it was decided by the clock.
///
/// The two are the same, unless a clock that leapt left a time in the log that is ahead of now: what is recorded from then
/// on has the time of the log's head, since recorded time never falls, and says when it was decided.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct EventTime {
    /// Its time in the log: what orders events and dates entries.
    pub recorded_at: Timestamp,
    /// The clock's time: what schedules count from.
    pub decided_at: Timestamp,
}

impl From<Timestamp> for EventTime {
    fn from(at: Timestamp) -> Self {
        Self { recorded_at: at, decided_at: at }
    }
}

impl Timestamp {
    /// From microseconds since the epoch.
    pub const fn from_micros(micros: i64) -> Self {
        Self(micros)
    }

    /// Microseconds since the epoch.
    pub const fn micros(self) -> i64 {
        self.0
    }

    /// This much later; the last time that there is where that would be beyond it.
    #[must_use]
    pub const fn plus_millis(self, millis: i64) -> Self {
        Self(self.0.saturating_add(millis.saturating_mul(1_000)))
    }

    /// From a date and time of any offset; what is finer than a microsecond is cut off.
    /// Times outside the years −290,000 to 290,000 are clamped to them.
    pub fn from_datetime(datetime: OffsetDateTime) -> Self {
        let micros = datetime.unix_timestamp_nanos().div_euclid(1_000);
        let clamped = micros.clamp(i128::from(i64::MIN), i128::from(i64::MAX));
        Self(i64::try_from(clamped).unwrap_or(i64::MAX))
    }

    /// As a UTC date and time; clamped to the years −9999 to 9999.
    pub fn datetime(self) -> OffsetDateTime {
        let clamped = self.0.clamp(FIRST_MICROS, LAST_MICROS);
        OffsetDateTime::from_unix_timestamp_nanos(i128::from(clamped) * 1_000)
            .unwrap_or(OffsetDateTime::UNIX_EPOCH)
    }
}

impl fmt::Display for Timestamp {
    /// RFC 3339 with exactly six decimals, so that texts sort as the times do.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let at = self.datetime();
        write!(
            f,
            "{:04}-{:02}-{:02}T{:02}:{:02}:{:02}.{:06}Z",
            at.year(),
            u8::from(at.month()),
            at.day(),
            at.hour(),
            at.minute(),
            at.second(),
            at.microsecond()
        )
    }
}

impl std::str::FromStr for Timestamp {
    type Err = time::error::Parse;

    /// Reads RFC 3339 with any offset.
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        OffsetDateTime::parse(text, &Rfc3339).map(Self::from_datetime)
    }
}

impl Serialize for Timestamp {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Timestamp {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = <std::borrow::Cow<'de, str>>::deserialize(deserializer)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_is_cut_to_microseconds_and_survives_its_text() {
        let at: Timestamp = "2026-11-21T03:33:38.123456789+02:00".parse().unwrap();
        assert_eq!(at.to_string(), "2026-11-21T01:33:38.123456Z");
        assert_eq!(at.to_string().parse::<Timestamp>().unwrap(), at);
        let last = Timestamp::from_micros(LAST_MICROS);
        assert_eq!(last.to_string(), "9999-12-31T23:59:59.999999Z");
        assert_eq!(Timestamp::from_micros(LAST_MICROS + 1).datetime(), last.datetime());
        let first = Timestamp::from_micros(FIRST_MICROS).datetime();
        assert_eq!((first.year(), first.ordinal()), (-9999, 1));
        assert_eq!(Timestamp::from_micros(i64::MIN).datetime(), first);
        let early = Timestamp::from_micros(-1);
        assert_eq!(early.to_string(), "1969-12-31T23:59:59.999999Z");
    }
}
