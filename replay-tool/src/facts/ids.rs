//! Reading typed ids without copying them.

use uuid::Uuid;

/// 26 characters of 5 bits.
const LETTERS: usize = 26;
const NO_DIGIT: u8 = 0xff;
const DIGITS: [u8; 256] = digits();

const fn digits() -> [u8; 256] {
    let alphabet = b"0123456789abcdefghjkmnpqrstvwxyz";
    let mut digits = [NO_DIGIT; 256];
    let mut value = 0_u8;
    while value < 32 {
        digits[alphabet[value as usize] as usize] = value;
        value += 1;
    }
    digits
}

/// The UUID of an id that starts with `prefix` (underscore included); `None` where the domain's parser
/// would refuse it too.
pub(crate) fn typed_id(prefix: &str, text: &str) -> Option<Uuid> {
    let letters = text.strip_prefix(prefix)?.as_bytes();
    if letters.len() != LETTERS || letters[0] > b'7' {
        return None;
    }
    let mut bits = 0_u128;
    for letter in letters {
        let digit = DIGITS[usize::from(*letter)];
        if digit == NO_DIGIT {
            return None;
        }
        bits = (bits << 5) | u128::from(digit);
    }
    Some(Uuid::from_u128(bits))
}

#[cfg(test)]
mod tests {
    use domain::AccountId;

    use super::*;

    #[test]
    fn ids_are_read_as_the_domain_reads_them() {
        for bits in [0, 1, u128::MAX, 0x0190_0000_0000_7000_8000_0123_4567_89ab] {
            let id = AccountId::from_uuid(Uuid::from_u128(bits));
            assert_eq!(typed_id("acc_", &id.to_string()), Some(id.uuid()));
        }
        for text in ["", "acc_", "mer_01h455vb4pex5vsknk084sn02q", "acc_81h455vb4pex5vsknk084sn02q"]
        {
            assert_eq!(typed_id("acc_", text), None, "{text}");
            assert!(text.parse::<AccountId>().is_err(), "{text}");
        }
    }
}
