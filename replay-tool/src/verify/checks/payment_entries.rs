//! A payment's money and its entry are one append: each event that moved money is followed by the very entry
//! that it names, of that amount; and no entry books a payment without such an event.

use domain::payments::PaymentEvent;
use domain::{Amount, EntryId, Event};

use crate::facts::{EntryFacts, Fact};
use crate::log_rows::Row;
use crate::verify::finding::{Check, Findings, entry as named};

/// What the references of payments' entries start with; no client may give such a one.
pub(super) const PAYMENT_REFERENCE: &str = "payment:";

/// What is remembered from row to row.
#[derive(Debug, Default)]
pub(crate) struct PaymentEntries {
    expected: Option<Expected>,
    /// Whether a row was seen: of an entry that is the very first, what came before is not known.
    begun: bool,
}

/// The entry that has to come next.
#[derive(Debug)]
struct Expected {
    position: i64,
    stream: String,
    entry_id: EntryId,
    /// How much it books, where the event says.
    amount: Option<Amount>,
}

impl PaymentEntries {
    pub(crate) fn check(&mut self, row: &Row<'_>, fact: &Fact<'_>, findings: &mut Findings) {
        match fact {
            Fact::Entry(entry) => self.entry(row, entry, findings),
            // The accounts that the entry is the first to name are opened before it.
            Fact::Other(Event::AccountOpened(_)) => return,
            Fact::Other(event) => {
                self.missing(findings);
                self.expected = announced(event).map(|(entry_id, amount)| Expected {
                    position: row.position,
                    stream: row.stream_id.to_owned(),
                    entry_id,
                    amount,
                });
            }
        }
        self.begun = true;
    }

    /// What is still expected when the log ends.
    pub(crate) fn end(&mut self, findings: &mut Findings) {
        self.missing(findings);
    }

    fn entry(&mut self, row: &Row<'_>, entry: &EntryFacts<'_>, findings: &mut Findings) {
        let announced = self.expected.take_if(|one| one.entry_id.uuid() == entry.entry_id);
        self.missing(findings);
        let (check, position, subject) =
            (Check::PaymentEntries, row.position, named(entry.entry_id));
        let Some(announced) = announced else {
            if entry.external_ref.starts_with(PAYMENT_REFERENCE) && self.begun {
                let expected = "an event of the payment right before it that names it";
                findings.add(check, position, subject, expected, entry.external_ref.as_ref());
            }
            return;
        };
        let Some(amount) = announced.amount else { return };
        let debits = entry.postings.iter().filter(|one| one.direction.signed(1) > 0);
        let debited: i64 = debits.map(|one| one.minor).fold(0, i64::saturating_add);
        if debited != amount.minor() {
            let expected =
                format!("{} in minor units, as position {}", amount.minor(), announced.position);
            findings.add(check, position, subject, expected, debited.to_string());
        }
    }

    fn missing(&mut self, findings: &mut Findings) {
        if let Some(Expected { position, stream, entry_id, .. }) = self.expected.take() {
            let expected = format!("entry {entry_id} right after it");
            findings.add(Check::PaymentEntries, position, stream, expected, "another event");
        }
    }
}

/// The entry that an event of a payment names, and how much it is to book.
fn announced(event: &Event) -> Option<(EntryId, Option<Amount>)> {
    let Event::Payment(event) = event else { return None };
    match event {
        PaymentEvent::Captured(event) => Some((event.entry_id, Some(event.amount))),
        PaymentEvent::CaptureFailed(event) => Some((event.entry_id, None)),
        PaymentEvent::RefundSucceeded(event) => Some((event.entry_id, Some(event.amount))),
        PaymentEvent::RefundFailed(event) => Some((event.entry_id, None)),
        PaymentEvent::LateSuccess(event) => Some((event.entry_id?, Some(event.amount))),
        PaymentEvent::LateSuccessReversed(event) => Some((event.entry_id?, None)),
        PaymentEvent::LateSuccessFailed(event) => Some((event.entry_id?, None)),
        PaymentEvent::LateReversalFailed(event) => Some((event.entry_id?, None)),
        PaymentEvent::Created(_)
        | PaymentEvent::MethodReplaced(_)
        | PaymentEvent::AuthorizationRequested(_)
        | PaymentEvent::AttemptStarted(_)
        | PaymentEvent::AttemptResent(_)
        | PaymentEvent::AttemptPending(_)
        | PaymentEvent::AttemptUnknown(_)
        | PaymentEvent::AttemptDeclined(_)
        | PaymentEvent::AttemptFailed(_)
        | PaymentEvent::AttemptWithheld(_)
        | PaymentEvent::Authorized(_)
        | PaymentEvent::CaptureRequested(_)
        | PaymentEvent::VoidRequested(_)
        | PaymentEvent::Voided(_)
        | PaymentEvent::Expired(_)
        | PaymentEvent::Canceled(_)
        | PaymentEvent::RefundRequested(_)
        | PaymentEvent::PspNotified(_)
        | PaymentEvent::AttemptConfirmed(_) => None,
    }
}
