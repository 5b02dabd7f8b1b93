//! What came of each attempt at a PSP gets into the log. The events say by when a worker asks the PSP (again); an
//! attempt of which nothing was heard long after that may have charged what is not booked, and what a PSP said of
//! its own accord and was not looked into may be news of money. Time is that of the log's last event: while
//! nothing is written, nothing is late.

use std::collections::BTreeMap;

use domain::payments::PaymentEvent;
use domain::{Event, PaymentId, Timestamp};

use crate::facts::Fact;
use crate::log_rows::Row;
use crate::verify::finding::{Check, Findings};

/// For how long after a PSP was to be asked nothing may be heard, in milliseconds: an hour. A healthy worker asks
/// within seconds; one that dies leaves the payment for the 20 s of its lease, and one that could not record an
/// answer for 5 minutes.
pub(crate) const OUTCOME_LATE_MS: i64 = 60 * 60 * 1_000;
/// The most attempts that are awaited at a time, some 100 bytes each; what is beyond them is not checked.
const AWAITED_MAX: usize = 500_000;

/// An attempt of which the end, or whether it is still the end, is not known.
#[derive(Debug)]
struct Awaited {
    /// The last event of it.
    position: i64,
    event_type: &'static str,
    /// When its PSP is asked.
    ask_at: Timestamp,
    /// Whether its end was known once.
    concluded: bool,
}

/// What is remembered from row to row.
#[derive(Debug, Default)]
pub(crate) struct PaymentOutcomes {
    awaited: BTreeMap<(PaymentId, u32), Awaited>,
    forgot: bool,
    last: Option<Timestamp>,
}

/// What an event says of what is awaited.
enum News {
    /// Of this attempt the PSP is asked at that time.
    Ask { attempt: u32, ask_at: Timestamp },
    /// It was sent, and its PSP is asked at that time.
    Sent { attempt: u32, ask_at: Timestamp },
    /// How it ended is recorded; a later answer of the PSP may still change that.
    Ended { attempt: u32, ask_at: Option<Timestamp> },
    /// What was known of attempts of the payment came back, after the PSP was asked.
    CameBack,
    /// Nothing.
    None,
}

impl PaymentOutcomes {
    pub(crate) fn check(&mut self, row: &Row<'_>, fact: &Fact<'_>) {
        self.last = Some(row.decided_at());
        let Fact::Other(Event::Payment(event)) = fact else { return };
        let payment = event.payment_id();
        let place = |ask_at, concluded| Awaited {
            position: row.position,
            event_type: event.event_type(),
            ask_at,
            concluded,
        };
        match news(event, row.decided_at()) {
            News::Sent { attempt, ask_at } => self.awaits((payment, attempt), place(ask_at, false)),
            News::Ask { attempt, ask_at } => {
                let before = self.awaited.get(&(payment, attempt));
                let concluded = before.is_none_or(|before| before.concluded);
                self.awaits((payment, attempt), place(ask_at, concluded));
            }
            News::Ended { attempt, ask_at: Some(ask_at) } => {
                self.awaits((payment, attempt), place(ask_at, true));
            }
            News::Ended { attempt, ask_at: None } => {
                self.awaited.remove(&(payment, attempt));
            }
            News::CameBack => {
                let attempts = (payment, 0)..=(payment, u32::MAX);
                let asked = self.awaited.range(attempts).filter(|(_, awaited)| awaited.concluded);
                let asked: Vec<_> = asked.map(|(id, _)| *id).collect();
                for id in asked {
                    self.awaited.remove(&id);
                }
            }
            News::None => {}
        }
    }

    fn awaits(&mut self, id: (PaymentId, u32), awaited: Awaited) {
        if self.awaited.len() < AWAITED_MAX || self.awaited.contains_key(&id) {
            self.awaited.insert(id, awaited);
        } else {
            self.forgot = true;
        }
    }

    /// What is late when the log ends.
    pub(crate) fn end(&self, findings: &mut Findings) {
        let Some(last) = self.last else { return };
        for ((payment, attempt), awaited) in &self.awaited {
            let latest = awaited.ask_at.plus_millis(OUTCOME_LATE_MS);
            if last > latest {
                let subject = format!("payment {payment}, attempt {attempt}");
                let expected = format!("what its PSP says of it, by {latest}");
                let found = format!("{} as the last of it, at {last}", awaited.event_type);
                let check = Check::PaymentOutcomes;
                findings.add(check, awaited.position, subject, expected, found);
            }
        }
    }

    /// Whether there were more than are remembered.
    pub(crate) fn forgot(&self) -> bool {
        self.forgot
    }
}

fn news(event: &PaymentEvent, now: Timestamp) -> News {
    let ended = |attempt| News::Ended { attempt, ask_at: None };
    match event {
        PaymentEvent::AttemptStarted(event) => {
            News::Sent { attempt: event.attempt, ask_at: event.ask_at }
        }
        PaymentEvent::AttemptResent(event) => {
            News::Sent { attempt: event.attempt, ask_at: event.ask_at }
        }
        PaymentEvent::AttemptPending(event) => {
            News::Ask { attempt: event.attempt, ask_at: event.ask_at }
        }
        PaymentEvent::AttemptUnknown(event) => {
            News::Ask { attempt: event.attempt, ask_at: event.ask_at }
        }
        PaymentEvent::PspNotified(event) => News::Ask { attempt: event.attempt, ask_at: now },
        PaymentEvent::AttemptFailed(event) => {
            News::Ended { attempt: event.attempt, ask_at: event.check_at }
        }
        PaymentEvent::AttemptDeclined(event) => ended(event.attempt),
        PaymentEvent::Authorized(event) => ended(event.attempt),
        PaymentEvent::Captured(event) => ended(event.attempt),
        PaymentEvent::Voided(event) => ended(event.attempt),
        PaymentEvent::RefundSucceeded(event) => ended(event.attempt),
        PaymentEvent::AttemptConfirmed(event) => ended(event.attempt),
        PaymentEvent::LateSuccess(event) => ended(event.attempt),
        PaymentEvent::LateSuccessReversed(event) => ended(event.attempt),
        PaymentEvent::LateSuccessFailed(event) => ended(event.attempt),
        PaymentEvent::LateReversalFailed(event) => ended(event.attempt),
        // They name no attempt.
        PaymentEvent::CaptureFailed(_) | PaymentEvent::RefundFailed(_) => News::CameBack,
        PaymentEvent::Created(_)
        | PaymentEvent::MethodReplaced(_)
        | PaymentEvent::AuthorizationRequested(_)
        | PaymentEvent::AttemptWithheld(_)
        | PaymentEvent::CaptureRequested(_)
        | PaymentEvent::VoidRequested(_)
        | PaymentEvent::Expired(_)
        | PaymentEvent::Canceled(_)
        | PaymentEvent::RefundRequested(_) => News::None,
    }
}
