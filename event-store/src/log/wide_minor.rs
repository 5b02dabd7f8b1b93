//! Sums of minor units as Postgres keeps them: 128 bits as a `numeric` without decimals, in the binary format of
//! the wire and of `COPY`.
//!
//! A `numeric` is a header of four 16-bit numbers (how many digits, the power of 10,000 of the first, sign,
//! decimals) and its digits to the base of 10,000, without zeros at either end.

use std::ops::Deref;

use sqlx::encode::IsNull;
use sqlx::error::BoxDynError;
use sqlx::postgres::types::Oid;
use sqlx::postgres::{
    PgArgumentBuffer, PgHasArrayType, PgTypeInfo, PgValueFormat, PgValueRef, Postgres,
};
use sqlx::{Decode, Encode, Type};

/// The types `numeric` and `numeric[]`, in the catalogue of every Postgres.
const NUMERIC: Oid = Oid(1700);
const NUMERIC_ARRAY: Oid = Oid(1231);
const BASE: u128 = 10_000;
/// The most digits to that base that 128 bits have.
const DIGITS_MAX: usize = 10;
const HEADER_BYTES: usize = 8;
const SIGN_POSITIVE: u16 = 0x0000;
const SIGN_NEGATIVE: u16 = 0x4000;

/// A sum of minor units, in a column of the type `numeric(39, 0)`: every number of 128 bits fits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct WideMinor(pub i128);

impl From<i64> for WideMinor {
    fn from(minor: i64) -> Self {
        Self(minor.into())
    }
}

impl From<WideMinor> for i128 {
    fn from(minor: WideMinor) -> Self {
        minor.0
    }
}

/// What a column of the type `numeric` holds and a sum of minor units cannot be.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a numeric that is no whole number of 128 bits")]
pub struct NotWideMinor;

/// A number in the binary format.
#[derive(Debug)]
pub struct NumericBytes {
    bytes: [u8; HEADER_BYTES + 2 * DIGITS_MAX],
    length: usize,
}

impl Deref for NumericBytes {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        &self.bytes[..self.length]
    }
}

impl WideMinor {
    /// As a field in the binary format.
    pub fn to_numeric(self) -> NumericBytes {
        let mut digits = [0_u16; DIGITS_MAX];
        let (mut rest, mut count) = (self.0.unsigned_abs(), 0_usize);
        while rest > 0 {
            // Less than the base.
            digits[count] = u16::try_from(rest % BASE).unwrap_or_default();
            rest /= BASE;
            count += 1;
        }
        // The last digits first: zeros at the end are left out.
        let zeros = digits[..count].iter().take_while(|digit| **digit == 0).count();
        let sign = if self.0 < 0 { SIGN_NEGATIVE } else { SIGN_POSITIVE };
        let short = |number: usize| u16::try_from(number).unwrap_or_default();
        let header = [short(count - zeros), short(count.saturating_sub(1)), sign, 0];
        let mut numeric = NumericBytes { bytes: [0; HEADER_BYTES + 2 * DIGITS_MAX], length: 0 };
        let significant = digits[zeros..count].iter().rev();
        for short in header.iter().chain(significant) {
            let end = numeric.length + 2;
            numeric.bytes[numeric.length..end].copy_from_slice(&short.to_be_bytes());
            numeric.length = end;
        }
        numeric
    }

    /// From a field in the binary format.
    ///
    /// # Errors
    /// [`NotWideMinor`]: it has decimals, needs more than 128 bits, or is no number.
    pub fn from_numeric(bytes: &[u8]) -> Result<Self, NotWideMinor> {
        let (header, digits) = bytes.split_at_checked(HEADER_BYTES).ok_or(NotWideMinor)?;
        let short = |at: usize| u16::from_be_bytes([header[2 * at], header[2 * at + 1]]);
        let (count, weight, sign) = (usize::from(short(0)), short(1).cast_signed(), short(2));
        if digits.len() != 2 * count {
            return Err(NotWideMinor);
        }
        let sign: i128 = match sign {
            SIGN_POSITIVE => 1,
            SIGN_NEGATIVE => -1,
            _ => return Err(NotWideMinor),
        };
        let power = |minor: i128| minor.checked_mul(BASE.cast_signed()).ok_or(NotWideMinor);
        let mut minor = 0_i128;
        for digit in digits.chunks_exact(2) {
            let digit = i128::from(u16::from_be_bytes([digit[0], digit[1]]));
            // Counted down from zero where it is negative: there is one more of those.
            minor = power(minor)?.checked_add(sign * digit).ok_or(NotWideMinor)?;
        }
        if count == 0 {
            return Ok(Self(0));
        }
        let whole_digits = usize::try_from(i32::from(weight) + 1).map_err(|_| NotWideMinor)?;
        let zeros = whole_digits.checked_sub(count).ok_or(NotWideMinor)?;
        for _ in 0..zeros {
            minor = power(minor)?;
        }
        Ok(Self(minor))
    }
}

impl Type<Postgres> for WideMinor {
    fn type_info() -> PgTypeInfo {
        PgTypeInfo::with_oid(NUMERIC)
    }
}

impl PgHasArrayType for WideMinor {
    fn array_type_info() -> PgTypeInfo {
        PgTypeInfo::with_oid(NUMERIC_ARRAY)
    }
}

impl Encode<'_, Postgres> for WideMinor {
    fn encode_by_ref(&self, buf: &mut PgArgumentBuffer) -> Result<IsNull, BoxDynError> {
        buf.extend_from_slice(&self.to_numeric());
        Ok(IsNull::No)
    }
}

impl Decode<'_, Postgres> for WideMinor {
    fn decode(value: PgValueRef<'_>) -> Result<Self, BoxDynError> {
        match value.format() {
            PgValueFormat::Binary => Ok(Self::from_numeric(value.as_bytes()?)?),
            PgValueFormat::Text => Ok(Self(value.as_str()?.parse()?)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn fields(shorts: &[u16]) -> Vec<u8> {
        shorts.iter().flat_map(|short| short.to_be_bytes()).collect()
    }

    #[test]
    fn numbers_are_written_as_postgres_has_them() {
        for (minor, shorts) in [
            (0, &[0, 0, 0, 0][..]),
            (1, &[1, 0, 0, 0, 1]),
            (-1, &[1, 0, 0x4000, 0, 1]),
            (9_999, &[1, 0, 0, 0, 9_999]),
            (10_000, &[1, 1, 0, 0, 1]),
            (-10_001, &[2, 1, 0x4000, 0, 1, 1]),
            (100_000_000, &[1, 2, 0, 0, 1]),
        ] {
            assert_eq!(WideMinor(minor).to_numeric().to_vec(), fields(shorts), "{minor}");
        }
        assert_eq!(WideMinor(i128::MIN).to_numeric().len(), HEADER_BYTES + 2 * DIGITS_MAX);
    }

    #[test]
    fn what_is_no_whole_number_of_128_bits_is_refused() {
        for shorts in [
            &[][..],
            &[1, 0, 0, 0],
            &[0, 0, 0, 0, 1],
            &[0, 0, 0xC000, 0],
            &[0, 0, 0xD000, 0],
            &[0, 0, 0xF000, 0],
            &[2, 0, 0, 1, 1, 5_000],
            &[1, 0xFFFF, 0, 1, 5_000],
            &[1, 10, 0, 0, 1],
            &[10, 9, 0, 0, 170, 1411, 8346, 469, 2317, 3168, 7303, 7158, 8410, 5728],
        ] {
            let read = WideMinor::from_numeric(&fields(shorts));
            assert_eq!(read, Err(NotWideMinor), "{shorts:?}");
        }
    }

    proptest! {
        #[test]
        fn what_is_written_is_read(minor in prop_oneof![
            any::<i128>(),
            any::<i64>().prop_map(i128::from),
            (any::<i32>(), 0_u32..7).prop_map(|(n, power)| i128::from(n) * 10_000_i128.pow(power)),
            Just(i128::MIN),
            Just(i128::MAX),
            Just(0),
        ]) {
            let written = WideMinor(minor).to_numeric();
            prop_assert_eq!(WideMinor::from_numeric(&written), Ok(WideMinor(minor)));
        }
    }
}
