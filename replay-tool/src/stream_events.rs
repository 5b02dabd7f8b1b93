//! The events of one stream, as they lie in the log.

use domain::{StreamId, StreamVersion};
use event_store::log::{RecordedEvent, stream_page};

use crate::connection::{Auditor, ConnectError, Purpose};

/// The most events that are read at once: at 256 KiB an event 25 MiB.
const PAGE_EVENTS: i64 = 100;

/// Why a stream could not be read.
#[derive(Debug, thiserror::Error)]
pub enum StreamError {
    /// The database cannot be audited.
    #[error("the log cannot be reached")]
    Connect(#[from] ConnectError),
    /// A statement failed.
    #[error("reading the stream failed")]
    Database(#[from] sqlx::Error),
}

/// Hands every event of the stream to `each`, by version; how many there were.
///
/// # Errors
/// [`StreamError`].
pub async fn read(
    database_url: &str,
    stream: &StreamId,
    mut each: impl FnMut(&RecordedEvent),
) -> Result<u64, StreamError> {
    let mut db = Auditor::open(database_url).await?.connect(Purpose::Read).await?;
    let (mut after, mut count) = (StreamVersion::from_number(0), 0);
    loop {
        let page = stream_page(&mut db, stream, after, PAGE_EVENTS).await?;
        let Some(last) = page.events.last() else { return Ok(count) };
        after = last.version;
        count += u64::try_from(page.events.len()).unwrap_or(0);
        page.events.iter().for_each(&mut each);
    }
}
