//! Up to which rate a load is sustained.

/// By how much each rate is above the one before, in percent.
const STEP_PERCENT: u32 = 10;
/// The most steps above the highest rate that was asked for: seventeen times as much.
pub(super) const STEPS_MAX: usize = 30;
/// The most seconds of a step: long enough for the lag to show, short enough for many steps.
pub(super) const STEP_SECONDS_MAX: u32 = 20;

/// The rate to try after `rate` was sustained.
pub(super) fn step_above(rate: u32) -> u32 {
    rate.saturating_add((rate / 100 * STEP_PERCENT).max(1))
}

/// Requests a second between which the bound of a load is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Limit {
    /// The highest rate below the first that was not sustained.
    pub(super) highest_sustained: Option<u32>,
    /// The lowest rate that was not sustained.
    pub(super) first_not_sustained: Option<u32>,
}

impl Limit {
    /// Of rates, and whether each was sustained.
    pub(super) fn of(rates: &[(u32, bool)]) -> Self {
        let of = |sustained| move |(rate, was): &(u32, bool)| (*was == sustained).then_some(*rate);
        let first_not_sustained = rates.iter().filter_map(of(false)).min();
        let below = |rate: &u32| first_not_sustained.is_none_or(|first| *rate < first);
        let highest_sustained = rates.iter().filter_map(of(true)).filter(below).max();
        Self { highest_sustained, first_not_sustained }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_step_is_a_tenth_above_the_last() {
        assert_eq!(step_above(10_000), 11_000);
        assert_eq!(step_above(11_000), 12_100);
        assert_eq!(step_above(5), 6);
        assert_eq!(step_above(u32::MAX), u32::MAX);
    }

    #[test]
    fn the_limit_is_between_the_last_that_was_sustained_and_the_first_that_was_not() {
        let limit = Limit::of(&[(3_000, true), (10_000, true), (11_000, true), (12_100, false)]);
        assert_eq!(limit.highest_sustained, Some(11_000));
        assert_eq!(limit.first_not_sustained, Some(12_100));
    }

    #[test]
    fn a_rate_above_one_that_was_not_sustained_does_not_count() {
        let limit = Limit::of(&[(10_000, true), (3_000, false), (2_000, true)]);
        assert_eq!(limit.highest_sustained, Some(2_000));
        assert_eq!(limit.first_not_sustained, Some(3_000));
    }

    #[test]
    fn there_may_be_no_bound_on_either_side() {
        assert_eq!(Limit::of(&[(5, false)]).highest_sustained, None);
        assert_eq!(Limit::of(&[(5, true)]).first_not_sustained, None);
    }
}
