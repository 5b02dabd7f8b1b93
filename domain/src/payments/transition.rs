//! What a decision makes of a payment, event by event, each over what those before it made of it.

use super::{Payment, PaymentEvent};
use crate::Context;
use crate::command::Decision;
use crate::event::{Event, NewEvent};
use crate::ids::{AccountId, MerchantId};
use crate::stream::{StreamId, StreamVersion};

/// The events of a decision on one payment, and the payment after them.
#[derive(Debug)]
pub(super) struct Transition<'c> {
    context: &'c Context,
    payment: Payment,
    events: Vec<NewEvent>,
}

impl<'c> Transition<'c> {
    /// Of a payment that is there.
    pub(super) fn of(payment: &Payment, context: &'c Context) -> Self {
        Self { context, payment: payment.clone(), events: Vec::with_capacity(4) }
    }

    /// The payment as it will be.
    pub(super) fn payment(&self) -> &Payment {
        &self.payment
    }

    pub(super) fn context(&self) -> &'c Context {
        self.context
    }

    /// The payment's next event.
    pub(super) fn then(mut self, event: PaymentEvent) -> Self {
        let version = self.payment.version.next();
        let (stream, merchant_id) = (self.payment.stream(), self.payment.merchant_id);
        self.payment = self.payment.evolved(&event, version, self.context.now);
        self.push(stream, version, merchant_id, event.into());
        self
    }

    /// The first event of another stream.
    pub(super) fn with_first(mut self, stream: StreamId, owner: MerchantId, event: Event) -> Self {
        self.push(stream, StreamVersion::FIRST, owner, event);
        self
    }

    /// An event of another stream of the payment's merchant, that stream's number `version`.
    pub(super) fn with(mut self, stream: StreamId, version: StreamVersion, event: Event) -> Self {
        self.push(stream, version, self.payment.merchant_id, event);
        self
    }

    /// Whether an earlier event of this decision opens the account.
    pub(super) fn opens(&self, account_id: AccountId) -> bool {
        self.events.iter().any(|new| match &new.event {
            Event::AccountOpened(opened) => opened.account_id == account_id,
            _ => false,
        })
    }

    fn push(
        &mut self,
        stream: StreamId,
        version: StreamVersion,
        merchant_id: MerchantId,
        event: Event,
    ) {
        let event_id = self.context.event_id_of(self.events.len());
        self.events.push(NewEvent { event_id, stream, version, merchant_id, event });
    }

    pub(super) fn into_decision(self) -> Decision {
        Decision::Append(self.events)
    }
}
