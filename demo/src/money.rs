//! Money in a demonstration: minor units and the decimals of five currencies.

/// The currencies that the marketplaces trade in, with their decimals (ISO 4217).
pub(crate) const CURRENCIES: [(&str, u32); 5] =
    [("USD", 2), ("EUR", 2), ("IDR", 2), ("JPY", 0), ("KWD", 3)];

/// A decimal text of minor units.
pub(crate) fn decimal(minor: i64, decimals: u32) -> String {
    let sign = if minor < 0 { "-" } else { "" };
    let minor = minor.unsigned_abs();
    if decimals == 0 {
        return format!("{sign}{minor}");
    }
    let unit = 10_u64.pow(decimals);
    let width = usize::try_from(decimals).unwrap_or(0);
    format!("{sign}{}.{:0width$}", minor / unit, minor % unit)
}
