//! What characters are to a reader, where that differs from their code: digits of other scripts, and characters
//! that nobody sees. Source: the Unicode character database, version 16.

/// The zeros of all sets of decimal digits (general category Nd) beyond ASCII; the nine others follow each.
const ZEROS: [u32; 75] = [
    0x0660, 0x06F0, 0x07C0, 0x0966, 0x09E6, 0x0A66, 0x0AE6, 0x0B66, 0x0BE6, 0x0C66, 0x0CE6, 0x0D66,
    0x0DE6, 0x0E50, 0x0ED0, 0x0F20, 0x1040, 0x1090, 0x17E0, 0x1810, 0x1946, 0x19D0, 0x1A80, 0x1A90,
    0x1B50, 0x1BB0, 0x1C40, 0x1C50, 0xA620, 0xA8D0, 0xA900, 0xA9D0, 0xA9F0, 0xAA50, 0xABF0, 0xFF10,
    0x104A0, 0x10D30, 0x10D40, 0x11066, 0x110F0, 0x11136, 0x111D0, 0x112F0, 0x11450, 0x114D0,
    0x11650, 0x116C0, 0x116D0, 0x116DA, 0x11730, 0x118E0, 0x11950, 0x11BF0, 0x11C50, 0x11D50,
    0x11DA0, 0x11F50, 0x16130, 0x16A60, 0x16AC0, 0x16B50, 0x16D70, 0x1CCF0, 0x1D7CE, 0x1D7D8,
    0x1D7E2, 0x1D7EC, 0x1D7F6, 0x1E140, 0x1E2F0, 0x1E4F0, 0x1E5F1, 0x1E950, 0x1FBF0,
];
/// Digits that are raised, lowered, circled or followed by a mark: first, last, and the value of the first.
const DRAWN: [(u32, u32, u8); 16] = [
    (0x00B2, 0x00B3, 2),
    (0x00B9, 0x00B9, 1),
    (0x2070, 0x2070, 0),
    (0x2074, 0x2079, 4),
    (0x2080, 0x2089, 0),
    (0x2460, 0x2468, 1),
    (0x2474, 0x247C, 1),
    (0x2488, 0x2490, 1),
    (0x24EA, 0x24EA, 0),
    (0x24F5, 0x24FD, 1),
    (0x24FF, 0x24FF, 0),
    (0x2776, 0x277E, 1),
    (0x2780, 0x2788, 1),
    (0x278A, 0x2792, 1),
    (0x1F100, 0x1F100, 0),
    (0x1F101, 0x1F10A, 0),
];
/// Characters without a shape of their own: what may be ignored when text is shown (`Default_Ignorable`), among
/// it marks of direction and byte order and blanks without width, and marks that are drawn over their neighbour.
const INVISIBLE: [(u32, u32); 23] = [
    (0x00AD, 0x00AD),
    (0x0300, 0x036F),
    (0x061C, 0x061C),
    (0x115F, 0x1160),
    (0x17B4, 0x17B5),
    (0x180B, 0x180F),
    (0x1AB0, 0x1AFF),
    (0x1DC0, 0x1DFF),
    (0x200B, 0x200F),
    (0x202A, 0x202E),
    (0x2060, 0x206F),
    (0x20D0, 0x20FF),
    (0x2800, 0x2800),
    (0x3164, 0x3164),
    (0xFE00, 0xFE0F),
    (0xFE20, 0xFE2F),
    (0xFEFF, 0xFEFF),
    (0xFFA0, 0xFFA0),
    (0xFFF0, 0xFFFB),
    (0x13430, 0x1343F),
    (0x1BCA0, 0x1BCA3),
    (0x1D173, 0x1D17A),
    (0xE0000, 0xE0FFF),
];

/// The value of a decimal digit, of whatever script and however it is drawn.
pub(crate) fn digit_value(character: char) -> Option<u8> {
    if character.is_ascii() {
        return character.to_digit(10).and_then(|value| u8::try_from(value).ok());
    }
    let code = u32::from(character);
    let before = ZEROS.partition_point(|zero| *zero <= code).checked_sub(1);
    let of_a_script = before.map(|at| code - ZEROS[at]).filter(|value| *value < 10);
    let drawn = || {
        let (first, _, value) =
            DRAWN.iter().find(|(first, last, _)| (*first..=*last).contains(&code))?;
        Some(code - first + u32::from(*value))
    };
    of_a_script.or_else(drawn).and_then(|value| u8::try_from(value).ok())
}

/// Whether a reader does not see that the character is there.
pub fn is_invisible(character: char) -> bool {
    let code = u32::from(character);
    code >= INVISIBLE[0].0 && INVISIBLE.iter().any(|(first, last)| (*first..=*last).contains(&code))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn digits_of_every_script_have_their_value() {
        for (text, value) in [
            ("0٠۰०๐０𝟎𝟘𝟢𝟬𝟶🯰⁰₀⓪⓿🄀🄁", 0),
            ("1١۱१๑１𝟏𝟙𝟣𝟭𝟷🯱¹₁①⑴⒈⓵❶➀➊🄂", 1),
            ("2²₂②🄃", 2),
            ("4٤۴४๔４𝟒𝟜𝟦𝟰𝟺🯴⁴₄④⑷⒋⓸❹➃➍🄅", 4),
            ("9٩۹९๙９𝟗𝟡𝟫𝟵𝟿🯹⁹₉⑨⑼⒐⓽❾➈➒🄊", 9),
        ] {
            for character in text.chars() {
                assert_eq!(digit_value(character), Some(value), "{character:?}");
            }
        }
        for character in "a/: ½⑩⒑Ⅳ四".chars() {
            assert_eq!(digit_value(character), None, "{character:?}");
        }
        assert!(ZEROS.is_sorted());
    }

    #[test]
    fn what_nobody_sees_is_known() {
        for character in
            "\u{ad}\u{34f}\u{200b}\u{200e}\u{202e}\u{2060}\u{feff}\u{fe0f}\u{20e3}".chars()
        {
            assert!(is_invisible(character), "{character:?}");
        }
        for character in "a0 -=\u{a0}é字\u{1f600}".chars() {
            assert!(!is_invisible(character), "{character:?}");
        }
    }
}
