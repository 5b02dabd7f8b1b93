//! The kill switch: nothing is sent to a PSP from the moment that this is in the log.

use serde::{Deserialize, Serialize};

use super::Psp;
use crate::Context;
use crate::command::Decision;
use crate::event::{Event, NewEvent, events};
use crate::ids::MerchantId;
use crate::payments::PspName;
use crate::rejection::Rejection;
use crate::state::{State, StateKey, States};
use crate::stream::{StreamId, StreamVersion};
use crate::text::Name;

/// Has nothing sent to a PSP any more. What was sent is still asked for.
#[derive(Debug, Clone)]
pub struct DisablePsp {
    /// The PSP.
    pub psp: PspName,
    /// Why.
    pub reason: Option<Name>,
}

/// Has payments sent to a PSP again.
#[derive(Debug, Clone)]
pub struct EnablePsp {
    /// The PSP.
    pub psp: PspName,
}

/// Nothing is sent to a PSP any more.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PspDisabled {
    /// The PSP.
    pub psp: PspName,
    /// Why, in the operator's words.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<Name>,
}

/// Payments are sent to a PSP again.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PspEnabled {
    /// The PSP.
    pub psp: PspName,
}

events! {
    /// Everything that can happen to a PSP.
    pub enum PspEvent {
        Disabled(PspDisabled): "psp.disabled" v 1,
        Enabled(PspEnabled): "psp.enabled" v 1,
    }
}

impl PspEvent {
    /// The PSP that it happened to.
    pub fn psp(&self) -> &PspName {
        match self {
            Self::Disabled(event) => &event.psp,
            Self::Enabled(event) => &event.psp,
        }
    }
}

impl DisablePsp {
    pub(crate) fn reads(&self) -> Vec<StateKey> {
        vec![StateKey::Psp(self.psp.clone())]
    }

    pub(crate) fn decide(
        &self,
        states: &impl States,
        context: &Context,
    ) -> Result<Decision, Rejection> {
        let psp = states.psp(&self.psp);
        match psp {
            Some(psp) if psp.disabled => Ok(Decision::Already(State::Psp(psp.clone().into()))),
            Some(_) | None => {
                let (name, reason) = (self.psp.clone(), self.reason.clone());
                let event = PspEvent::Disabled(PspDisabled { psp: name, reason });
                Ok(appended(psp, event, context))
            }
        }
    }
}

impl EnablePsp {
    pub(crate) fn reads(&self) -> Vec<StateKey> {
        vec![StateKey::Psp(self.psp.clone())]
    }

    /// One that was never disabled is none that is known here.
    pub(crate) fn decide(
        &self,
        states: &impl States,
        context: &Context,
    ) -> Result<Decision, Rejection> {
        let psp = states.psp(&self.psp);
        let known = psp.ok_or_else(|| Rejection::PspNotFound { psp: self.psp.clone() })?;
        if !known.disabled {
            return Ok(Decision::Already(State::Psp(known.clone().into())));
        }
        let event = PspEvent::Enabled(PspEnabled { psp: self.psp.clone() });
        Ok(appended(psp, event, context))
    }
}

fn appended(psp: Option<&Psp>, event: PspEvent, context: &Context) -> Decision {
    Decision::Append(vec![NewEvent {
        event_id: context.event_id,
        stream: StreamId::psp(event.psp()),
        version: psp.map_or(StreamVersion::FIRST, |psp| psp.version.next()),
        merchant_id: MerchantId::PLATFORM,
        event: Event::Psp(event),
    }])
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Command;
    use crate::given_when_then::given;
    use crate::payments::Operation;
    use crate::payments::scenario::{PAYMENT, authorization_requested, created, psp, start};

    fn disable() -> Command {
        Command::DisablePsp(DisablePsp { psp: psp(), reason: None })
    }

    fn enable() -> Command {
        Command::EnablePsp(EnablePsp { psp: psp() })
    }

    fn disabled() -> Event {
        Event::Psp(PspEvent::Disabled(PspDisabled { psp: psp(), reason: None }))
    }

    fn enabled() -> Event {
        Event::Psp(PspEvent::Enabled(PspEnabled { psp: psp() }))
    }

    #[test]
    fn a_psp_is_switched_off_and_on_again() {
        given([]).when(disable()).then([disabled()]);
        given([disabled()]).when(disable()).then_already();
        given([disabled()]).when(enable()).then([enabled()]);
        given([disabled(), enabled()]).when(enable()).then_already();
        given([disabled(), enabled()]).when(disable()).then([disabled()]);
        given([]).when(enable()).then_rejected(Rejection::PspNotFound { psp: psp() });
    }

    #[test]
    fn nothing_is_sent_to_a_psp_that_is_switched_off() {
        let due = [created("1.00"), authorization_requested()];
        let off = [due.to_vec(), vec![disabled()]].concat();
        let rejection = Rejection::PspIsDisabled { payment_id: PAYMENT, psp: psp() };
        given(off.clone()).when(start(Operation::Authorize)).then_rejected(rejection);
        given([off, vec![enabled()]].concat()).when(start(Operation::Authorize)).then_accepted();
    }
}
