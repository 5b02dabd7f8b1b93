//! Payments on the wire: the same wherever they are answered.

use domain::cards::{BARRED, CardNetwork};
use domain::payments::{Capture, Late, OpenOperation, Payment, Phase, Refund, RefundState};
use domain::{Currency, EntryId, Metadata, Money, PaymentId, RefundId, StreamVersion, Timestamp};
use serde::Serialize;
use utoipa::ToSchema;

use crate::amounts::DecimalText;

/// A payment. All amounts are of its currency.
#[derive(Debug, Clone, Serialize, ToSchema)]
#[schema(as = Payment)]
pub struct PaymentResource {
    /// Its id.
    #[schema(value_type = String, example = "pay_01h455vb4pex5vsknk084sn02q")]
    id: PaymentId,
    /// Where it stands.
    #[schema(example = "captured")]
    state: &'static str,
    /// What is to be paid.
    #[schema(value_type = String, example = "100.00")]
    amount: DecimalText,
    /// The upper-case ISO 4217 code.
    #[schema(value_type = String, example = "USD")]
    currency: Currency,
    /// `automatic` or `manual`.
    #[schema(example = "automatic")]
    capture_method: &'static str,
    /// How it is paid; null as long as nobody said.
    #[schema(required)]
    payment_method: Option<PaymentMethodResource>,
    /// What of it is where.
    amounts: PaymentAmountsResource,
    /// The PSP that authorized it, or else the last that was asked to; null before the first attempt.
    #[schema(required, example = "alpha")]
    psp: Option<String>,
    /// What is under way; null where nothing is.
    #[schema(required)]
    operation: Option<OperationResource>,
    /// Why it was not paid when that was last tried: a decline, or `retry_limit_reached`.
    #[schema(required)]
    decline: Option<DeclineResource>,
    /// When what is authorized lapses, as far as it is not captured; null where nothing is.
    #[schema(value_type = Option<String>, required, format = DateTime)]
    authorized_until: Option<Timestamp>,
    /// Who pays, as the merchant calls them.
    #[schema(required)]
    customer: Option<String>,
    /// What the merchant calls it.
    #[schema(required, example = "order-1042")]
    reference: Option<String>,
    /// What statements say of it.
    #[schema(required)]
    description: Option<String>,
    /// What the merchant wants to find with it.
    #[schema(value_type = std::collections::BTreeMap<String, String>)]
    metadata: Metadata,
    /// What is bought.
    order: Vec<LineItemResource>,
    /// Every capture, in their order.
    captures: Vec<CaptureResource>,
    /// Every refund, in the order in which they were asked for.
    refunds: Vec<RefundResource>,
    /// What a PSP took after the attempt for it had been given up: it is voided or refunded by itself.
    late_charges: Vec<LateChargeResource>,
    /// Whether anything is under way at a PSP: with the payment, a refund of it, or a late charge.
    under_way: bool,
    /// How many attempts were made.
    #[schema(example = 1)]
    attempts: usize,
    /// Counts its events; what `If-Match` compares.
    #[schema(value_type = i64, example = 4)]
    version: StreamVersion,
    /// When it was created.
    #[schema(value_type = String, format = DateTime)]
    created_at: Timestamp,
    /// When it changed last.
    #[schema(value_type = String, format = DateTime)]
    updated_at: Timestamp,
}

/// How a payment is paid.
#[derive(Debug, Clone, Serialize, ToSchema)]
#[schema(as = PaymentMethod)]
pub struct PaymentMethodResource {
    /// `card`, `bank_account` or `wallet`.
    #[schema(example = "card")]
    r#type: &'static str,
    /// What the PSPs know it by.
    #[schema(example = "ok")]
    token: String,
    /// A card's scheme, as far as the merchant said: `visa`, `mastercard` or `other`.
    #[serde(skip_serializing_if = "Option::is_none")]
    network: Option<&'static str>,
    /// What stays the same of a card when it gets another token, if the merchant said.
    #[serde(skip_serializing_if = "Option::is_none")]
    fingerprint: Option<String>,
}

/// What of a payment is where.
#[derive(Debug, Clone, Serialize, ToSchema)]
#[schema(as = PaymentAmounts)]
pub struct PaymentAmountsResource {
    /// What a PSP held ready, at the most.
    #[schema(value_type = String, example = "100.00")]
    authorized: DecimalText,
    /// What may still be captured.
    #[schema(value_type = String, example = "0.00")]
    capturable: DecimalText,
    /// What was captured, less what failed later.
    #[schema(value_type = String, example = "100.00")]
    captured: DecimalText,
    /// What was given back, less what failed later.
    #[schema(value_type = String, example = "0.00")]
    refunded: DecimalText,
    /// What may still be given back.
    #[schema(value_type = String, example = "100.00")]
    refundable: DecimalText,
}

/// Something under way at a PSP, or about to be.
#[derive(Debug, Clone, Serialize, ToSchema)]
#[schema(as = PaymentOperation)]
pub struct OperationResource {
    /// `authorize`, `sale`, `capture`, `void` or `refund`.
    #[schema(example = "authorize")]
    kind: &'static str,
    /// `due`, `processing`, or `unknown` while the PSP is asked what came of it.
    #[schema(example = "processing")]
    state: &'static str,
    /// When it is attempted, or the PSP asked, if nothing happens before.
    #[schema(value_type = String, format = DateTime)]
    next_at: Timestamp,
}

/// Why an attempt was declined.
#[derive(Debug, Clone, Serialize, ToSchema)]
#[schema(as = PaymentDecline)]
pub struct DeclineResource {
    /// What kind of reason it was: says what would help.
    #[schema(example = "soft_funds")]
    class: &'static str,
    /// The reason, as far as the payer may know it.
    #[schema(example = "insufficient_funds")]
    code: String,
}

/// A line of an order.
#[derive(Debug, Clone, Serialize, ToSchema)]
#[schema(as = LineItem)]
pub struct LineItemResource {
    /// What it is.
    name: String,
    /// How many of it.
    quantity: u32,
    /// What one of it costs.
    #[schema(value_type = String, example = "25.00")]
    unit_amount: DecimalText,
}

/// Money that was taken.
#[derive(Debug, Clone, Serialize, ToSchema)]
#[schema(as = PaymentCapture)]
pub struct CaptureResource {
    /// Its number, from 1.
    number: u32,
    /// How much was taken.
    #[schema(value_type = String, example = "100.00")]
    amount: DecimalText,
    /// What the platform kept of it.
    #[schema(value_type = String, example = "3.20")]
    fee: DecimalText,
    /// The entry that booked it.
    #[schema(value_type = String, example = "ent_01h455vb4pex5vsknk084sn02q")]
    entry: EntryId,
    /// Whether it failed later, and was undone.
    failed: bool,
    /// When it was booked.
    #[schema(value_type = String, format = DateTime)]
    captured_at: Timestamp,
}

/// Money that a PSP took or held although the payment had gone on without it.
#[derive(Debug, Clone, Serialize, ToSchema)]
#[schema(as = LateCharge)]
pub struct LateChargeResource {
    /// The attempt that came late.
    attempt: u32,
    /// The PSP that has it.
    #[schema(example = "alpha")]
    psp: String,
    /// How much.
    #[schema(value_type = String, example = "100.00")]
    amount: DecimalText,
    /// `reversing`; `reversed`; `failed` where it came back to the payer by itself; `held` where reversing it
    /// was given up.
    #[schema(example = "reversed")]
    state: &'static str,
}

/// Money that is given back.
#[derive(Debug, Clone, Serialize, ToSchema)]
#[schema(as = Refund)]
pub struct RefundResource {
    /// Its id.
    #[schema(value_type = String, example = "rfd_01h455vb4pex5vsknk084sn02q")]
    id: RefundId,
    /// The payment that it is of.
    #[schema(value_type = String, example = "pay_01h455vb4pex5vsknk084sn02q")]
    payment: PaymentId,
    /// `requested`, `processing`, `unknown`, `succeeded` or `failed`.
    #[schema(example = "succeeded")]
    state: &'static str,
    /// How much.
    #[schema(value_type = String, example = "25.00")]
    amount: DecimalText,
    /// The payment's currency.
    #[schema(value_type = String, example = "USD")]
    currency: Currency,
    /// Why, in the merchant's words.
    #[schema(required)]
    reason: Option<String>,
    /// Why it failed, if it did.
    #[schema(required)]
    failure: Option<String>,
    /// The entry that booked it, once it succeeded.
    #[schema(value_type = Option<String>, required, example = "ent_01h455vb4pex5vsknk084sn02q")]
    entry: Option<EntryId>,
    /// When it was asked for.
    #[schema(value_type = String, format = DateTime)]
    requested_at: Timestamp,
    /// When it changed last.
    #[schema(value_type = String, format = DateTime)]
    updated_at: Timestamp,
}

fn decimal(minor: i64, currency: Currency) -> DecimalText {
    DecimalText::from(Money { minor, currency })
}

impl From<&Payment> for PaymentResource {
    fn from(payment: &Payment) -> Self {
        let currency = payment.amount().currency();
        let intent = &payment.intent;
        let text = |name: &Option<domain::Name>| name.as_ref().map(ToString::to_string);
        let held = payment.authorization.as_ref().filter(|held| !held.closed);
        Self {
            id: payment.id,
            state: payment.state().name(),
            amount: payment.amount().money().into(),
            currency,
            capture_method: intent.capture_method.name(),
            payment_method: payment.method.as_ref().map(|method| PaymentMethodResource {
                r#type: method.kind.name(),
                token: method.token.clone(),
                network: method.network.map(CardNetwork::name),
                fingerprint: method.fingerprint.clone(),
            }),
            amounts: PaymentAmountsResource::of(payment),
            psp: payment.psp().map(ToString::to_string),
            operation: payment.open.as_ref().map(OperationResource::from),
            decline: decline(payment),
            authorized_until: held.map(|held| held.expires_at),
            customer: text(&intent.customer),
            reference: text(&intent.reference),
            description: text(&intent.description),
            metadata: intent.metadata.clone(),
            order: intent
                .order
                .lines()
                .iter()
                .map(|line| LineItemResource {
                    name: line.name.to_string(),
                    quantity: line.quantity,
                    unit_amount: decimal(line.unit_amount_minor, currency),
                })
                .collect(),
            captures: payment
                .captures
                .iter()
                .map(|one| CaptureResource::of(one, currency))
                .collect(),
            refunds: payment.refunds.iter().map(|one| RefundResource::of(payment, one)).collect(),
            late_charges: payment
                .late
                .iter()
                .map(|one| LateChargeResource::of(one, currency))
                .collect(),
            under_way: !payment.at_rest(),
            attempts: payment.attempts.len(),
            version: payment.version,
            created_at: payment.created_at,
            updated_at: payment.updated_at,
        }
    }
}

impl PaymentAmountsResource {
    fn of(payment: &Payment) -> Self {
        let amounts = payment.amounts();
        let decimal = |minor| decimal(minor, payment.amount().currency());
        Self {
            authorized: decimal(amounts.authorized_minor),
            capturable: decimal(amounts.capturable_minor),
            captured: decimal(amounts.captured_minor),
            refunded: decimal(amounts.refunded_minor),
            refundable: decimal(amounts.refundable_minor),
        }
    }
}

impl From<&OpenOperation> for OperationResource {
    fn from(open: &OpenOperation) -> Self {
        let state = match open.phase {
            Phase::Due { .. } => "due",
            Phase::Sent { .. } => "processing",
            Phase::Unknown { .. } => "unknown",
        };
        Self { kind: open.operation.name(), state, next_at: open.due_at() }
    }
}

/// The code of a payment that is not tried again since its card was declined too often.
const RETRY_LIMIT_REACHED: &str = "retry_limit_reached";

/// Why it was not paid, as far as it may be shown. That a card is barred says what declined it before.
fn decline(payment: &Payment) -> Option<DeclineResource> {
    let (class, code) = payment.decline()?;
    let code = match &payment.withheld {
        Some(limit) if limit != BARRED => RETRY_LIMIT_REACHED,
        Some(_) | None => class.shown_code(code),
    };
    Some(DeclineResource { class: class.shown().name(), code: code.to_owned() })
}

impl CaptureResource {
    fn of(capture: &Capture, currency: Currency) -> Self {
        Self {
            number: capture.number,
            amount: decimal(capture.amount_minor, currency),
            fee: decimal(capture.fee_minor, currency),
            entry: capture.entry_id,
            failed: capture.failed,
            captured_at: capture.captured_at,
        }
    }
}

impl LateChargeResource {
    fn of(late: &Late, currency: Currency) -> Self {
        let state = match (late.held > 0, late.open.is_some()) {
            (true, true) => "reversing",
            (true, false) => "held",
            (false, _) if late.failed => "failed",
            (false, _) => "reversed",
        };
        Self {
            attempt: late.attempt,
            psp: late.psp.to_string(),
            amount: decimal(late.amount_minor, currency),
            state,
        }
    }
}

impl RefundResource {
    /// A refund of `payment`.
    pub fn of(payment: &Payment, refund: &Refund) -> Self {
        let currency = payment.amount().currency();
        Self {
            id: refund.id,
            payment: payment.id,
            state: refund.state().name(),
            amount: decimal(refund.amount_minor, currency),
            currency,
            reason: refund.reason.as_ref().map(ToString::to_string),
            failure: refund.failure.clone(),
            entry: refund.entry_id.filter(|_| refund.state() == RefundState::Succeeded),
            requested_at: refund.requested_at,
            updated_at: refund.updated_at,
        }
    }
}
