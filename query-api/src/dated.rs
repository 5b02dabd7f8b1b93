//! Sums of what takes effect at a time of its own: the read model keeps them by days, hours, minutes, seconds and
//! instants, so that a sum up to any time is one of few rows.

/// Each width in seconds with the unit of time that it adds up and, but for the widest, the one that it does so
/// within.
const WIDTHS: [(i32, Option<&str>, &str); 4] = [
    (86_400, None, "day"),
    (3_600, Some("day"), "hour"),
    (60, Some("hour"), "minute"),
    (1, Some("minute"), "second"),
];

/// A statement for the rows of which the sum is all up to and including `time`: the days before its own, the hours,
/// minutes and seconds of its day, and the instants of its second. `table` ends in a condition, `time` is an
/// expression.
pub(crate) fn rows_up_to(time: &str, columns: &str, table: &str) -> String {
    let start = |unit: &str| format!("date_trunc('{unit}', {time}, 'UTC')");
    let of_width =
        |width: i32| format!("select {columns} from {table} and width_seconds = {width}");
    let mut parts: Vec<String> = WIDTHS
        .iter()
        .map(|(width, within, unit)| {
            let from = within.map(|unit| format!(" and starts_at >= {}", start(unit)));
            let from = from.unwrap_or_default();
            format!("{}{from} and starts_at < {}", of_width(*width), start(unit))
        })
        .collect();
    let instants = format!("starts_at >= {} and starts_at <= {time}", start("second"));
    parts.push(format!("{} and {instants}", of_width(0)));
    parts.join("\nunion all\n")
}
