//! Card numbers (PANs): recognised so that they are refused wherever text is taken in.
//!
//! A number is taken for a card's if all of this holds: 13 to 19 digits, perhaps in groups parted by single
//! blanks or hyphens; the first digits are those of a card scheme, at one of its lengths; and the check
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

/// Whether a card's number stands anywhere in `text`.
pub(crate) fn holds_card_number(text: &str) -> bool {
    // Most texts have too few digits to hold one.
    if text.bytes().filter(u8::is_ascii_digit).count() < DIGITS_MIN {
        return false;
    }
    runs(text).into_iter().any(|run| is_card_number(&run))
}

/// The runs of digits, with single blanks or hyphens between groups left out.
fn runs(text: &str) -> Vec<Vec<u8>> {
    let mut runs = Vec::new();
    let mut run: Vec<u8> = Vec::new();
    let mut parted = false;
    for byte in text.bytes() {
        match byte {
            b'0'..=b'9' => {
                run.push(byte - b'0');
                parted = false;
            }
            b' ' | b'-' if !run.is_empty() && !parted => parted = true,
            _ => {
                runs.push(std::mem::take(&mut run));
                parted = false;
            }
        }
    }
    runs.push(run);
    runs
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
            "4242  4242  4242  4242",
            "+62 812 3456 7890",
        ] {
            assert!(!holds_card_number(text), "{text}");
        }
    }
}
