//! Pages of the log.

use api_conventions::{Page, Problem, encode_cursor};
use event_store::log::{LogFilter, Position, log_page};
use sqlx::PgConnection;

use super::recorded::LoggedEvent;
use crate::database::refused;

/// The most positions that one page looks through for what a filter takes: a tenth of a second.
const SCAN_EVENTS_MAX: i64 = 50_000;

/// How far a page looks. The events of a stream are found by its index, however far apart they are.
pub(super) fn scan_end(filter: &LogFilter, after: Position, head: Position) -> Position {
    if filter.stream.is_some() {
        return head;
    }
    head.min(Position::from_number(after.number().saturating_add(SCAN_EVENTS_MAX)))
}

/// The page after `after`. Its cursor is the position to go on after: that of its last event, or
/// where it stopped looking; none where it looked up to `head`.
pub(super) async fn read_page(
    db: &mut PgConnection,
    filter: &LogFilter,
    after: Position,
    head: Position,
    limit: usize,
) -> Result<Page<LoggedEvent>, Problem> {
    let up_to = scan_end(filter, after, head);
    let rows_to_read = i64::try_from(limit).unwrap_or(i64::MAX).saturating_add(1);
    let mut page = log_page(db, after, up_to, rows_to_read, filter).await.map_err(refused)?;
    if page.events.len() > limit {
        page.events.truncate(limit);
        page.scanned_to = page.events.last().map_or(after, |event| event.position);
    }
    let more = page.scanned_to < head;
    let next_cursor = more.then(|| encode_cursor(&page.scanned_to.number()));
    let events = page.events.into_iter().map(LoggedEvent::try_from);
    Ok(Page { data: events.collect::<Result<_, Problem>>()?, next_cursor })
}
