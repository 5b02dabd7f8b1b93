//! The ledger's file: a record a line, only ever appended to.
//!
//! A record counts once the system has it, which it keeps when the process is killed; nothing here
//! is meant to outlast a power cut. Records that arrive while others are written wait and are then
//! written with one call.

use std::fs::{File, OpenOptions, Permissions, TryLockError};
use std::io::{self, BufRead, BufReader, Write};
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::{Notify, watch};
use tokio_util::sync::CancellationToken;

use super::options::OpenError;
use super::records::Record;

/// The mode of the file: who paid whom is nobody else's business.
const OWNER_ONLY: u32 = 0o600;

/// How many records the ledger has had since it was opened.
pub(super) type Position = u64;

/// Takes records; they are written by its [`Writer`].
#[derive(Debug)]
pub(super) struct Ledger {
    waiting: Mutex<Waiting>,
    wake: Notify,
    written: watch::Receiver<Position>,
}

/// What is not written yet. Bounded by what callers do: each has a request, a timer or a delivery
/// under way that waits for its record.
#[derive(Debug, Default)]
struct Waiting {
    lines: Vec<u8>,
    end: Position,
}

/// Writes what its [`Ledger`] took.
#[derive(Debug)]
pub(super) struct Writer {
    file: File,
    ledger: Arc<Ledger>,
    written: watch::Sender<Position>,
}

/// The ledger cannot be written any more.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Closed;

/// Opens the file, gives every record in it to `each` and cuts off a torn last line.
pub(super) fn open(
    path: &Path,
    mut each: impl FnMut(Record) -> Result<(), super::charges::Misfit>,
) -> Result<(Arc<Ledger>, Writer), OpenError> {
    let io_error = |source| OpenError::Io { path: path.to_owned(), source };
    let mut options = OpenOptions::new();
    let file = options.create(true).read(true).append(true).mode(OWNER_ONLY).open(path);
    let file = file.map_err(io_error)?;
    // Whatever the umask took away, or an earlier version left.
    file.set_permissions(Permissions::from_mode(OWNER_ONLY)).map_err(io_error)?;
    match file.try_lock() {
        Ok(()) => {}
        Err(TryLockError::WouldBlock) => return Err(OpenError::Locked { path: path.to_owned() }),
        Err(TryLockError::Error(source)) => return Err(io_error(source)),
    }
    let mut reader = BufReader::new(&file);
    let mut whole_bytes = 0_u64;
    let mut text = Vec::new();
    for line in 1_u64.. {
        text.clear();
        let bytes = reader.read_until(b'\n', &mut text).map_err(io_error)?;
        if text.last() != Some(&b'\n') {
            break;
        }
        let record = serde_json::from_slice(&text);
        let record = record.map_err(|source| OpenError::Malformed { line, source })?;
        each(record).map_err(|source| OpenError::Misfit { line, source })?;
        whole_bytes += bytes as u64;
    }
    if !text.is_empty() {
        tracing::warn!(bytes = text.len(), "a torn last line of the ledger is cut off");
        file.set_len(whole_bytes).map_err(io_error)?;
    }
    let (sender, written) = watch::channel(0);
    let (waiting, wake) = (Mutex::default(), Notify::new());
    let ledger = Arc::new(Ledger { waiting, wake, written });
    let writer = Writer { file, ledger: Arc::clone(&ledger), written: sender };
    Ok((ledger, writer))
}

impl Ledger {
    /// Queues a record for writing; the order of calls is the order of lines.
    pub(super) fn append(&self, record: &Record) {
        let mut waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        // Records are plain structs with text keys, and a vector takes every byte.
        serde_json::to_writer(&mut waiting.lines, record).expect("a record has a text form");
        waiting.lines.push(b'\n');
        waiting.end += 1;
        drop(waiting);
        self.wake.notify_one();
    }

    /// The position after the last record taken.
    pub(super) fn end(&self) -> Position {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner).end
    }

    /// Waits until everything before `position` is written.
    pub(super) async fn written(&self, position: Position) -> Result<(), Closed> {
        if *self.written.borrow() >= position {
            return Ok(());
        }
        let mut written = self.written.clone();
        written.wait_for(|written| *written >= position).await.map(drop).map_err(|_| Closed)
    }

    fn take(&self, into: &mut Vec<u8>) -> Position {
        into.clear();
        let mut waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        std::mem::swap(&mut waiting.lines, into);
        waiting.end
    }
}

impl Writer {
    /// Writes until `close`, and then what is left; ends early if the file fails.
    ///
    /// The write is made right here, on the runtime's thread: it is a copy into the system's
    /// cache, cheaper than to have another thread do it.
    pub(super) async fn run(mut self, close: CancellationToken) {
        let mut lines = Vec::new();
        loop {
            let closing = close.is_cancelled();
            let position = self.ledger.take(&mut lines);
            if !lines.is_empty() {
                if let Err(error) = self.write(&lines) {
                    tracing::error!(%error, "the ledger cannot be written");
                    return;
                }
                self.written.send_replace(position);
            } else if closing {
                return;
            } else {
                tokio::select! {
                    () = self.ledger.wake.notified() => {}
                    () = close.cancelled() => {}
                }
            }
        }
    }

    fn write(&mut self, lines: &[u8]) -> io::Result<()> {
        self.file.write_all(lines)
    }
}
