//! Rounding rules, by name.

use rust_decimal::{Decimal, RoundingStrategy};
use serde::{Deserialize, Serialize};

/// How a sum that falls between two minor units is brought to one of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Rounding {
    /// To the nearest; halves to the even one (banker's rounding, IEEE 754 roundTiesToEven).
    HalfEven,
    /// To the nearest; halves away from zero.
    HalfUp,
    /// Towards zero: in favour of whoever pays it.
    Down,
    /// Away from zero: in favour of whoever gets it.
    Up,
}

/// The text names no rounding rule.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("expected `half_even`, `half_up`, `down` or `up`")]
pub struct UnknownRounding;

impl Rounding {
    /// Every rule.
    pub const ALL: [Self; 4] = [Self::HalfEven, Self::HalfUp, Self::Down, Self::Up];

    /// The name as stored and on the wire.
    pub const fn name(self) -> &'static str {
        match self {
            Self::HalfEven => "half_even",
            Self::HalfUp => "half_up",
            Self::Down => "down",
            Self::Up => "up",
        }
    }

    /// The whole number that `exact` is brought to.
    pub(crate) fn whole(self, exact: Decimal) -> Decimal {
        exact.round_dp_with_strategy(0, self.strategy())
    }

    fn strategy(self) -> RoundingStrategy {
        match self {
            Self::HalfEven => RoundingStrategy::MidpointNearestEven,
            Self::HalfUp => RoundingStrategy::MidpointAwayFromZero,
            Self::Down => RoundingStrategy::ToZero,
            Self::Up => RoundingStrategy::AwayFromZero,
        }
    }
}

impl std::str::FromStr for Rounding {
    type Err = UnknownRounding;

    fn from_str(text: &str) -> Result<Self, UnknownRounding> {
        Self::ALL.into_iter().find(|rule| rule.name() == text).ok_or(UnknownRounding)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_rule_has_a_name_of_its_own_and_rounds_as_it_says() {
        let at = |minor: i64| Decimal::new(minor, 1);
        for (rule, name, halves) in [
            (Rounding::HalfEven, "half_even", [2, 2, 3, 4]),
            (Rounding::HalfUp, "half_up", [2, 3, 3, 4]),
            (Rounding::Down, "down", [2, 2, 2, 3]),
            (Rounding::Up, "up", [3, 3, 3, 4]),
        ] {
            assert_eq!((rule.name(), name.parse()), (name, Ok(rule)));
            assert_eq!(
                [24, 25, 26, 35].map(|minor| rule.whole(at(minor))),
                halves.map(Decimal::from)
            );
        }
        assert_eq!("nearest".parse::<Rounding>(), Err(UnknownRounding));
    }
}
