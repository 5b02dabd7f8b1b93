//! Positions are gapless.

use crate::verify::finding::{Check, Findings};

/// Knows which position comes next.
#[derive(Debug)]
pub(crate) struct Positions {
    next: i64,
}

impl Positions {
    pub(crate) fn from(first: i64) -> Self {
        Self { next: first }
    }

    /// One finding a gap, at the first position that is missing.
    pub(crate) fn check(&mut self, position: i64, findings: &mut Findings) {
        if position < self.next {
            let expected = format!("a position above {}", self.next - 1);
            findings.add(Check::Positions, position, "", expected, position.to_string());
            return;
        }
        if position > self.next {
            let missing = match position - self.next {
                1 => "no such event".to_owned(),
                _ => format!("no events {} to {}", self.next, position - 1),
            };
            let found = format!("{missing}; the next is at {position}");
            let expected = format!("an event at {}", self.next);
            findings.add(Check::Positions, self.next, "", expected, found);
        }
        self.next = position + 1;
    }
}
