//! What may be done with a charge, and what comes of it.

use super::charges::{Book, Charge};
use super::operation::{Decline, Kind, Moment, Operation, Status};
use super::records::{CarriedOut, id_digits};
use super::token::{Fault, Token};

/// The most operations on a charge: far more than any merchant makes, and few enough that sums of
/// their amounts fit 64 bits.
const CHARGE_OPERATIONS_MAX: usize = 1_000;
/// What a refused capture, void or refund says.
const REFUSED: &str = "refused";

/// A valid request to do something.
#[derive(Debug)]
pub(super) struct Request {
    pub(super) key: String,
    pub(super) fingerprint: String,
    pub(super) intent: Intent,
}

/// What is asked for.
#[derive(Debug)]
pub(super) enum Intent {
    Charge { reference: String, amount_minor: i64, currency: String, token: Token, capture: bool },
    Capture { charge_id: String, amount_minor: i64, last: bool },
    Void { charge_id: String },
    Refund { charge_id: String, amount_minor: i64 },
}

impl Intent {
    pub(super) fn kind(&self) -> Kind {
        match self {
            Self::Charge { capture: false, .. } => Kind::Authorization,
            Self::Charge { capture: true, .. } => Kind::Sale,
            Self::Capture { .. } => Kind::Capture,
            Self::Void { .. } => Kind::Void,
            Self::Refund { .. } => Kind::Refund,
        }
    }
}

/// Why a request is not carried out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Refusal {
    ChargeUnknown,
    TooManyOperations,
    OperationPending,
    ChargeDeclined,
    ChargeVoided,
    AlreadyCaptured,
    NotCaptured,
    AmountTooLarge { possible_minor: i64 },
}

/// What a request is about: the payment's reference and what happens to it.
pub(super) fn subject<'a>(
    book: &'a Book,
    intent: &'a Intent,
) -> Result<(&'a str, &'a Fault), Refusal> {
    let (reference, token) = match intent {
        Intent::Charge { reference, token, .. } => (reference, token),
        Intent::Capture { charge_id, .. }
        | Intent::Void { charge_id }
        | Intent::Refund { charge_id, .. } => {
            let charge = book.charge(charge_id).ok_or(Refusal::ChargeUnknown)?;
            (&charge.reference, &charge.token)
        }
    };
    Ok((reference, token.fault_of(intent.kind())))
}

/// What comes of a request, if the rules allow it.
pub(super) fn decide(
    book: &Book,
    simulator: &str,
    request: &Request,
    now: Moment,
) -> Result<CarriedOut, Refusal> {
    match &request.intent {
        Intent::Charge { reference, amount_minor, currency, token, .. } => {
            let charge_id = format!("ch_{}", id_digits(simulator, &request.key));
            let frame = Frame { simulator, request, now, charge_id: &charge_id };
            let fault = token.fault_of(request.intent.kind());
            let declined_before = book.declined_charges(reference);
            let mut carried_out = frame.operation(reference, currency, *amount_minor);
            carried_out.token = Some(token.text().to_owned());
            suffer(&mut carried_out.operation, fault, declined_before, Status::Declined);
            Ok(carried_out)
        }
        Intent::Capture { charge_id, amount_minor, last } => {
            let charge = open_charge(book, charge_id)?;
            let possible_minor = capturable_minor(charge)?;
            if *amount_minor > possible_minor {
                return Err(Refusal::AmountTooLarge { possible_minor });
            }
            let frame = Frame { simulator, request, now, charge_id };
            let mut carried_out = frame.on(book, charge, *amount_minor);
            carried_out.last_capture = *last;
            Ok(carried_out)
        }
        Intent::Void { charge_id } => {
            let charge = open_charge(book, charge_id)?;
            if charge.released || charge.totals.captured_net_minor() > 0 {
                return Err(Refusal::AlreadyCaptured);
            }
            let frame = Frame { simulator, request, now, charge_id };
            Ok(frame.on(book, charge, charge.totals.authorized_minor))
        }
        Intent::Refund { charge_id, amount_minor } => {
            let charge = open_charge(book, charge_id)?;
            if charge.totals.captured_net_minor() == 0 {
                return Err(Refusal::NotCaptured);
            }
            let possible_minor = charge.totals.refundable_minor().max(0);
            if *amount_minor > possible_minor {
                return Err(Refusal::AmountTooLarge { possible_minor });
            }
            let frame = Frame { simulator, request, now, charge_id };
            Ok(frame.on(book, charge, *amount_minor))
        }
    }
}

/// The charge, if anything at all can be done on it now.
fn open_charge<'a>(book: &'a Book, charge_id: &str) -> Result<&'a Charge, Refusal> {
    let charge = book.charge(charge_id).ok_or(Refusal::ChargeUnknown)?;
    if charge.operations.len() >= CHARGE_OPERATIONS_MAX {
        Err(Refusal::TooManyOperations)
    } else if charge.pending {
        Err(Refusal::OperationPending)
    } else if charge.declined {
        Err(Refusal::ChargeDeclined)
    } else if charge.voided {
        Err(Refusal::ChargeVoided)
    } else {
        Ok(charge)
    }
}

fn capturable_minor(charge: &Charge) -> Result<i64, Refusal> {
    let left_minor = charge.totals.authorized_minor - charge.totals.captured_net_minor();
    if charge.released || left_minor == 0 { Err(Refusal::AlreadyCaptured) } else { Ok(left_minor) }
}

/// What every operation of a request has.
struct Frame<'a> {
    simulator: &'a str,
    request: &'a Request,
    now: Moment,
    charge_id: &'a str,
}

impl Frame<'_> {
    /// An operation on a charge that there is, as its token has it.
    fn on(&self, book: &Book, charge: &Charge, amount_minor: i64) -> CarriedOut {
        let mut carried_out = self.operation(&charge.reference, &charge.currency, amount_minor);
        let kind = carried_out.operation.kind;
        let refused = charge.operations.iter().map(|place| &book.entries()[*place].operation);
        let refused = refused.filter(|other| other.kind == kind && other.decline.is_some()).count();
        let refused_before = u32::try_from(refused).unwrap_or(u32::MAX);
        let fault = charge.token.fault_of(kind);
        suffer(&mut carried_out.operation, fault, refused_before, Status::Failed);
        carried_out
    }

    /// An operation that succeeds.
    fn operation(&self, reference: &str, currency: &str, amount_minor: i64) -> CarriedOut {
        let operation = Operation {
            id: format!("op_{}", id_digits(self.simulator, &self.request.key)),
            charge_id: self.charge_id.to_owned(),
            reference: reference.to_owned(),
            idempotency_key: self.request.key.clone(),
            kind: self.request.intent.kind(),
            status: Status::Succeeded,
            amount_minor,
            currency: currency.to_owned(),
            decline: None,
            created_at: self.now,
        };
        let fingerprint = self.request.fingerprint.clone();
        CarriedOut { operation, fingerprint, token: None, last_capture: false }
    }
}

/// Does to an operation what its token says; `refused` is the status of one that the issuer refuses.
fn suffer(operation: &mut Operation, fault: &Fault, refused_before: u32, refused: Status) {
    match fault {
        Fault::Decline { code } => refuse(operation, code, refused),
        Fault::DeclineFirst { count, code } => {
            if refused_before < *count {
                refuse(operation, code, refused);
            }
        }
        Fault::RefundFails => refuse(operation, REFUSED, refused),
        Fault::WebhookOnly => operation.status = Status::Pending,
        Fault::PartialAuthorization { percent } => {
            operation.amount_minor = part_of(operation.amount_minor, *percent);
        }
        Fault::None
        | Fault::FailFirst { .. }
        | Fault::TimeoutBefore
        | Fault::TimeoutAfter
        | Fault::ResetAfter
        | Fault::Slow(_)
        | Fault::WebhookDuplicated { .. }
        | Fault::WebhookReversed
        | Fault::WebhookLost
        | Fault::StatusNotFoundFor(_)
        | Fault::CaptureFailsLater
        | Fault::RefundFailsLater
        | Fault::DownFor(_) => {}
    }
}

fn refuse(operation: &mut Operation, code: &str, status: Status) {
    operation.status = status;
    operation.decline = Some(Decline { code: code.to_owned(), advice: None });
}

/// So many per cent, rounded down, but something.
fn part_of(amount_minor: i64, percent: u8) -> i64 {
    let part = i128::from(amount_minor) * i128::from(percent) / 100;
    i64::try_from(part).unwrap_or(amount_minor).max(1)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::psp::records::Record;

    const NAME: &str = "psp";

    /// Carries out what is allowed on `book` and says what became of it.
    fn attempt(book: &mut Book, key: &str, intent: Intent) -> Result<Operation, Refusal> {
        let request = Request { key: key.to_owned(), fingerprint: String::new(), intent };
        let carried_out = decide(book, NAME, &request, Moment::now())?;
        let operation = carried_out.operation.clone();
        book.apply(Record::CarriedOut(Box::new(carried_out))).expect("what was decided fits");
        Ok(operation)
    }

    fn authorize(book: &mut Book, key: &str, amount_minor: i64, token: &str) -> String {
        let (reference, currency) = ("pay_1".to_owned(), "USD".to_owned());
        let token = Token::parse(token).expect("a token");
        let intent = Intent::Charge { reference, amount_minor, currency, token, capture: false };
        attempt(book, key, intent).expect("a charge").charge_id
    }

    fn capture(charge_id: &str, amount_minor: i64, last: bool) -> Intent {
        Intent::Capture { charge_id: charge_id.to_owned(), amount_minor, last }
    }

    fn refund(charge_id: &str, amount_minor: i64) -> Intent {
        Intent::Refund { charge_id: charge_id.to_owned(), amount_minor }
    }

    fn void(charge_id: &str) -> Intent {
        Intent::Void { charge_id: charge_id.to_owned() }
    }

    fn fail_later(book: &mut Book, key: &str) {
        let at = Moment::now();
        let failed = Record::Changed { key: key.to_owned(), status: Status::Failed, at };
        book.apply(failed).expect("a success may fail later");
    }

    #[test]
    fn partial_captures_go_up_to_the_authorized_amount() {
        let mut book = Book::default();
        let id = authorize(&mut book, "a", 100, "ok");
        attempt(&mut book, "b", capture(&id, 60, false)).expect("a first capture");
        let beyond = attempt(&mut book, "c", capture(&id, 41, false));
        assert_eq!(beyond, Err(Refusal::AmountTooLarge { possible_minor: 40 }));
        attempt(&mut book, "d", capture(&id, 40, false)).expect("the rest");
        let more = attempt(&mut book, "e", capture(&id, 1, false));
        assert_eq!(more, Err(Refusal::AlreadyCaptured));
    }

    #[test]
    fn a_last_capture_gives_up_the_rest() {
        let mut book = Book::default();
        let id = authorize(&mut book, "a", 100, "ok");
        attempt(&mut book, "b", capture(&id, 60, true)).expect("a last capture");
        let more = attempt(&mut book, "c", capture(&id, 1, false));
        assert_eq!(more, Err(Refusal::AlreadyCaptured));
        assert_eq!(attempt(&mut book, "d", void(&id)), Err(Refusal::AlreadyCaptured));
    }

    #[test]
    fn a_capture_that_failed_later_can_be_made_again_and_not_refunded() {
        let mut book = Book::default();
        let id = authorize(&mut book, "a", 100, "capture_failed_later");
        assert_eq!(book.changing(), 0, "an authorization stays as it is");
        attempt(&mut book, "b", capture(&id, 100, false)).expect("a capture");
        assert_eq!(book.changing(), 1);
        fail_later(&mut book, "b");
        assert_eq!(book.changing(), 0);
        assert_eq!(book.clearing()["USD"], 0);
        assert_eq!(attempt(&mut book, "c", refund(&id, 1)), Err(Refusal::NotCaptured));
        attempt(&mut book, "d", capture(&id, 100, false)).expect("a second capture");
        assert_eq!(book.clearing()["USD"], 100);
    }

    #[test]
    fn refunds_go_up_to_what_is_captured_and_a_failed_one_frees_its_amount() {
        let mut book = Book::default();
        let id = authorize(&mut book, "a", 100, "refund_fails_later");
        assert_eq!(attempt(&mut book, "b", refund(&id, 1)), Err(Refusal::NotCaptured));
        attempt(&mut book, "c", capture(&id, 80, true)).expect("a capture");
        attempt(&mut book, "d", refund(&id, 50)).expect("a refund");
        let beyond = attempt(&mut book, "e", refund(&id, 31));
        assert_eq!(beyond, Err(Refusal::AmountTooLarge { possible_minor: 30 }));
        fail_later(&mut book, "d");
        attempt(&mut book, "f", refund(&id, 80)).expect("all of it");
        assert_eq!(book.clearing()["USD"], 0);
        assert_eq!(
            attempt(&mut book, "g", refund(&id, 1)),
            Err(Refusal::AmountTooLarge { possible_minor: 0 })
        );
    }

    #[test]
    fn only_an_untouched_authorization_is_voided_and_once() {
        let mut book = Book::default();
        let id = authorize(&mut book, "a", 100, "ok");
        assert_eq!(attempt(&mut book, "b", void(&id)).expect("a void").amount_minor, 100);
        for (key, intent) in
            [("c", void(&id)), ("d", capture(&id, 1, false)), ("e", refund(&id, 1))]
        {
            assert_eq!(attempt(&mut book, key, intent), Err(Refusal::ChargeVoided));
        }
        assert_eq!(attempt(&mut book, "f", void("ch_none")), Err(Refusal::ChargeUnknown));
    }

    #[test]
    fn of_several_reasons_the_most_final_is_given() {
        let mut book = Book::default();
        let declined = authorize(&mut book, "a", 100, "decline_hard");
        let too_much = attempt(&mut book, "b", capture(&declined, 101, false));
        assert_eq!(too_much, Err(Refusal::ChargeDeclined));
        let pending = authorize(&mut book, "c", 100, "webhook_only");
        let too_much = attempt(&mut book, "d", capture(&pending, 101, false));
        assert_eq!(too_much, Err(Refusal::OperationPending));
    }

    #[test]
    fn a_charge_has_a_bounded_number_of_operations() {
        let mut book = Book::default();
        let id = authorize(&mut book, "a", 10_000, "ok");
        for n in 1..CHARGE_OPERATIONS_MAX {
            attempt(&mut book, &format!("k{n}"), capture(&id, 1, false)).expect("a capture");
        }
        let more = attempt(&mut book, "more", capture(&id, 1, false));
        assert_eq!(more, Err(Refusal::TooManyOperations));
    }

    #[test]
    fn a_part_is_rounded_down_but_never_nothing() {
        assert_eq!(part_of(101, 50), 50);
        assert_eq!(part_of(1, 1), 1);
        assert_eq!(part_of(9_007_199_254_740_991, 99), 8_917_127_262_193_581);
    }
}
