//! What befalls a request beside what comes of it: answers that fail, come late or never come.

use std::collections::HashMap;
use std::time::Duration;

use super::operation::{Kind, Moment, Status};
use super::token::Fault;

/// The most keys and references whose tries are remembered; beyond it all are forgotten and faults
/// begin anew, which a test that asks for them never meets.
const TRIES_KEPT_MAX: usize = 100_000;
/// How long an operation that is only told of by webhook takes to settle.
const SETTLES_AFTER: Duration = Duration::from_millis(300);
/// How long after its success an operation fails.
const FAILS_AFTER: Duration = Duration::from_millis(500);

/// What befalls a request before it is carried out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Before {
    /// Nothing.
    CarryOut,
    /// It is answered that the service is unavailable.
    Unavailable,
    /// It is not answered.
    NoAnswer,
}

/// What befalls the answer to a request that was carried out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum After {
    /// Nothing.
    Answer,
    /// It comes late.
    AnswerLate(Duration),
    /// It does not come.
    NoAnswer,
    /// The connection breaks.
    Cut,
}

/// What was tried. Not kept in the ledger: a restart forgets it, as a restart would.
#[derive(Debug, Default)]
pub(super) struct Tries {
    by_key: HashMap<String, u32>,
    /// Until when requests for a reference are refused.
    down_until: HashMap<String, Moment>,
    /// The reference of a key that was refused while down.
    refused: HashMap<String, String>,
}

impl Tries {
    /// What befalls this request before it is carried out.
    pub(super) fn before(
        &mut self,
        fault: &Fault,
        key: &str,
        reference: &str,
        now: Moment,
    ) -> Before {
        match fault {
            Fault::FailFirst { count } if self.tried_before(key) < *count => Before::Unavailable,
            Fault::TimeoutBefore if self.tried_before(key) == 0 => Before::NoAnswer,
            Fault::DownFor(duration) if self.is_down_for(key, reference, *duration, now) => {
                Before::Unavailable
            }
            Fault::None
            | Fault::FailFirst { .. }
            | Fault::TimeoutBefore
            | Fault::DownFor(_)
            | Fault::Decline { .. }
            | Fault::DeclineFirst { .. }
            | Fault::TimeoutAfter
            | Fault::ResetAfter
            | Fault::Slow(_)
            | Fault::WebhookDuplicated { .. }
            | Fault::WebhookReversed
            | Fault::WebhookLost
            | Fault::WebhookOnly
            | Fault::StatusNotFoundFor(_)
            | Fault::CaptureFailsLater
            | Fault::RefundFails
            | Fault::RefundFailsLater
            | Fault::PartialAuthorization { .. } => Before::CarryOut,
        }
    }

    /// Whether requests for the reference are refused now.
    pub(super) fn is_down(&self, reference: &str, now: Moment) -> bool {
        self.down_until.get(reference).is_some_and(|until| now < *until)
    }

    /// Whether a question after this key is refused now: its request was, for a reference that is
    /// still down.
    pub(super) fn is_key_down(&self, key: &str, now: Moment) -> bool {
        self.refused.get(key).is_some_and(|reference| self.is_down(reference, now))
    }

    /// How often the key was tried before; this is one more.
    fn tried_before(&mut self, key: &str) -> u32 {
        bound(&mut self.by_key);
        let tries = self.by_key.entry(key.to_owned()).or_default();
        let before = *tries;
        *tries = tries.saturating_add(1);
        before
    }

    fn is_down_for(&mut self, key: &str, reference: &str, duration: Duration, now: Moment) -> bool {
        bound(&mut self.down_until);
        bound(&mut self.refused);
        self.down_until.entry(reference.to_owned()).or_insert_with(|| now.plus(duration));
        let down = self.is_down(reference, now);
        if down {
            self.refused.insert(key.to_owned(), reference.to_owned());
        }
        down
    }
}

fn bound<T>(kept: &mut HashMap<String, T>) {
    if kept.len() >= TRIES_KEPT_MAX {
        kept.clear();
    }
}

/// What befalls the first answer to a request that was carried out.
pub(super) fn after(fault: &Fault) -> After {
    match fault {
        Fault::TimeoutAfter | Fault::StatusNotFoundFor(_) => After::NoAnswer,
        Fault::ResetAfter => After::Cut,
        Fault::Slow(delay) => After::AnswerLate(*delay),
        Fault::None
        | Fault::Decline { .. }
        | Fault::DeclineFirst { .. }
        | Fault::FailFirst { .. }
        | Fault::TimeoutBefore
        | Fault::WebhookDuplicated { .. }
        | Fault::WebhookReversed
        | Fault::WebhookLost
        | Fault::WebhookOnly
        | Fault::CaptureFailsLater
        | Fault::RefundFails
        | Fault::RefundFailsLater
        | Fault::PartialAuthorization { .. }
        | Fault::DownFor(_) => After::Answer,
    }
}

/// Whether a status query does not find an operation that was carried out at `created_at`.
pub(super) fn hides(fault: &Fault, created_at: Moment, now: Moment) -> bool {
    matches!(fault, Fault::StatusNotFoundFor(duration) if now < created_at.plus(*duration))
}

/// What becomes of an operation later, and when.
pub(super) fn later(fault: &Fault, kind: Kind, first: Status) -> Option<(Status, Duration)> {
    match (fault, kind, first) {
        (Fault::WebhookOnly, _, Status::Pending) => Some((Status::Succeeded, SETTLES_AFTER)),
        (Fault::CaptureFailsLater, Kind::Sale | Kind::Capture, Status::Succeeded)
        | (Fault::RefundFailsLater, Kind::Refund, Status::Succeeded) => {
            Some((Status::Failed, FAILS_AFTER))
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_window_of_outage_begins_with_the_first_request_and_ends() {
        let mut tries = Tries::default();
        let start = Moment::now();
        let down = Fault::DownFor(Duration::from_secs(10));
        assert_eq!(tries.before(&down, "a", "pay_1", start), Before::Unavailable);
        let during = start.plus(Duration::from_secs(9));
        assert_eq!(tries.before(&down, "b", "pay_1", during), Before::Unavailable);
        assert!(tries.is_key_down("b", during));
        assert!(!tries.is_key_down("c", during), "another key is not known to be of the reference");
        assert_eq!(tries.before(&Fault::None, "d", "pay_1", during), Before::CarryOut);
        let end = start.plus(Duration::from_secs(10));
        assert_eq!(tries.before(&down, "a", "pay_1", end), Before::CarryOut);
        assert!(!tries.is_key_down("a", end));
        assert_eq!(tries.before(&down, "e", "pay_2", end), Before::Unavailable);
    }

    #[test]
    fn remembered_tries_are_bounded() {
        let mut kept: HashMap<String, ()> =
            (0..TRIES_KEPT_MAX).map(|n| (n.to_string(), ())).collect();
        bound(&mut kept);
        assert!(kept.is_empty());
    }
}
