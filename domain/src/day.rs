//! Days and months of the books, in UTC.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use time::Date;

use crate::time::Timestamp;

const DAY_MICROS: i64 = 24 * 60 * 60 * 1_000_000;
const UNIX_EPOCH_JULIAN: i32 = 2_440_588;
/// The first and last day that RFC 3339 can name with four digits of a year, as days since 1970-01-01.
const DAYS: std::ops::RangeInclusive<i32> = -719_528..=2_932_896;

/// A day in UTC, counted from 1970-01-01; as text `2026-11-21`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Day(i32);

/// The text is no day.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("expected a day such as `2026-11-21`")]
pub struct ParseDayError;

impl Day {
    /// The day that `at` is in.
    pub fn of(at: Timestamp) -> Self {
        let days = at.micros().div_euclid(DAY_MICROS);
        let days = days.clamp(i64::from(*DAYS.start()), i64::from(*DAYS.end()));
        Self(i32::try_from(days).unwrap_or(0))
    }

    /// From the days since 1970-01-01; clamped to the years 0 to 9999.
    pub fn from_number(days: i32) -> Self {
        Self(days.clamp(*DAYS.start(), *DAYS.end()))
    }

    /// The days since 1970-01-01.
    pub const fn number(self) -> i32 {
        self.0
    }

    /// Its first microsecond.
    pub fn start(self) -> Timestamp {
        Timestamp::from_micros(i64::from(self.0) * DAY_MICROS)
    }

    /// The day after.
    #[must_use]
    pub fn next(self) -> Self {
        Self::from_number(self.0 + 1)
    }

    /// Its month, as text `2026-11`.
    pub fn month(self) -> String {
        let date = self.date();
        format!("{:04}-{:02}", date.year(), u8::from(date.month()))
    }

    /// The last day of its month.
    #[must_use]
    pub fn month_end(self) -> Self {
        let mut day = self;
        while !day.ends_month() {
            day = day.next();
        }
        day
    }

    /// Whether its month ends with it.
    pub fn ends_month(self) -> bool {
        self.date().month() != self.next().date().month() || self == self.next()
    }

    fn date(self) -> Date {
        Date::from_julian_day(self.0 + UNIX_EPOCH_JULIAN).unwrap_or(Date::MIN)
    }
}

impl fmt::Display for Day {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let date = self.date();
        write!(f, "{:04}-{:02}-{:02}", date.year(), u8::from(date.month()), date.day())
    }
}

impl FromStr for Day {
    type Err = ParseDayError;

    fn from_str(text: &str) -> Result<Self, ParseDayError> {
        // Exactly ten characters: no sign, no year of five digits.
        let at = (text.len() == 10).then(|| format!("{text}T00:00:00Z").parse::<Timestamp>());
        at.and_then(Result::ok).map(Self::of).ok_or(ParseDayError)
    }
}

impl Serialize for Day {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Day {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = <std::borrow::Cow<'de, str>>::deserialize(deserializer)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_day_is_of_its_times_and_ends_its_month_where_it_does() {
        let day: Day = "2026-11-30".parse().unwrap();
        assert_eq!(day.start().to_string(), "2026-11-30T00:00:00.000000Z");
        assert_eq!(Day::of("2026-11-30T23:59:59.999999Z".parse().unwrap()), day);
        assert_eq!(day.next().to_string(), "2026-12-01");
        assert_eq!((day.month().as_str(), day.ends_month()), ("2026-11", true));
        assert_eq!("2026-11-01".parse::<Day>().unwrap().month_end(), day);
        assert!("2028-02-29".parse::<Day>().unwrap().ends_month());
        assert!(!"2028-02-28".parse::<Day>().unwrap().ends_month());
        for text in ["", "2026-11-31", "2026-1-01", "+2026-11-1", "2026-11-21T", "20261121"] {
            assert_eq!(text.parse::<Day>(), Err(ParseDayError), "{text}");
        }
    }

    proptest! {
        #[test]
        fn a_day_survives_its_text(number in DAYS) {
            let day = Day::from_number(number);
            prop_assert_eq!(day.to_string().parse(), Ok(day));
            prop_assert_eq!(Day::of(day.start()), day);
            prop_assert_eq!(Day::of(Timestamp::from_micros(day.next().start().micros() - 1)), day);
        }
    }
}
