//! What a conversion comes to, worked out in whole numbers: once more, and not as the ledger does it.

use domain::fx::{Converted, Rounding};

/// The most decimals of an amount in minor units: 12 of a rate, and 4 by which two currencies differ.
const DECIMALS: u32 = 16;
/// A minor unit. All that is worked out here is in units of the last of those decimals.
pub(super) const MINOR: i128 = 10_i128.pow(DECIMALS);

/// What was sold at the rate; nothing where that is more than there is.
pub(super) fn exact(event: &Converted) -> Option<i128> {
    let rate = event.rate.decimal();
    let product = i128::from(event.sold_minor).checked_mul(rate.mantissa())?;
    let decimals = rate.scale() + event.base.exponent();
    let missing = (DECIMALS + event.quote.exponent()).checked_sub(decimals)?;
    product.checked_mul(10_i128.checked_pow(missing)?)
}

/// A decimal of minor units, given as its digits and where its point is.
pub(super) fn units(mantissa: i128, scale: u32) -> Option<i128> {
    mantissa.checked_mul(10_i128.checked_pow(DECIMALS.checked_sub(scale)?)?)
}

/// The minor units that `exact`, which is not below zero, is brought to.
pub(super) const fn rounded(exact: i128, rounding: Rounding) -> i128 {
    let (whole, rest) = (exact / MINOR, exact % MINOR);
    let above_half = 2 * rest > MINOR;
    let half = 2 * rest == MINOR;
    let up = match rounding {
        Rounding::HalfEven => above_half || (half && whole % 2 == 1),
        Rounding::HalfUp => above_half || half,
        Rounding::Down => false,
        Rounding::Up => rest > 0,
    };
    whole + up as i128
}

/// Minor units as a decimal, without zeros at the end.
pub(super) fn text(exact: i128) -> String {
    let (whole, rest) = (exact / MINOR, (exact % MINOR).unsigned_abs());
    let decimals = format!("{rest:016}");
    match decimals.trim_end_matches('0') {
        "" => whole.to_string(),
        decimals => format!("{whole}.{decimals}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_decimal_is_read_and_shown() {
        for (mantissa, scale, shown) in
            [(27_753, 2, "277.53"), (92, 0, "92"), (530, 3, "0.53"), (1, 16, "0.0000000000000001")]
        {
            assert_eq!(text(units(mantissa, scale).unwrap()), shown);
        }
        assert_eq!(units(1, 17), None);
        assert_eq!(units(i128::MAX, 0), None);
    }

    #[test]
    fn every_rule_has_its_own_way_with_a_half() {
        let of = |tenths: i128| Rounding::ALL.map(|rule| rounded(tenths * MINOR / 10, rule));
        // Half even, half up, down, up.
        assert_eq!(of(20), [2, 2, 2, 2]);
        assert_eq!(of(24), [2, 2, 2, 3]);
        assert_eq!(of(25), [2, 3, 2, 3]);
        assert_eq!(of(35), [4, 4, 3, 4]);
        assert_eq!(of(26), [3, 3, 2, 3]);
    }
}
