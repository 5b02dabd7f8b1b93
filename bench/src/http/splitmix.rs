//! Random numbers that follow from what they are for: a run draws the same ones again, at a few
//! nanoseconds each.

use uuid::{Builder, Uuid};

/// What the state grows by: 2^64 divided by the golden ratio, odd.
const STEP: u64 = 0x9e37_79b9_7f4a_7c15;

/// The SplitMix64 generator of Steele, Lea and Flood.
#[derive(Debug, Clone)]
pub(super) struct SplitMix(u64);

impl SplitMix {
    /// The numbers of request or entry `n` of a run.
    pub(super) fn of(run: u64, n: u64) -> Self {
        Self(Self(run).next().wrapping_add(n))
    }

    pub(super) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(STEP);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// A number below `bound`; zero where that is zero.
    pub(super) fn below(&mut self, bound: u64) -> u64 {
        let scaled = (u128::from(self.next()) * u128::from(bound)) >> u64::BITS;
        // Below the bound, so it fits.
        u64::try_from(scaled).unwrap_or(0)
    }

    /// A random UUID, as merchants are told to draw their keys.
    pub(super) fn uuid(&mut self) -> Uuid {
        let bits = (u128::from(self.next()) << u64::BITS) | u128::from(self.next());
        Builder::from_random_bytes(bits.to_be_bytes()).into_uuid()
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn the_numbers_are_those_that_are_published() {
        let mut draws = SplitMix(1_234_567);
        assert_eq!(draws.next(), 6_457_827_717_110_365_317);
        assert_eq!(draws.next(), 3_203_168_211_198_807_973);
    }

    #[test]
    fn a_number_below_a_bound_reaches_all_of_them_and_no_more() {
        let drawn: HashSet<u64> = (0..1_000).map(|n| SplitMix::of(1, n).below(10)).collect();
        assert_eq!(drawn, (0..10).collect());
    }

    #[test]
    fn keys_differ_by_run_and_by_number_and_come_again() {
        let key = |run, n| SplitMix::of(run, n).uuid();
        let keys: HashSet<Uuid> =
            (0..4).flat_map(|run| (0..1_000).map(move |n| key(run, n))).collect();
        assert_eq!(keys.len(), 4_000);
        assert_eq!(key(3, 7), key(3, 7));
        assert_eq!(key(3, 7).get_version_num(), 4);
    }
}
