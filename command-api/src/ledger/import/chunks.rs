//! The entries of an import, chunk by chunk. Where a chunk ends follows from its lines alone, never from how
//! they come in: whoever sends the same lines again, from the same one on, sends the same chunks.

use api_conventions::{Fingerprint, Problem, parse_json, without_byte_order_mark};
use axum::http::{Method, Uri};
use bytes::Bytes;
use domain::MerchantId;
use domain::ledger::{BATCH_STEPS_MAX, ExternalRef, LedgerStep, POSTINGS_MAX};
use tokio::sync::mpsc;

use super::PATH;
use super::lines::Lines;
use crate::ledger::post::one_entry;
use crate::limits::{BATCH_BODY_BYTES_MAX, BATCH_POSTINGS_MAX, ENTRY_BODY_BYTES_MAX};

/// What was read of a body.
#[derive(Debug)]
pub(super) enum Read {
    /// Entries to be taken.
    Chunk(Chunk),
    /// This line is no entry; everything before it was read.
    Malformed { line: u64, problem: Problem },
    /// Nothing more can be read. From this line on, nothing was.
    Unreadable { line: u64, problem: Problem },
    /// That was all.
    End { lines: u64 },
}

/// Entries that are taken in one append.
#[derive(Debug)]
pub(super) struct Chunk {
    pub(super) from_line: u64,
    pub(super) to_line: u64,
    /// What its lines were.
    pub(super) fingerprint: Fingerprint,
    /// How large its lines are together.
    pub(super) bytes: usize,
    pub(super) steps: Vec<LedgerStep>,
    /// The line of each, and what its poster calls it.
    pub(super) places: Vec<Place>,
}

/// Where an entry stands.
#[derive(Debug)]
pub(super) struct Place {
    pub(super) line: u64,
    pub(super) external_ref: ExternalRef,
}

/// Reads `lines` from number `from_line` on, until they end, one is no entry, or nobody takes them.
pub(super) async fn read(
    mut lines: Lines,
    from_line: u64,
    ledger: MerchantId,
    chunks: mpsc::Sender<Read>,
) {
    let mut next = NextChunk::default();
    let last = loop {
        match lines.next().await {
            Ok(Some(_)) if lines.number() < from_line => {}
            Ok(Some(line)) => {
                if let Err(problem) = next.add(&line, lines.number(), ledger) {
                    break Read::Malformed { line: lines.number(), problem };
                }
                if next.full() && !next.send(ledger, &chunks).await {
                    return;
                }
            }
            Ok(None) => break Read::End { lines: lines.number() },
            Err(none @ super::lines::NoLine::TooLong) => {
                break Read::Malformed { line: lines.number(), problem: none.problem() };
            }
            Err(none @ super::lines::NoLine::Unreadable) => {
                // The lines of an unfinished chunk are left: it would be another one than next time.
                let line = next.first_line().unwrap_or(lines.number() + 1).max(from_line);
                let unreadable = Read::Unreadable { line, problem: none.problem() };
                drop(chunks.send(unreadable).await);
                return;
            }
        }
    };
    if next.send(ledger, &chunks).await {
        // Whoever takes them may have stopped; then it does not matter how they end.
        drop(chunks.send(last).await);
    }
}

/// A chunk as it comes together.
#[derive(Default)]
struct NextChunk {
    raw: Vec<u8>,
    postings: usize,
    steps: Vec<LedgerStep>,
    places: Vec<Place>,
}

impl NextChunk {
    /// Adds the entry that `text` is; a blank line is none.
    fn add(&mut self, text: &Bytes, line: u64, ledger: MerchantId) -> Result<(), Problem> {
        let text = without_byte_order_mark(text);
        if text.iter().all(u8::is_ascii_whitespace) {
            return Ok(());
        }
        let entry = one_entry(parse_json(text)?, ledger)?;
        self.raw.extend_from_slice(text);
        self.raw.push(b'\n');
        self.postings += entry.postings.as_slice().len();
        self.places.push(Place { line, external_ref: entry.external_ref.clone() });
        self.steps.push(LedgerStep::Post(entry));
        Ok(())
    }

    /// Whether the largest entry that there is might not fit any more.
    fn full(&self) -> bool {
        self.steps.len() >= BATCH_STEPS_MAX
            || self.postings > BATCH_POSTINGS_MAX - POSTINGS_MAX
            || self.raw.len() > BATCH_BODY_BYTES_MAX - ENTRY_BODY_BYTES_MAX
    }

    fn first_line(&self) -> Option<u64> {
        self.places.first().map(|place| place.line)
    }

    /// Hands the entries on, if there are any; whether somebody takes them.
    async fn send(&mut self, ledger: MerchantId, chunks: &mpsc::Sender<Read>) -> bool {
        let Self { raw, steps, places, .. } = std::mem::take(self);
        let (Some(first), Some(last)) = (places.first(), places.last()) else { return true };
        let uri = Uri::from_static(PATH);
        let chunk = Chunk {
            from_line: first.line,
            to_line: last.line,
            fingerprint: Fingerprint::of(&Method::POST, &uri, ledger, &raw),
            bytes: raw.len(),
            steps,
            places,
        };
        chunks.send(Read::Chunk(chunk)).await.is_ok()
    }
}
