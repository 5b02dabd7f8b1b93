//! Card numbers (PANs): recognised so that they are refused wherever text is taken in.
//!
//! A number is taken for a card's if all of this holds: 13 to 19 digits, perhaps in groups parted by a few
//! blanks, hyphens, dots or the like; the first digits are those of a card scheme, at one of its lengths; and the check
//! digit is right (ISO/IEC 7812-1, annex B, the Luhn formula). Any fewer conditions and every tenth order
//! number would be refused.

/// The fewest and most digits of a card's number.
const DIGITS_MIN: usize = 13;
const DIGITS_MAX: usize = 19;

/// First digits, from and to, and the lengths that the scheme uses with them. Source: ISO/IEC 7812 ranges as
/// the schemes publish them.
const RANGES: &[(u32, u32, &[usize])] = &[
    (4, 4, &[13, 16, 19]),
    (51, 55, &[16]),
    (2221, 2720, &[16]),
    (34, 34, &[15]),
    (37, 37, &[15]),
    (6011, 6011, &[16, 17, 18, 19]),
    (644, 659, &[16, 17, 18, 19]),
    (3528, 3589, &[16, 17, 18, 19]),
    (300, 305, &[14, 15, 16, 17, 18, 19]),
    (36, 36, &[14, 15, 16, 17, 18, 19]),
    (38, 39, &[14, 15, 16, 17, 18, 19]),
    (62, 62, &[16, 17, 18, 19]),
];

/// The most bytes between two groups of one number.
const SEPARATORS_MAX: usize = 3;

/// Whether a card's number stands anywhere in `text`.
pub fn holds_card_number(text: &str) -> bool {
    // Most texts have too few digits to hold one.
    if text.bytes().filter(u8::is_ascii_digit).count() < DIGITS_MIN {
        return false;
    }
    let text = without_names(text);
    runs(&text).iter().any(|groups| (0..groups.len()).any(|first| begins(&groups[first..])))
}

/// The text with UUIDs and hashes blotted out: of a million of those some twenty hold digits that could be a
/// card's.
fn without_names(text: &str) -> Vec<u8> {
    let mut bytes = text.as_bytes().to_vec();
    for start in 0..bytes.len().saturating_sub(UUID_CHARACTERS - 1) {
        if is_uuid(&bytes[start..start + UUID_CHARACTERS]) {
            bytes[start..start + UUID_CHARACTERS].fill(b'x');
        }
    }
    for word in bytes.split_mut(|byte| !byte.is_ascii_alphanumeric()) {
        let hex = word.iter().all(u8::is_ascii_hexdigit);
        if word.len() >= HASH_CHARACTERS_MIN && hex && word.iter().any(u8::is_ascii_alphabetic) {
            word.fill(b'x');
        }
    }
    bytes
}

fn is_uuid(text: &[u8]) -> bool {
    text.iter().enumerate().all(|(at, byte)| match at {
        8 | 13 | 18 | 23 => *byte == b'-',
        _ => byte.is_ascii_hexdigit(),
    })
}

/// The characters of a UUID with its hyphens.
const UUID_CHARACTERS: usize = 36;
/// The fewest hex digits, letters among them, that are taken for a hash: more than a card's number with a few
/// letters before it.
const HASH_CHARACTERS_MIN: usize = 24;

/// Whether a card's number begins with the first of these groups of digits and ends with one of them: other
/// numbers may stand before and after it.
fn begins(groups: &[Vec<u8>]) -> bool {
    let mut digits = Vec::with_capacity(DIGITS_MAX);
    for group in groups {
        digits.extend_from_slice(group);
        if digits.len() > DIGITS_MAX {
            return false;
        }
        if is_card_number(&digits) {
            return true;
        }
    }
    false
}

/// The runs of groups of digits that could be one number, written in groups.
fn runs(text: &[u8]) -> Vec<Vec<Vec<u8>>> {
    let mut runs = Vec::new();
    let mut run: Vec<Vec<u8>> = Vec::new();
    let mut apart = 0;
    for byte in text.iter().copied() {
        match byte {
            b'0'..=b'9' => {
                match run.last_mut() {
                    Some(group) if apart == 0 => group.push(byte - b'0'),
                    Some(_) | None => run.push(vec![byte - b'0']),
                }
                apart = 0;
            }
            byte if separates(byte) && apart < SEPARATORS_MAX && !run.is_empty() => apart += 1,
            _ => {
                runs.push(std::mem::take(&mut run));
                apart = 0;
            }
        }
    }
    runs.push(run);
    runs
}

/// Whether the byte may stand between two groups. Those of every character beyond ASCII may: narrow and
/// no-break blanks are among them. Colons, commas and slashes may not, or every tenth list of times, articles
/// or days would be refused.
fn separates(byte: u8) -> bool {
    matches!(byte, b' ' | b'-' | b'.' | b'_') || !byte.is_ascii()
}

fn is_card_number(digits: &[u8]) -> bool {
    (DIGITS_MIN..=DIGITS_MAX).contains(&digits.len()) && of_a_scheme(digits) && checks(digits)
}

fn of_a_scheme(digits: &[u8]) -> bool {
    RANGES.iter().any(|(from, to, lengths)| {
        let first_digits = from.ilog10() as usize + 1;
        let prefix =
            digits[..first_digits].iter().fold(0, |sum, digit| sum * 10 + u32::from(*digit));
        (*from..=*to).contains(&prefix) && lengths.contains(&digits.len())
    })
}

/// The Luhn formula: every second digit from the right is doubled, the digits of it all add up to tens.
fn checks(digits: &[u8]) -> bool {
    let sum: u32 = digits
        .iter()
        .rev()
        .enumerate()
        .map(|(index, digit)| {
            let digit = u32::from(*digit) * if index % 2 == 1 { 2 } else { 1 };
            digit / 10 + digit % 10
        })
        .sum();
    sum.is_multiple_of(10)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The schemes' published test numbers.
    const NUMBERS: [&str; 9] = [
        "4242424242424242",
        "4000056655665556",
        "5555555555554444",
        "2223003122003222",
        "378282246310005",
        "6011111111111117",
        "3566002020360505",
        "36227206271667",
        "6205500000000000004",
    ];

    #[test]
    fn the_schemes_test_numbers_are_found_however_they_are_written() {
        for number in NUMBERS {
            let grouped: Vec<String> = number
                .as_bytes()
                .chunks(4)
                .map(|group| String::from_utf8_lossy(group).into())
                .collect();
            for text in [
                number.to_owned(),
                grouped.join(" "),
                grouped.join("-"),
                grouped.join("."),
                grouped.join("_"),
                grouped.join("  "),
                grouped.join("\u{a0}"),
                grouped.join("\u{202f}"),
                format!("{number} 12/27"),
                format!("order 12 {} 737", grouped.join(" ")),
                format!("tok_{number}"),
                format!("card {number}."),
                format!("order x{number}y"),
            ] {
                assert!(holds_card_number(&text), "{text}");
            }
        }
    }

    #[test]
    fn other_numbers_are_not() {
        for text in [
            "4242424242424241",
            "order-1042",
            "2026-11-21T03:33:38.123456Z",
            "1234567812345670",
            "42424242424242424242424242",
            "0190a5d0-ac96-774b-bcce-b302099a8057",
            "2026-11-30 03:33:38.123456",
            "4242    4242    4242    4242",
            // Of these, [8, 4, 4] and [4, 12] digits would be cards' numbers.
            "42424242-4242-4242-a000-000000000000",
            "order-00000000-0000-a000-4242-424242424242",
            "a4242424242424242f00000000000000",
            "+62 812 3456 7890",
        ] {
            assert!(!holds_card_number(text), "{text}");
        }
    }
}
