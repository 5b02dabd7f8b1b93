//! What the exchange owes in fractions of minor units, so that over many conversions it pays exactly.

use rust_decimal::Decimal;

use crate::ledger::Direction;

/// Fractions of minor units of the quote currency, each at least 0 and below 1: by how much what the exchange
/// has paid falls short of the exact amounts. Conversions between accounts that grow by credits and those between
/// accounts that grow by debits are apart, because the exchange pays on opposite sides.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Carried {
    credit: Decimal,
    debit: Decimal,
}

impl Carried {
    /// What is carried for accounts that grow on that side, in minor units.
    pub const fn on(self, grows: Direction) -> Decimal {
        match grows {
            Direction::Credit => self.credit,
            Direction::Debit => self.debit,
        }
    }

    /// The same, with `minor` on that side.
    #[must_use]
    pub(super) const fn with(self, grows: Direction, minor: Decimal) -> Self {
        match grows {
            Direction::Credit => Self { credit: minor, ..self },
            Direction::Debit => Self { debit: minor, ..self },
        }
    }
}

/// What the exchange pays of `exact` after `carried`, in whole minor units, and what is carried then.
///
/// The sum of all that it paid is the whole part of the sum of all exact amounts: what is carried is that sum's
/// fraction. Two fractions add up to less than 2, so it pays the whole part of `exact` or one more; one more only
/// where `exact` has a fraction, as what is carried alone is below 1. Every rounding of `exact` is one of these two
/// as well, and `exact` itself where it is whole: they differ by 1 at the most.
///
/// Only fractions are added, of 16 decimals at the most, so nothing is lost to the 28 digits of a `Decimal`.
pub(super) fn paid(carried: Decimal, exact: Decimal) -> (Decimal, Decimal) {
    let owed = carried + exact.fract();
    let after = owed.fract();
    debug_assert!(owed < Decimal::TWO, "two fractions");
    (exact.trunc() + owed.trunc(), after.normalize())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rounding::Rounding;
    use proptest::prelude::*;

    #[test]
    fn fractions_are_paid_once_they_are_whole() {
        let half = Decimal::new(5, 1);
        assert_eq!(paid(Decimal::ZERO, half), (Decimal::ZERO, half));
        assert_eq!(paid(half, half), (Decimal::ONE, Decimal::ZERO));
        assert_eq!(paid(half, Decimal::from(7)), (Decimal::from(7), half));
    }

    proptest! {
        #[test]
        fn the_sum_of_what_is_paid_is_the_whole_part_of_the_exact_sum(
            amounts in prop::collection::vec((1_i128..10_i128.pow(27), 0_u32..=16), 1..200),
        ) {
            // Exact, in units of the last decimal that there may be.
            let units = |exact: Decimal| exact.mantissa() * 10_i128.pow(16 - exact.scale());
            let one = 10_i128.pow(16);
            let (mut carried, mut sum, mut all_paid) = (Decimal::ZERO, 0, 0);
            for (mantissa, scale) in amounts {
                let exact = Decimal::from_i128_with_scale(mantissa % 10_i128.pow(scale + 6), scale);
                let (pays, after) = paid(carried, exact);
                sum += units(exact);
                all_paid += units(pays);
                prop_assert_eq!(all_paid, sum / one * one, "the whole part");
                prop_assert_eq!(units(after), sum % one, "the fraction");
                for rule in Rounding::ALL {
                    prop_assert!((rule.whole(exact) - pays).abs() <= Decimal::ONE);
                }
                carried = after;
            }
        }
    }
}
