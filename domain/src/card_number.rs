//! Card numbers (PANs): recognised so that they are refused wherever text is taken in.
//!
//! A number is taken for a card's if all of this holds: 13 to 19 digits of any script, perhaps in groups parted by a
//! few blanks, hyphens, dots or the like, or by slashes where the groups are those that are printed on cards; the first digits are those of a card scheme, at one of its lengths; and the check
//! digit is right (ISO/IEC 7812-1, annex B, the Luhn formula). Any fewer conditions and every tenth order
//! number would be refused.

use crate::characters::{digit_value, is_invisible};

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

/// The most characters between two groups of one number, besides those that nobody sees.
const SEPARATORS_MAX: usize = 3;

/// Whether a card's number stands anywhere in `text`.
pub fn holds_card_number(text: &str) -> bool {
    // Most texts have too few digits to hold one.
    let digits = if text.is_ascii() {
        text.bytes().filter(u8::is_ascii_digit).count()
    } else {
        text.chars().filter(|character| digit_value(*character).is_some()).count()
    };
    if digits < DIGITS_MIN {
        return false;
    }
    let text = without_names(plain(text));
    runs(&text).iter().any(|groups| (0..groups.len()).any(|first| begins(&groups[first..])))
}

/// The text as if it had been written on an English typewriter, as far as digits and what parts them go.
fn plain(text: &str) -> Vec<u8> {
    if text.is_ascii() {
        return text.as_bytes().to_vec();
    }
    text.chars().filter(|character| !is_invisible(*character)).map(typed).collect()
}

fn typed(character: char) -> u8 {
    if let Some(value) = digit_value(character) {
        return b'0' + value;
    }
    match character {
        // Dashes and the sign for minus.
        '\u{58a}'
        | '\u{5be}'
        | '\u{1400}'
        | '\u{1806}'
        | '\u{2010}'..='\u{2015}'
        | '\u{2043}'
        | '\u{2212}'
        | '\u{2e3a}'
        | '\u{2e3b}'
        | '\u{301c}'
        | '\u{3030}'
        | '\u{fe58}'
        | '\u{fe63}'
        | '\u{ff0d}' => b'-',
        // Dots, at any height.
        '\u{b7}' | '\u{2022}' | '\u{2024}' | '\u{2027}' | '\u{2219}' | '\u{22c5}' | '\u{30fb}'
        | '\u{3002}' | '\u{fe52}' | '\u{ff0e}' | '\u{ff65}' => b'.',
        '\u{203f}' | '\u{ff3f}' => b'_',
        '\u{2044}' | '\u{2215}' | '\u{29f8}' | '\u{ff0f}' => b'/',
        '\u{2216}' | '\u{29f5}' | '\u{29f9}' | '\u{ff3c}' => b'\\',
        '\u{2223}' | '\u{ff5c}' => b'|',
        blank if blank.is_whitespace() => b' ',
        other => u8::try_from(other).ok().filter(u8::is_ascii).unwrap_or(OTHER),
    }
}

/// Whatever parts numbers as a letter does.
const OTHER: u8 = 0xff;

/// The text with UUIDs and hashes blotted out: of a million of those some twenty hold digits that could be a
/// card's.
fn without_names(mut bytes: Vec<u8>) -> Vec<u8> {
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

/// Digits without anything between them.
#[derive(Debug, Default)]
struct Group {
    digits: Vec<u8>,
    /// Whether a slash stands between it and the group before it.
    after_slash: bool,
}

/// Whether a card's number begins with the first of these groups of digits and ends with one of them: other
/// numbers may stand before and after it.
fn begins(groups: &[Group]) -> bool {
    let mut digits = Vec::with_capacity(DIGITS_MAX);
    let mut slashed = false;
    for (index, group) in groups.iter().enumerate() {
        slashed |= index > 0 && group.after_slash;
        digits.extend_from_slice(&group.digits);
        if digits.len() > DIGITS_MAX {
            return false;
        }
        if is_card_number(&digits) && (!slashed || as_printed(&groups[..=index])) {
            return true;
        }
    }
    false
}

/// Whether the groups are as they are printed on cards: of four digits and a rest, or of 4, 6 and 4 or 5. Days and
/// lists of articles, which are parted by slashes too, hardly ever are.
fn as_printed(groups: &[Group]) -> bool {
    let many = |group: &Group| group.digits.len();
    match groups {
        [first, second, last] if many(second) == 6 => {
            many(first) == 4 && matches!(many(last), 4 | 5)
        }
        [fours @ .., last] => fours.iter().all(|group| many(group) == 4) && many(last) <= 4,
        [] => false,
    }
}

/// The runs of groups of digits that could be one number, written in groups.
fn runs(text: &[u8]) -> Vec<Vec<Group>> {
    let mut runs = Vec::new();
    let mut run: Vec<Group> = Vec::new();
    let (mut apart, mut slashed) = (0, false);
    for byte in text.iter().copied() {
        match byte {
            b'0'..=b'9' => {
                if apart > 0 || run.is_empty() {
                    run.push(Group { digits: Vec::new(), after_slash: slashed });
                }
                if let Some(group) = run.last_mut() {
                    group.digits.push(byte - b'0');
                }
                (apart, slashed) = (0, false);
            }
            byte if separates(byte) && apart < SEPARATORS_MAX && !run.is_empty() => {
                apart += 1;
                slashed |= is_slash(byte);
            }
            _ => {
                runs.push(std::mem::take(&mut run));
                (apart, slashed) = (0, false);
            }
        }
    }
    runs.push(run);
    runs
}

/// Whether the byte may stand between two groups. Colons and commas may not, or every tenth list of times or
/// articles would be refused.
fn separates(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t' | b'-' | b'.' | b'_') || is_slash(byte)
}

fn is_slash(byte: u8) -> bool {
    matches!(byte, b'/' | b'\\' | b'|')
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
                grouped.join("\u{3000}"),
                grouped.join("\t"),
                grouped.join("\u{2013}"),
                grouped.join("\u{b7}"),
                grouped.join(" \u{b7} "),
                grouped.join("\u{200b}"),
                grouped.join("\u{feff}"),
                grouped.join("\u{200b} \u{200b}\u{2060}"),
                number.split("").collect::<Vec<_>>().join("\u{200d}"),
                number.split("").collect::<Vec<_>>().join(" "),
                digits_from(number, '\u{ff10}'),
                digits_from(number, '\u{660}'),
                digits_from(number, '\u{966}'),
                digits_from(&grouped.join(" "), '\u{1d7ce}'),
                digits_from(&grouped.join("-"), '\u{1d7f6}'),
                // Each digit on a key: the digit, the wish for a picture of it, and the key around it.
                number.chars().flat_map(|digit| [digit, '\u{fe0f}', '\u{20e3}']).collect(),
                format!("{}{}", &number[..6], digits_from(&number[6..], '\u{6f0}')),
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

    /// The text with its digits in another script.
    fn digits_from(text: &str, zero: char) -> String {
        let digit = |digit: char| match digit.to_digit(10) {
            Some(value) => char::from_u32(u32::from(zero) + value).unwrap(),
            None => digit,
        };
        text.chars().map(digit).collect()
    }

    #[test]
    fn groups_as_they_are_printed_may_be_parted_by_slashes() {
        for text in [
            "4242/4242/4242/4242",
            "4242 / 4242 / 4242 / 4242",
            "4242\u{ff0f}4242\u{ff0f}4242\u{ff0f}4242",
            "4242\\4242\\4242\\4242",
            "4242|4242|4242|4242",
            "4242 4242/4242 4242",
            "12/27 4242/4242/4242/4242 737",
            "4242424242424242/12/27",
            "12/27/4242424242424242",
            "3782/822463/10005",
            "3622/720627/1667",
            "6205/5000/0000/0000/004",
            "\u{ff14}\u{ff12}\u{ff14}\u{ff12}/4242/4242/4242",
        ] {
            assert!(holds_card_number(text), "{text}");
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
            // With these separators taken away, each would be a card's number.
            "4/2/4/2/4/2/4/2/4/2/4/2/4/2/4/2",
            "42/42/42/42/42/42/42/42",
            "42424/24242/424242",
            "4242, 4242, 4242, 4242",
            "4242:4242:4242:4242",
            "4242a4242a4242a4242",
            "4242\u{5e74}4242\u{6708}4242\u{65e5}4242",
            "4242\u{20ac} 4242\u{20ac} 4242\u{20ac} 4242\u{20ac}",
            "0190a5d0\u{2010}ac96\u{2010}774b\u{2010}bcce\u{2010}b302099a8057",
            "4242\u{a0}\u{a0}\u{a0}\u{a0}4242\u{a0}\u{a0}\u{a0}\u{a0}4242 4242",
        ] {
            assert!(!holds_card_number(text), "{text}");
        }
    }
}
