//! Times never fall with position, so that a time maps to a position.

use domain::Timestamp;

use crate::log_rows::Row;
use crate::verify::finding::{Check, Findings};

/// Knows the latest time so far.
#[derive(Debug, Default)]
pub(crate) struct RecordedAt {
    latest: Option<Timestamp>,
}

impl RecordedAt {
    pub(crate) fn check(&mut self, row: &Row<'_>, findings: &mut Findings) {
        let at = row.recorded_at();
        if let Some(latest) = self.latest.filter(|latest| *latest > at) {
            let expected = format!("{latest} or later");
            let (check, stream) = (Check::RecordedAt, row.stream_id);
            findings.add(check, row.position, stream, expected, at.to_string());
            return;
        }
        self.latest = Some(at);
    }
}
