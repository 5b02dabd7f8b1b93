//! Card numbers (PANs): recognised so that they are refused wherever text is taken in.
//!
//! A number is taken for a card's if all of this holds: 14 to 19 digits of any script, perhaps in groups parted by a
//! few blanks, hyphens, dots or the like, or by slashes where the groups are those that are printed on cards; no letter
//! stands beside it where it is written in one piece; the first digits are those of a card scheme, at one of its
//! lengths; and the check digit is right (ISO/IEC 7812-1, annex B, the Luhn formula). Any fewer conditions and every
//! tenth order number would be refused. An IBAN proves itself and is none.

use crate::characters::{digit_value, is_invisible};

/// The fewest and most digits of a card's number.
const DIGITS_MIN: usize = 14;
const DIGITS_MAX: usize = 19;

/// First digits, from and to, and the lengths that the scheme uses with them. Source: ISO/IEC 7812 ranges as
/// the schemes publish them. Visa's of 13 digits are not issued any more.
const RANGES: &[(u32, u32, &[usize])] = &[
    (4, 4, &[16, 19]),
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

/// The text with UUIDs, IBANs, and whatever has letters and digits in one piece blotted out: references, hashes and account
/// numbers often hold digits that could be a card's.
fn without_names(mut bytes: Vec<u8>) -> Vec<u8> {
    for start in 0..bytes.len().saturating_sub(UUID_CHARACTERS - 1) {
        if is_uuid(&bytes[start..start + UUID_CHARACTERS]) {
            bytes[start..start + UUID_CHARACTERS].fill(b'x');
        }
    }
    blot_ibans(&mut bytes);
    for word in bytes.split_mut(|byte| !byte.is_ascii_alphanumeric()) {
        let digits = word.iter().filter(|byte| byte.is_ascii_digit()).count();
        if digits >= DIGITS_MIN && digits < word.len() {
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

/// Countries that have IBANs, by how many characters theirs have. Source: SWIFT's IBAN registry (ISO 13616).
const IBANS: &[(usize, &[u8])] = &[
    (15, b"NO"),
    (16, b"BE"),
    (18, b"DKFIFKFOGLNLSD"),
    (19, b"MKSI"),
    (20, b"ATBAEEKZLTLUMNXK"),
    (21, b"CHHRLILV"),
    (22, b"BGBHCRDEGBGEIEMERSVA"),
    (23, b"AEGIILIQOMSOTL"),
    (24, b"ADCZESMDPKROSASESKTNVG"),
    (25, b"LYPTST"),
    (26, b"ISTR"),
    (27, b"BIDJFRGRITMCMRSM"),
    (28, b"ALAZBYCYDOGTHNHULBNIPLSV"),
    (29, b"BREGPSQAUA"),
    (30, b"JOKWMUYE"),
    (31, b"MTSC"),
    (32, b"LC"),
    (33, b"RU"),
];

/// Blots out IBANs, in one piece or in groups of four.
fn blot_ibans(bytes: &mut [u8]) {
    let mut start = 0;
    while start + 1 < bytes.len() {
        let begins_word = start == 0 || !bytes[start - 1].is_ascii_alphanumeric();
        match begins_word.then(|| iban_at(&bytes[start..])).flatten() {
            Some(end) => {
                bytes[start..start + end].fill(b'x');
                start += end;
            }
            None => start += 1,
        }
    }
}

/// Where the IBAN ends that the text begins with, if it does.
fn iban_at(text: &[u8]) -> Option<usize> {
    let country = [text.first()?.to_ascii_uppercase(), text.get(1)?.to_ascii_uppercase()];
    let (characters, _) =
        IBANS.iter().find(|(_, names)| names.chunks(2).any(|name| *name == country))?;
    let mut iban = Vec::with_capacity(*characters);
    for (at, byte) in text.iter().enumerate() {
        match byte {
            b' ' if iban.len() % 4 == 0 => {}
            byte if byte.is_ascii_alphanumeric() => iban.push(byte.to_ascii_uppercase()),
            _ => return None,
        }
        if iban.len() == *characters {
            let ends = text.get(at + 1).is_none_or(|next| !next.is_ascii_alphanumeric());
            return (ends && proves_itself(&iban)).then_some(at + 1);
        }
    }
    None
}

/// The check digits of an IBAN: with its first four characters put last and letters as numbers from 10 on, it leaves 1
/// when divided by 97 (ISO/IEC 7064, MOD 97-10).
fn proves_itself(iban: &[u8]) -> bool {
    let rotated = iban[4..].iter().chain(&iban[..4]);
    let rest = rotated.fold(0_u32, |rest, byte| match byte {
        b'0'..=b'9' => (rest * 10 + u32::from(byte - b'0')) % 97,
        letter => (rest * 100 + u32::from(letter - b'A') + 10) % 97,
    });
    rest == 1
}

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
                format!("(PAN:{number})"),
                format!("x{} y", grouped.join(" ")),
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
            // In one piece with letters, of 13 digits, or an account's.
            "order x4242424242424242y",
            "01j4242424242424242abcdefgh",
            "4222222222222",
            "4006381333931",
            "DE89 3704 0044 0532 0130 00",
            "DE89370400440532013000",
            "gb29 NWBK 6016 1331 9268 19",
            "IBAN: FR14 2004 1010 0505 0001 3M02 606.",
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

    /// Numbers drawn one after the other, the same in each run (SplitMix64).
    struct Draws(u64);

    impl Draws {
        fn below(&mut self, bound: u64) -> u64 {
            self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
            let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
            let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
            (mixed ^ (mixed >> 31)) % bound
        }

        fn digits(&mut self, many: usize) -> String {
            (0..many).map(|_| char::from(b'0' + u8::try_from(self.below(10)).unwrap())).collect()
        }

        fn of(&mut self, alphabet: &[u8], many: usize) -> String {
            let bound = u64::try_from(alphabet.len()).unwrap();
            let at = |draws: &mut Self| usize::try_from(draws.below(bound)).unwrap();
            (0..many).map(|_| char::from(alphabet[at(self)])).collect()
        }

        /// A number of so many digits with the check digit of GS1 (GTIN-8 to GTIN-14, ISBN-13).
        fn gtin(&mut self, prefix: &str, many: usize) -> String {
            let body = prefix.to_owned() + &self.digits(many - 1 - prefix.len());
            let weighted = body.bytes().rev().enumerate();
            let sum: u32 = weighted
                .map(|(at, digit)| u32::from(digit - b'0') * if at % 2 == 0 { 3 } else { 1 })
                .sum();
            format!("{body}{}", (10 - sum % 10) % 10)
        }

        /// An IBAN of that country, whose account is of these: `n` a digit, `a` a letter, `c` either.
        fn iban(&mut self, country: &str, account: &str) -> String {
            let account: String = account
                .chars()
                .map(|kind| match kind {
                    'n' => self.digits(1),
                    'a' => self.of(b"ABCDEFGHIJKLMNOPQRSTUVWXYZ", 1),
                    _ => self.of(b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ", 1),
                })
                .collect();
            let check = (2..=98)
                .find(|check| proves_itself(format!("{country}{check:02}{account}").as_bytes()));
            format!("{country}{:02}{account}", check.unwrap())
        }
    }

    fn in_groups(text: &str) -> String {
        let groups = text.as_bytes().chunks(4).map(|group| std::str::from_utf8(group).unwrap());
        groups.collect::<Vec<_>>().join(" ")
    }

    /// How many of 10,000 of a kind are refused although they are no card's. Numbers of 14 to 19 digits that begin and check as a card's
    /// does cannot be told from one.
    #[test]
    fn what_is_refused_of_what_is_no_cards_number() {
        const DRAWN: usize = 10_000;
        let mut draws = Draws(14);
        let mut table = String::new();
        let mut count = |kind: &str, drawn: &mut dyn FnMut(&mut Draws) -> String| {
            let refused = (0..DRAWN).filter(|_| holds_card_number(&drawn(&mut draws))).count();
            table += &format!("{kind}: {refused}\n");
        };
        for (country, account) in [
            ("DE", "nnnnnnnnnnnnnnnnnn"),
            ("FR", "nnnnnnnnnncccccccccccnn"),
            ("ES", "nnnnnnnnnnnnnnnnnnnn"),
            ("IT", "annnnnnnnnncccccccccccc"),
            ("NL", "aaaannnnnnnnnn"),
            ("BE", "nnnnnnnnnnnn"),
            ("GB", "aaaannnnnnnnnnnnnn"),
            ("PL", "nnnnnnnnnnnnnnnnnnnnnnnn"),
            ("CH", "nnnnncccccccccccc"),
            ("SE", "nnnnnnnnnnnnnnnnnnnn"),
        ] {
            count(&format!("IBAN of {country}, as printed"), &mut |draws| {
                in_groups(&draws.iban(country, account))
            });
        }
        count("IBAN, in one piece", &mut |draws| draws.iban("DE", "nnnnnnnnnnnnnnnnnn"));
        for many in [8, 12, 13] {
            count(&format!("EAN-{many}"), &mut |draws| draws.gtin("", many));
        }
        count("EAN-13 from 400", &mut |draws| draws.gtin("400", 13));
        count("EAN-13 from 490", &mut |draws| draws.gtin("490", 13));
        count("EAN-14", &mut |draws| draws.gtin("", 14));
        count("ISBN-13 with hyphens", &mut |draws| {
            let isbn = draws.gtin("978", 13);
            format!(
                "{}-{}-{}-{}-{}",
                &isbn[..3],
                &isbn[3..4],
                &isbn[4..7],
                &isbn[7..12],
                &isbn[12..]
            )
        });
        count("UUID", &mut |draws| {
            let hex = draws.of(b"0123456789abcdef", 32);
            format!(
                "{}-{}-{}-{}-{}",
                &hex[..8],
                &hex[8..12],
                &hex[12..16],
                &hex[16..20],
                &hex[20..]
            )
        });
        count("UUID without hyphens", &mut |draws| draws.of(b"0123456789abcdef", 32));
        count("ULID", &mut |draws| {
            "01".to_owned() + &draws.of(b"0123456789ABCDEFGHJKMNPQRSTVWXYZ", 24)
        });
        for (unit, many) in [("s", 0), ("ms", 3), ("us", 6), ("ns", 9)] {
            count(&format!("epoch time in {unit}"), &mut |draws| {
                format!("{}{}", 1_500_000_000 + draws.below(600_000_000), draws.digits(many))
            });
        }
        count("phone number", &mut |draws| {
            format!("+{} {} {}", 1 + draws.below(998), draws.digits(3), draws.digits(7))
        });
        count("order number with letters", &mut |draws| "ORD".to_owned() + &draws.digits(16));
        for many in 8..=20 {
            count(&format!("order number of {many} digits"), &mut |draws| draws.digits(many));
        }
        insta::assert_snapshot!(table);
    }
}
